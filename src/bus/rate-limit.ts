// How fast messages may go: so many a second, so many bits a second, or both.

import { invalidOption, knownOptions } from "./option-checks.js";

export interface RateLimitOptions {
  /** @default no limit */
  readonly messagesPerSecond?: number;
  /** Of bodies; headers and keys are not counted. @default no limit */
  readonly bitsPerSecond?: number;
}

/** Who comes so late makes up for it, so that a late timer costs nothing. Whoever comes later begins anew. */
const CATCH_UP_MS = 100;

/** An even flow: each message puts the next one off by what it takes. */
export class RateLimit {
  readonly #messageMs: number;
  readonly #byteMs: number;
  #nextMs = Number.NEGATIVE_INFINITY;

  /** Errors: INVALID_OPTION. */
  constructor(options: RateLimitOptions) {
    const known = knownOptions("rateLimit", options, ["messagesPerSecond", "bitsPerSecond"]);
    const messages = rateOf("messagesPerSecond", known.messagesPerSecond);
    const bits = rateOf("bitsPerSecond", known.bitsPerSecond);
    if (messages === Number.POSITIVE_INFINITY && bits === Number.POSITIVE_INFINITY)
      throw invalidOption("rateLimit", options, "messagesPerSecond, bitsPerSecond, or both");
    this.#messageMs = 1_000 / messages;
    this.#byteMs = 8_000 / bits;
  }

  /** When the next message may go, in milliseconds of the clock that {@link RateLimit.take} is told of. */
  get nextMs(): number {
    return this.#nextMs;
  }

  /** How many messages may go in so long, whatever their size; Infinity without a limit of messages. */
  messagesWithin(durationMs: number): number {
    return this.#messageMs === 0 ? Number.POSITIVE_INFINITY : Math.floor(durationMs / this.#messageMs);
  }

  /** Hot: a message with a body of so many bytes goes. Both limits hold: the one that takes longer counts. */
  take(nowMs: number, bodyBytes: number): void {
    const costMs = Math.max(this.#messageMs, this.#byteMs * bodyBytes);
    const beganMs = this.#nextMs < nowMs - CATCH_UP_MS ? nowMs : this.#nextMs;
    this.#nextMs = beganMs + costMs;
  }
}

function rateOf(option: string, rate: unknown): number {
  if (rate === undefined) return Number.POSITIVE_INFINITY;
  if (typeof rate === "number" && rate > 0 && rate < Number.POSITIVE_INFINITY) return rate;
  throw invalidOption(`rateLimit.${option}`, rate, "a number above 0");
}
