// A handler's options, complete and checked.

import type { Random } from "../io/io.js";
import { CONSUMER_OPTIONS, ConsumerSettings } from "./consumer-options.js";
import { toMs } from "./duration.js";
import type { AnyHandlerOptions, BatchOptions } from "./handler.js";
import { invalidOption, knownOptions, oneOf, optionalLimit, wholeNumber } from "./option-checks.js";
import { RateLimit } from "./rate-limit.js";
import type { Reporter } from "./reporter.js";
import { Retries } from "./retry-policy.js";

export const HANDLER_OPTIONS: readonly string[] = [
  "concurrency",
  "prefetch",
  "prefetchBytes",
  "lease",
  "timeout",
  "retry",
  "orderBy",
  "onRetry",
  "batch",
  "rateLimit",
  ...CONSUMER_OPTIONS,
];

export class HandlerSettings {
  readonly concurrency: number;
  readonly prefetch: number;
  readonly prefetchBytes: number;
  readonly leaseMs: number;
  readonly timeoutMs: number;
  readonly isOrderedByKey: boolean;
  /** Whether later messages of a key wait for one that is retried. */
  readonly keepsTurn: boolean;
  readonly retries: Retries;
  readonly consumer: ConsumerSettings;
  /** Messages in one call; 1 for a handler of single messages. */
  readonly batchMax: number;
  readonly batchWaitMs: number;
  readonly rateLimit: RateLimit | undefined;

  /** Errors: INVALID_OPTION. */
  constructor(
    options: AnyHandlerOptions & { readonly batch?: BatchOptions },
    random: Random,
    onError: Reporter,
  ) {
    const batch = options.batch === undefined ? { max: 1 } : checkedBatch(options.batch);
    this.batchMax = batch.max;
    this.batchWaitMs = toMs("batch.wait", batch.wait ?? 0);
    this.concurrency = wholeNumber("concurrency", options.concurrency ?? 1);
    const busy = this.concurrency * this.batchMax;
    this.prefetch = wholeNumber("prefetch", options.prefetch ?? Math.max(100, 2 * busy));
    this.prefetchBytes = optionalLimit("prefetchBytes", options.prefetchBytes);
    this.leaseMs = toMs("lease", options.lease ?? "30s", 1);
    this.timeoutMs = toMs("timeout", options.timeout ?? "5m", 1);
    this.isOrderedByKey = oneOf("orderBy", options.orderBy ?? "none", ["none", "key"]) === "key";
    this.keepsTurn = oneOf("onRetry", options.onRetry ?? "block", ["block", "park"]) === "block";
    this.consumer = new ConsumerSettings(options);
    this.retries = new Retries(options.retry, random, onError);
    this.rateLimit = options.rateLimit === undefined ? undefined : new RateLimit(options.rateLimit);
    if (this.prefetch < busy)
      throw invalidOption(
        "prefetch",
        this.prefetch,
        `at least ${busy}, the messages that are handled at a time, or leave it out`,
      );
  }
}

function checkedBatch(batch: BatchOptions): BatchOptions {
  const known = knownOptions("batch", batch, ["max", "wait"]);
  wholeNumber("batch.max", known.max);
  return known;
}
