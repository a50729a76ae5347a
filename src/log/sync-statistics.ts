// How a store's commits go.

import type { Clock } from "../io/io.js";

/** Counted since the store was opened. */
export class SyncStatistics {
  commits: number;
  /** Commits that went through the journal. */
  journalCommits: number;
  syncs: number;
  lastSyncMs: number;
  longestSyncMs: number;
  /** Bytes of record batches committed. */
  bytes: number;
  /** When the first of the syncs that run was begun, of the monotonic clock. */
  busySinceMs: number;
  /** Runs when a sync begins while none runs. */
  onBusy: (() => void) | undefined;
  private running: number;
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.commits = 0;
    this.journalCommits = 0;
    this.syncs = 0;
    this.lastSyncMs = 0;
    this.longestSyncMs = 0;
    this.bytes = 0;
    this.busySinceMs = 0;
    this.onBusy = undefined;
    this.running = 0;
    this.clock = clock;
  }

  /** Whether a sync runs. */
  get isBusy(): boolean {
    return this.running > 0;
  }

  /** Runs a sync and counts it. */
  async measure(sync: () => Promise<void>): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    if (this.running === 0) {
      this.busySinceMs = startedMs;
      this.onBusy?.();
    }
    this.running += 1;
    try {
      await sync();
    } finally {
      this.running -= 1;
    }
    this.syncs += 1;
    this.lastSyncMs = this.clock.monotonicMs() - startedMs;
    if (this.lastSyncMs > this.longestSyncMs) this.longestSyncMs = this.lastSyncMs;
  }
}
