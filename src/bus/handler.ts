// What applications write to handle messages: options, context, single and batch handlers.

import { BrokerError } from "../broker-error.js";
import type { Capabilities, EngineDelivery } from "../engines/engine.js";
import { type Duration, toMs } from "./duration.js";
import { isOutcome, type Outcome } from "./outcome.js";
import type { RetryOptions } from "./retry-policy.js";
import { StoredMessage } from "./stored-message.js";

interface BasicHandlerOptions {
  /**
   * Calls at the same time, at least 1. With 1, messages are handled in order, but for those that are retried.
   * @default 1
   */
  readonly concurrency?: number;
  /**
   * Messages held for this handler, those being handled included. @default 100, and at least twice what is handled at
   * a time
   */
  readonly prefetch?: number;
  /** How long a message stays with this process should it stop answering; renewed while the handler runs. @default "30s" */
  readonly lease?: Duration;
  /**
   * How long one call may take. Then its signal is aborted, the message counts as failed, and what the call answers is
   * not heard. @default "5m"
   */
  readonly timeout?: Duration;
  /**
   * What becomes of a message whose handler fails. @default 5 attempts, after 1 s and then twice as long each time
   */
  readonly retry?: RetryOptions;
}

interface KeyOrderOptions {
  /** `"key"`: of each key one message at a time, in order, while other keys go on. @default "none" */
  readonly orderBy?: "none" | "key";
  /** With `orderBy: "key"`: whether later messages of a key wait while one of them is retried. @default "block" */
  readonly onRetry?: "block" | "park";
}

export type HandlerOptions<C extends Capabilities = Capabilities> = BasicHandlerOptions &
  (C["orderByKey"] extends true ? KeyOrderOptions : { readonly [K in keyof KeyOrderOptions]?: never });

export interface BatchOptions {
  /** Messages in one call, at least 1. */
  readonly max: number;
  /** How long to wait for a full batch after its first message. @default 0, which takes what is there */
  readonly wait?: Duration;
}

export type AnyHandlerOptions = BasicHandlerOptions & KeyOrderOptions;

/**
 * Returning nothing is success, throwing is failure, an {@link Outcome} says more. Anything else that is returned is a
 * failure.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is the common one.
export type Handler<T> = (value: T, context: HandlerContext) => void | Outcome | Promise<void | Outcome>;
/** Has to say of each message what became of it: its result is made by {@link Batch.map}. */
export type BatchHandler<T> = (batch: Batch<T>, context: BatchContext) => BatchResult | Promise<BatchResult>;

/** What a handler knows beside the payload. */
export class HandlerContext {
  readonly #delivery: EngineDelivery;
  readonly #source: string;
  readonly #extend: (extendMs: number) => void;
  #abort: AbortController | undefined = undefined;
  #message: StoredMessage | undefined = undefined;

  constructor(delivery: EngineDelivery, source: string, extend: (extendMs: number) => void) {
    this.#delivery = delivery;
    this.#source = source;
    this.#extend = extend;
  }

  get message(): StoredMessage {
    this.#message ??= new StoredMessage(this.#delivery.record, this.#source, this.#delivery.partition);
    return this.#message;
  }

  /** The first try is 1. */
  get attempt(): number {
    return this.#delivery.attempt;
  }

  /** Aborted when the lease is lost, the time is over, or the bus closes without waiting: what is done from then on is in vain. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (!this.#delivery.isLeased)
        this.abort(new BrokerError("LEASE_LOST", "The message is no longer leased to this handler."));
    }
    return this.#abort.signal;
  }

  /** Gives the handler this much time from now on, instead of what is left of its timeout. Errors: LEASE_LOST, INVALID_OPTION. */
  extend(duration: Duration): void {
    this.#extend(toMs("extend", duration));
  }

  /** Called by the runner. */
  abort(reason: unknown): void {
    this.#abort?.abort(reason);
  }
}

/** One message of a batch. */
export interface BatchItem<T> {
  readonly value: T;
  readonly message: StoredMessage;
  readonly attempt: number;
}

export interface BatchContext {
  /** Aborted when the time is over or the bus closes without waiting. */
  readonly signal: AbortSignal;
}

declare const SETTLED: unique symbol;
/** What became of each message of a batch. Only {@link Batch.map} makes it. */
export interface BatchResult {
  readonly [SETTLED]: true;
  readonly outcomes: readonly Promise<Outcome>[];
}

/**
 * Several messages handled in one call.
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
    return { outcomes } as unknown as BatchResult;
  }
}
