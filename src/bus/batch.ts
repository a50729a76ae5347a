// Several messages handled in one call.

import { BrokerError } from "../broker-error.js";
import { isOutcome, type Outcome } from "./outcome.js";
import type { StoredMessage } from "./stored-message.js";

/** One message of a batch. */
export interface BatchItem<T> {
  readonly value: T;
  readonly message: StoredMessage;
  readonly attempt: number;
}

declare const SETTLED: unique symbol;
/** What became of each message of a batch. Only {@link Batch.map} makes it. */
export interface BatchResult {
  readonly [SETTLED]: true;
}

/** What {@link Batch.map} really returns. */
class Outcomes {
  readonly batch: unknown;
  readonly outcomes: readonly Promise<Outcome>[];

  constructor(batch: unknown, outcomes: readonly Promise<Outcome>[]) {
    this.batch = batch;
    this.outcomes = outcomes;
  }
}

/**
 * Several messages handled in one call, in the order of their queue or partition.
 *
 * @example
 * bus.handle(IndexDocument, { batch: { max: 500, wait: "1s" } }, async (batch) => {
 *   const failed = await writeAll(batch.items.map((item) => item.value));
 *   return batch.map((item) => (failed.has(item.value.id) ? retry() : ack()));
 * });
 */
export class Batch<T> implements Iterable<BatchItem<T>> {
  readonly items: readonly BatchItem<T>[];

  constructor(items: readonly BatchItem<T>[]) {
    this.items = items;
  }

  get size(): number {
    return this.items.length;
  }

  [Symbol.iterator](): Iterator<BatchItem<T>> {
    return this.items[Symbol.iterator]();
  }

  /** Asks `settle` about every message. One for which it throws is retried by the policy and harms no other. */
  map(settle: (item: BatchItem<T>, index: number) => Outcome | Promise<Outcome>): BatchResult {
    const outcomes = this.items.map(async (item, index) => {
      const outcome: unknown = await settle(item, index);
      if (isOutcome(outcome)) return outcome;
      throw new BrokerError(
        "INVALID_OPTION",
        "A batch handler has to give an outcome for each message: ack(), retry(), deadLetter(reason) or drop().",
      );
    });
    for (const outcome of outcomes) outcome.catch(() => undefined);
    return new Outcomes(this, outcomes) as unknown as BatchResult;
  }
}

/** One outcome for each message of `batch`. Throws when `result` is nothing that its `map` has made. */
export function outcomesOf(batch: Batch<unknown>, result: unknown): readonly Promise<Outcome>[] {
  if (result instanceof Outcomes && result.batch === batch) return result.outcomes;
  throw new TypeError(
    "a batch handler has to return what batch.map gave it, so that each message has an outcome",
  );
}
