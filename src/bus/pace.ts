// A handler's rate limit: whether the next message may be handled, and if not, when to look again.

import type { EngineRecord } from "../engines/engine.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { RateLimit } from "./rate-limit.js";

export class Pace {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #again: DueTimer;

  /** `goOn` runs when {@link Pace.mayGo} was false and is true. */
  constructor(limit: RateLimit, clock: Clock, goOn: () => void) {
    this.#limit = limit;
    this.#clock = clock;
    this.#again = new DueTimer(clock, goOn);
  }

  get mayGo(): boolean {
    const { nextMs } = this.#limit;
    if (nextMs <= this.#clock.monotonicMs()) return true;
    this.#again.armAt(nextMs);
    return false;
  }

  took(record: EngineRecord): void {
    this.#limit.take(this.#clock.monotonicMs(), record.value?.length ?? 0);
  }

  cancel(): void {
    this.#again.cancel();
  }
}
