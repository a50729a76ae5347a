// A handler's options, complete and checked.

import { BrokerError } from "../broker-error.js";
import type { Random } from "../io/io.js";
import { toMs } from "./duration.js";
import type { AnyHandlerOptions, BatchOptions } from "./handler.js";
import { Retries } from "./retry-policy.js";

export class HandlerSettings {
  readonly concurrency: number;
  readonly prefetch: number;
  readonly leaseMs: number;
  readonly timeoutMs: number;
  readonly isOrderedByKey: boolean;
  /** Whether later messages of a key wait for one that is retried. */
  readonly keepsTurn: boolean;
  readonly retries: Retries;
  /** Messages in one call; 1 for a handler of single messages. */
  readonly batchMax: number;
  readonly batchWaitMs: number;

  /** Errors: INVALID_OPTION. */
  constructor(options: AnyHandlerOptions & { readonly batch?: BatchOptions }, random: Random) {
    this.batchMax = atLeastOne("batch.max", options.batch?.max ?? 1);
    this.batchWaitMs = toMs("batch.wait", options.batch?.wait ?? 0);
    this.concurrency = atLeastOne("concurrency", options.concurrency ?? 1);
    const busy = this.concurrency * this.batchMax;
    this.prefetch = atLeastOne("prefetch", options.prefetch ?? Math.max(100, 2 * busy));
    this.leaseMs = atLeastOne("lease", toMs("lease", options.lease ?? "30s"));
    this.timeoutMs = atLeastOne("timeout", toMs("timeout", options.timeout ?? "5m"));
    this.isOrderedByKey = oneOf("orderBy", options.orderBy ?? "none", ["none", "key"]) === "key";
    this.keepsTurn = oneOf("onRetry", options.onRetry ?? "block", ["block", "park"]) === "block";
    this.retries = new Retries(options.retry ?? {}, random);
    if (this.prefetch < busy) {
      throw new BrokerError(
        "INVALID_OPTION",
        `The option prefetch is ${this.prefetch}, less than the ${busy} messages that are handled at a time; leave it out, or give at least that.`,
        { option: "prefetch", value: this.prefetch },
      );
    }
  }
}

function atLeastOne(option: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1) return value;
  throw new BrokerError(
    "INVALID_OPTION",
    `The option ${option} is ${JSON.stringify(value)}; give a whole number of at least 1.`,
    { option, value: String(value) },
  );
}

function oneOf(option: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw new BrokerError(
    "INVALID_OPTION",
    `The option ${option} is ${JSON.stringify(value)}; give one of ${allowed.join(", ")}.`,
    { option, value },
  );
}
