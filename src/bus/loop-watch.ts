// Tells when something in this process has blocked its event loop: nobody else could say why all stood still.

import { BrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { Reporter } from "./reporter.js";

/** How often it looks while messages are being handled. */
const BEAT_MS = 1_000;
/** A look that is so late has been held up. */
const BLOCKED_MS = 3_000;

export class LoopWatch {
  readonly #clock: Clock;
  readonly #isBusy: () => boolean;
  readonly #onError: Reporter;
  readonly #timer: DueTimer;
  #dueMs = 0;
  #isWatching = false;

  /** `isBusy`: whether there is something to be held up. */
  constructor(clock: Clock, isBusy: () => boolean, onError: Reporter) {
    this.#clock = clock;
    this.#isBusy = isBusy;
    this.#onError = onError;
    this.#timer = new DueTimer(clock, () => this.#look());
  }

  /** Hot: once for all messages that are handed over in a turn. Watches for as long as it is busy. */
  watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    this.#beat();
  }

  #beat(): void {
    this.#dueMs = this.#clock.monotonicMs() + BEAT_MS;
    this.#timer.armAt(this.#dueMs);
  }

  #look(): void {
    const lateMs = Math.round(this.#clock.monotonicMs() - this.#dueMs);
    if (lateMs >= BLOCKED_MS) this.#onError(blocked(lateMs), "handling messages");
    if (this.#isBusy()) this.#beat();
    else this.#isWatching = false;
  }
}

function blocked(blockedMs: number): BrokerError {
  return new BrokerError(
    "EVENT_LOOP_BLOCKED",
    `The event loop of this process was blocked for at least ${blockedMs} ms: no handler went on meanwhile, nothing was stored, and no timer ran. Look for a handler that computes for long without waiting, and give its work to a worker thread.`,
    { blockedMs },
  );
}
