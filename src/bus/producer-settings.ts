// A producer's options, complete and checked.

import { type Duration, toMs } from "./duration.js";
import { knownOptions, optionalText, wholeNumber } from "./option-checks.js";
import { RateLimit, type RateLimitOptions } from "./rate-limit.js";

export interface ProducerOptions {
  /** Shown in errors. @default the name of the type, queue or topic */
  readonly name?: string;
  /** Messages that were taken and have no answer yet, at most. Then `send` waits, and `enqueue` throws TOO_MANY_PENDING. @default 10,000 */
  readonly pendingMax?: number;
  /** Messages handed over in one turn of the event loop, at most. @default 1,000 */
  readonly batchMax?: number;
  /** How long a message waits for others to be handed over with, unless `batchMax` are there before. @default 0, which hands over what is there at the end of the turn */
  readonly linger?: Duration;
  /**
   * How long a message may wait for its receipt, from when the producer takes it. Then it fails with ACK_TIMEOUT: what
   * was handed over may be stored all the same, the rest is not. @default no limit
   */
  readonly ackTimeout?: Duration;
  /** @default no limit */
  readonly rateLimit?: RateLimitOptions;
}

const OPTIONS = ["name", "pendingMax", "batchMax", "linger", "ackTimeout", "rateLimit"];

export class ProducerSettings {
  readonly name: string;
  readonly pendingMax: number;
  readonly batchMax: number;
  readonly lingerMs: number;
  readonly ackTimeoutMs: number;
  readonly rateLimit: RateLimit | undefined;

  /** Errors: INVALID_OPTION. */
  constructor(defaultName: string, given: ProducerOptions) {
    const options = knownOptions("producer", given, OPTIONS);
    this.name = optionalText("name", options.name) ?? defaultName;
    this.pendingMax = wholeNumber("pendingMax", options.pendingMax ?? 10_000);
    this.batchMax = wholeNumber("batchMax", options.batchMax ?? 1_000);
    this.lingerMs = toMs("linger", options.linger ?? 0);
    const { ackTimeout, rateLimit } = options;
    this.ackTimeoutMs =
      ackTimeout === undefined ? Number.POSITIVE_INFINITY : toMs("ackTimeout", ackTimeout, 1);
    this.rateLimit = rateLimit === undefined ? undefined : new RateLimit(rateLimit);
  }
}
