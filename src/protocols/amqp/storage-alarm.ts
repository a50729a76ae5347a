// Whether anything can be stored now: publishers are told, and are not read from, while nothing can.

import { isBrokerError } from "../../broker-error.js";
import { DueTimer } from "../../io/due-timer.js";
import type { Clock } from "../../io/io.js";

/** A commit that takes longer hangs. */
const STALL_MS = 5_000;
/** How long publishers are held back after the disk was full, before another try. */
const FULL_MS = 5_000;

/** Hears of the alarm. */
export interface AlarmListener {
  /** Since when the oldest commit is awaited, in the clock's monotonic time; Infinity when none is. */
  readonly awaitedSinceMs: number;
  /** `reason` is why nothing can be stored; undefined when it can again. */
  alarmChanged(reason: string | undefined): void;
}

export class StorageAlarm {
  readonly #clock: Clock;
  readonly #timer: DueTimer;
  readonly #listeners = new Set<AlarmListener>();
  /** Those that have gone, and of whose commits some have not come. */
  readonly #gone = new Set<AlarmListener>();
  #isLookDue = false;
  #fullUntilMs = 0;
  #reason: string | undefined = undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = new DueTimer(clock, () => this.#look());
  }

  /** Why nothing can be stored; undefined when it can. */
  get reason(): string | undefined {
    return this.#reason;
  }

  add(listener: AlarmListener): void {
    this.#listeners.add(listener);
  }

  remove(listener: AlarmListener): void {
    this.#listeners.delete(listener);
    if (listener.awaitedSinceMs !== Number.POSITIVE_INFINITY) this.#gone.add(listener);
  }

  /** Hot: a listener begins to wait for a commit. Returns the time. */
  began(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#timer.armAt(nowMs + STALL_MS);
    return nowMs;
  }

  /** Hot: a commit has ended that was waited for. */
  ended(error: unknown): void {
    if (isBrokerError(error, "DISK_FULL")) this.#fullUntilMs = this.#clock.monotonicMs() + FULL_MS;
    else if (this.#reason === undefined) return;
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    // Once for all that end in this turn: there may be thousands of connections.
    this.#clock.defer(() => this.#look());
  }

  close(): void {
    this.#timer.cancel();
  }

  #look(): void {
    this.#isLookDue = false;
    const nowMs = this.#clock.monotonicMs();
    const oldestMs = this.#awaitedSinceMs();
    const isFull = nowMs < this.#fullUntilMs;
    const isStalled = nowMs - oldestMs >= STALL_MS;
    if (isFull) this.#timer.armAt(this.#fullUntilMs);
    else if (!isStalled) this.#timer.armAt(oldestMs + STALL_MS);
    this.#change(isFull ? "low on disk" : stallReason(isStalled));
  }

  #awaitedSinceMs(): number {
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { awaitedSinceMs } of this.#listeners) oldestMs = Math.min(oldestMs, awaitedSinceMs);
    for (const listener of this.#gone) {
      const { awaitedSinceMs } = listener;
      if (awaitedSinceMs === Number.POSITIVE_INFINITY) this.#gone.delete(listener);
      else oldestMs = Math.min(oldestMs, awaitedSinceMs);
    }
    return oldestMs;
  }

  #change(reason: string | undefined): void {
    if (reason === this.#reason) return;
    this.#reason = reason;
    for (const listener of [...this.#listeners]) listener.alarmChanged(reason);
  }
}

function stallReason(isStalled: boolean): string | undefined {
  return isStalled ? "storage stalled" : undefined;
}
