// A clock that stands still until it is told to go on.

import type { Clock, Timer } from "../io/io.js";
import { systemIo } from "../io/system-io.js";

interface VirtualTimer extends Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
}

/** Time for tests. Timers run in the order in which they are due; turns are real ones, so that promises can settle between. */
export class VirtualClock implements Clock {
  readonly #startMs: number;
  readonly #timers = new Set<VirtualTimer>();
  #elapsedMs = 0;
  #lastOrder = 0;

  /** @param startMs the wall clock at the beginning, in milliseconds since 1970 */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return this.#startMs + Math.floor(this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  setTimer(action: () => void, delayMs: number): Timer {
    this.#lastOrder += 1;
    const timer: VirtualTimer = {
      dueMs: this.#elapsedMs + Math.max(0, delayMs),
      order: this.#lastOrder,
      action,
      cancel: () => this.#timers.delete(timer),
    };
    this.#timers.add(timer);
    return timer;
  }

  defer(action: () => void): void {
    systemIo.clock.defer(action);
  }

  /** Runs every timer that is due within `durationMs`, one after the other, `settle` after each; time then stands at the end. */
  async advance(durationMs: number, settle: () => Promise<void>): Promise<void> {
    const untilMs = this.#elapsedMs + durationMs;
    for (let timer = this.#next(untilMs); timer !== undefined; timer = this.#next(untilMs)) {
      this.#timers.delete(timer);
      this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueMs);
      timer.action();
      // What is due at one moment runs before anybody looks whether something is left to do.
      if (this.#next(this.#elapsedMs) === undefined) await settle();
    }
    this.#elapsedMs = untilMs;
  }

  #next(untilMs: number): VirtualTimer | undefined {
    let next: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      if (
        next === undefined ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order)
      )
        next = timer;
    }
    return next;
  }
}
