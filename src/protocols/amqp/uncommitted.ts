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

  constructor(committed: Promise<void>, beganMs: number) {
    this.committed = committed;
    this.beganMs = beganMs;
    this.sizeBytes = 0;
  }
}

export class Uncommitted {
  sizeBytes: number;
  private readonly alarm: StorageAlarm;
  private readonly onFull: () => void;
  private readonly onRoom: () => void;
  private last: Share | undefined;
  /** The oldest first, which mostly ends first. */
  private readonly shares: Share[];
  private isFull: boolean;

  constructor(alarm: StorageAlarm, onFull: () => void, onRoom: () => void) {
    this.sizeBytes = 0;
    this.alarm = alarm;
    this.onFull = onFull;
    this.onRoom = onRoom;
    this.last = undefined;
    this.shares = [];
    this.isFull = false;
  }

  /** When the oldest of it was published, in the clock's monotonic time; Infinity when there is none. */
  get sinceMs(): number {
    return this.shares[0]?.beganMs ?? Number.POSITIVE_INFINITY;
  }

  /** Resolves when everything that was published so far is stored, or is known not to be; undefined when it is. */
  stored(): Promise<unknown> | undefined {
    if (this.shares.length === 0) return undefined;
    return Promise.allSettled(this.shares.map(({ committed }) => committed));
  }

  /** Hot: messages of one batch share `committed`, and what is awaited for it. */
  add(committed: Promise<void>, bodyBytes: number): void {
    const share = this.last?.committed === committed ? this.last : this.begin(committed);
    const sizeBytes = bodyBytes + MESSAGE_BYTES;
    share.sizeBytes += sizeBytes;
    this.sizeBytes += sizeBytes;
    if (this.isFull || this.sizeBytes < BYTES_MAX) return;
    this.isFull = true;
    this.onFull();
  }

  private begin(committed: Promise<void>): Share {
    const share = new Share(committed, this.alarm.began());
    this.last = share;
    this.shares.push(share);
    committed.then(
      () => this.ended(share, undefined),
      (error: unknown) => this.ended(share, error),
    );
    return share;
  }

  private ended(share: Share, error: unknown): void {
    this.sizeBytes -= share.sizeBytes;
    if (this.shares[0] === share) this.shares.shift();
    else this.shares.splice(this.shares.indexOf(share), 1);
    if (this.last === share) this.last = undefined;
    this.alarm.ended(error);
    if (this.sizeBytes > 0 && (!this.isFull || this.sizeBytes * 2 > BYTES_MAX)) return;
    this.isFull = false;
    this.onRoom();
  }
}
