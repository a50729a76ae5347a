// What one connection published and is not stored yet: a publisher that does not wait for confirms is slowed by it.

import type { StorageAlarm } from "./storage-alarm.js";

/** A connection that has as much waiting is not read from until half of it is stored. */
const BYTES_MAX = 8 * 1024 * 1024;
/** What a message counts besides its body. */
const MESSAGE_BYTES = 64;

/** Messages that wait for one commit. */
class Share {
  readonly committed: Promise<void>;
  readonly beganMs: number;
  sizeBytes: number;
  older: Share | undefined;
  newer: Share | undefined;

  constructor(committed: Promise<void>, beganMs: number, older: Share | undefined) {
    this.committed = committed;
    this.beganMs = beganMs;
    this.sizeBytes = 0;
    this.older = older;
    this.newer = undefined;
  }
}

export class Uncommitted {
  sizeBytes: number;
  private readonly alarm: StorageAlarm;
  private readonly onFull: () => void;
  private readonly onRoom: () => void;
  /** The ends of a chain: they end in any order, and there may be very many. */
  private oldest: Share | undefined;
  private newest: Share | undefined;
  private isFull: boolean;

  constructor(alarm: StorageAlarm, onFull: () => void, onRoom: () => void) {
    this.sizeBytes = 0;
    this.alarm = alarm;
    this.onFull = onFull;
    this.onRoom = onRoom;
    this.oldest = undefined;
    this.newest = undefined;
    this.isFull = false;
  }

  /** When the oldest of it was published, in the clock's monotonic time; Infinity when there is none. */
  get sinceMs(): number {
    return this.oldest?.beganMs ?? Number.POSITIVE_INFINITY;
  }

  /** Resolves when everything that was published so far is stored, or is known not to be; undefined when it is. */
  stored(): Promise<unknown> | undefined {
    if (this.oldest === undefined) return undefined;
    const all: Promise<void>[] = [];
    for (let share: Share | undefined = this.oldest; share !== undefined; share = share.newer)
      all.push(share.committed);
    return Promise.allSettled(all);
  }

  /** Hot: messages of one batch share `committed`, and what is awaited for it. */
  add(committed: Promise<void>, bodyBytes: number): void {
    const share = this.newest?.committed === committed ? this.newest : this.begin(committed);
    const sizeBytes = bodyBytes + MESSAGE_BYTES;
    share.sizeBytes += sizeBytes;
    this.sizeBytes += sizeBytes;
    if (this.isFull || this.sizeBytes < BYTES_MAX) return;
    this.isFull = true;
    this.onFull();
  }

  private begin(committed: Promise<void>): Share {
    const share = new Share(committed, this.alarm.began(), this.newest);
    if (this.newest === undefined) this.oldest = share;
    else this.newest.newer = share;
    this.newest = share;
    committed.then(
      () => this.ended(share, undefined),
      (error: unknown) => this.ended(share, error),
    );
    return share;
  }

  private ended(share: Share, error: unknown): void {
    this.sizeBytes -= share.sizeBytes;
    this.unlink(share);
    this.alarm.ended(error);
    if (this.sizeBytes > 0 && (!this.isFull || this.sizeBytes * 2 > BYTES_MAX)) return;
    this.isFull = false;
    this.onRoom();
  }

  private unlink(share: Share): void {
    const { older, newer } = share;
    if (older === undefined) this.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.newest = older;
    else newer.older = older;
    // What is gone must not keep what comes alive.
    share.older = undefined;
    share.newer = undefined;
  }
}
