// Which sealed segments stay open: those that were read last, over all logs of a store.

const OPEN_MAX = 64;

/** A segment, as far as the pool is concerned. */
export interface Closable {
  closeIdle(): Promise<void>;
}

export class SegmentPool {
  /** How segments open their files. */
  readonly fileMode: "write" | "read";
  /** Open segments that nobody uses, the one used longest ago first. */
  private readonly idle: Set<Closable>;

  constructor(fileMode: "write" | "read") {
    this.fileMode = fileMode;
    this.idle = new Set();
  }

  /** The segment is in use, or gone. */
  take(segment: Closable): void {
    this.idle.delete(segment);
  }

  /** Nobody uses the segment any more. Closes the one that waits longest when there are too many. */
  keep(segment: Closable): void {
    this.idle.add(segment);
    if (this.idle.size <= OPEN_MAX) return;
    for (const oldest of this.idle) {
      this.idle.delete(oldest);
      // Nothing was written through it, so there is nothing that a failed close could lose.
      oldest.closeIdle().catch(() => {});
      return;
    }
  }
}
