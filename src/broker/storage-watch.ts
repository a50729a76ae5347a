// Raises the alarm when a sync hangs: publishers wait for it, and nobody would say why.

import { BrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { SyncStatistics } from "../log/sync-statistics.js";

/** A sync that takes longer hangs. */
const STALL_MS = 5_000;

export class StorageWatch {
  readonly #clock: Clock;
  readonly #syncs: SyncStatistics;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #timer: DueTimer;

  constructor(clock: Clock, syncs: SyncStatistics, onError: (error: unknown, where: string) => void) {
    this.#clock = clock;
    this.#syncs = syncs;
    this.#onError = onError;
    // Not at once: when this thread was blocked, the answer of the disk may lie behind the timer.
    this.#timer = new DueTimer(clock, () => clock.defer(() => this.#look()));
    // Hot: once a commit. The timer is set when it is not, so every 5 seconds at most.
    syncs.onBusy = () => this.#timer.armAt(syncs.busySinceMs + STALL_MS);
  }

  /** How long a sync has been hanging; 0 when none is. */
  get stalledMs(): number {
    const busyMs = this.#busyMs;
    return busyMs < STALL_MS ? 0 : busyMs;
  }

  close(): void {
    this.#syncs.onBusy = undefined;
    this.#timer.cancel();
  }

  get #busyMs(): number {
    return this.#syncs.isBusy ? this.#clock.monotonicMs() - this.#syncs.busySinceMs : 0;
  }

  /** Told once of each sync that hangs. */
  #look(): void {
    if (!this.#syncs.isBusy) return;
    const busyMs = this.#busyMs;
    if (busyMs < STALL_MS) {
      this.#timer.armAt(this.#syncs.busySinceMs + STALL_MS);
      return;
    }
    const error = new BrokerError(
      "STORAGE_STALLED",
      `A sync to disk has not come back for ${Math.round(busyMs)} ms. What is published meanwhile waits for it. Look at the disk: whether it hangs, is remote, or has more to write than it can.`,
      { stalledMs: Math.round(busyMs) },
    );
    this.#onError(error, "storing");
  }
}
