// One timer for many moments: it is set to the earliest that anyone asked for.

import type { Clock, Timer } from "./io.js";

/** The longest delay that a timer of the platform takes; later moments are reached in steps. */
const DELAY_MAX_MS = 2 ** 31 - 1;
/** The wall clock may jump: whoever waits for a time of it looks at it this often. */
const CLOCK_CHECK_MS = 30_000;

/** Runs `action` at or soon after the earliest moment asked for, of the clock's monotonic time. */
export class DueTimer {
  readonly #clock: Clock;
  readonly #action: () => void;
  #timer: Timer | undefined = undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, action: () => void) {
    this.#clock = clock;
    this.#action = action;
  }

  /** Hot: returns at once when the timer is set to an earlier moment. Infinity asks for nothing. */
  armAt(dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    const delayMs = Math.min(DELAY_MAX_MS, Math.max(0, dueMs - this.#clock.monotonicMs()));
    this.#timer = this.#clock.setTimer(() => this.#run(), delayMs, true);
  }

  /**
   * Runs `action` at or soon after that time of the wall clock, and at least every 30 seconds until then: it has to
   * look whether the time has come. Infinity asks for nothing.
   */
  armAtTime(timeMs: number): void {
    if (timeMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(CLOCK_CHECK_MS, Math.max(0, timeMs - this.#clock.nowMs()));
    this.armAt(this.#clock.monotonicMs() + delayMs);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  #run(): void {
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#action();
  }
}
