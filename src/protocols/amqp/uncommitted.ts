// What one connection published and is not stored yet: a publisher that does not wait for confirms is slowed by it.

import type { StorageAlarm } from "./storage-alarm.js";

/** A connection that has as much waiting is not read from until half of it is stored. */
const BYTES_MAX = 8 * 1024 * 1024;
/** What a message counts besides its body. */
const MESSAGE_BYTES = 64;

/** Messages that wait for one commit. */
class Share {
  readonly committed: Promise<void>;
  sizeBytes: number;

  constructor(committed: Promise<void>) {
    this.committed = committed;
    this.sizeBytes = 0;
  }
}

export class Uncommitted {
  sizeBytes: number;
  private readonly alarm: StorageAlarm;
  private readonly onFull: () => void;
  private readonly onRoom: () => void;
  private last: Share | undefined;
  private readonly shares: Set<Share>;
  private isFull: boolean;

  constructor(alarm: StorageAlarm, onFull: () => void, onRoom: () => void) {
    this.sizeBytes = 0;
    this.alarm = alarm;
    this.onFull = onFull;
    this.onRoom = onRoom;
    this.last = undefined;
    this.shares = new Set();
    this.isFull = false;
  }

  /** Resolves when everything that was published so far is stored, or is known not to be; undefined when it is. */
  stored(): Promise<unknown> | undefined {
    if (this.shares.size === 0) return undefined;
    return Promise.allSettled([...this.shares].map(({ committed }) => committed));
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
    const share = new Share(committed);
    this.last = share;
    this.shares.add(share);
    this.alarm.began(share);
    committed.then(
      () => this.ended(share, undefined),
      (error: unknown) => this.ended(share, error),
    );
    return share;
  }

  private ended(share: Share, error: unknown): void {
    this.sizeBytes -= share.sizeBytes;
    this.shares.delete(share);
    if (this.last === share) this.last = undefined;
    this.alarm.ended(share, error);
    if (this.sizeBytes > 0 && (!this.isFull || this.sizeBytes * 2 > BYTES_MAX)) return;
    this.isFull = false;
    this.onRoom();
  }
}
