// What applications write to handle messages: options, context, single and batch handlers.

import type { Capabilities } from "../engines/engine.js";
import type { Batch, BatchItem, BatchResult } from "./batch.js";
import type { AnyConsumerOptions, ConsumerOptions } from "./consumer-options.js";
import type { Duration } from "./duration.js";
import type { Outcome } from "./outcome.js";
import type { IfTransacted, Outputs } from "./outputs.js";
import type { RateLimitOptions } from "./rate-limit.js";
import type { RetryOptions } from "./retry-policy.js";
import type { StoredMessage } from "./stored-message.js";
import type { IfSupported } from "./supported.js";

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
  /**
   * Bytes of bodies held for this handler before no more are fetched; one message is in any case. Handlers that share a
   * consumer have together what each may have. @default no limit
   */
  readonly prefetchBytes?: number;
  /** How long a message stays with this process should it stop answering; renewed while the handler runs. @default "30s" */
  readonly lease?: Duration;
  /**
   * How long one call may take. Then its signal is aborted, the message counts as failed, and what the call answers is
   * not heard. @default "5m"
   */
  readonly timeout?: Duration;
  /**
   * How fast messages are handled, at most; of a batch all at once, and the next one the later. What waits for its turn
   * counts as in flight. @default no limit
   */
  readonly rateLimit?: RateLimitOptions;
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
  ConsumerOptions<C> &
  IfSupported<C["orderByKey"], KeyOrderOptions>;

export interface BatchOptions {
  /** Messages in one call, at least 1. */
  readonly max: number;
  /** How long to wait for a full batch after its first message. @default 0, which takes what is there */
  readonly wait?: Duration;
}

export type AnyHandlerOptions = BasicHandlerOptions & AnyConsumerOptions & KeyOrderOptions;

/**
 * Returning nothing is success, throwing is failure, an {@link Outcome} says more. Anything else that is returned is a
 * failure.
 */
export type Handler<T, C extends Capabilities = Capabilities, Reply = unknown> = (
  value: T,
  context: HandlerContext<C>,
) => HandlerAnswer<Reply> | Promise<HandlerAnswer<Reply>>;
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is the common one.
type HandlerAnswer<Reply> = void | Outcome<Reply>;

/** Has to say of each message what became of it: its result is made by {@link Batch.map}. */
export type BatchHandler<T, C extends Capabilities = Capabilities> = (
  batch: Batch<T>,
  context: BatchContext<C>,
) => BatchResult | Promise<BatchResult>;

/**
 * What a handler knows beside the payload, and what it sends with its answer: `publish`, `send`, `queue` and `topic`
 * store their messages in one step with the acknowledgement, and nothing of them when the handler throws, asks for a
 * retry, dead-letters the message or has lost its lease.
 */
export type HandlerContext<C extends Capabilities = Capabilities> = MessageContext & IfTransacted<C>;

interface MessageContext {
  readonly message: StoredMessage;
  /** The first try is 1. */
  readonly attempt: number;
  /** Aborted when the lease is lost, the time is over, or the bus closes without waiting: what is done from then on is in vain. */
  readonly signal: AbortSignal;
  /** Gives the handler this much time from now on, instead of what is left of its timeout. Errors: LEASE_LOST, INVALID_OPTION. */
  extend(duration: Duration): void;
}

/**
 * What a handler of batches sends with its answer: `publish`, `send`, `queue` and `topic` store their messages in one
 * step with the acknowledgements of the batch, if there are any and none of them has lost its lease.
 */
export type BatchContext<C extends Capabilities = Capabilities> = AbortableContext &
  IfTransacted<C> &
  (C["transactions"] extends false ? { readonly for?: never } : ItemContexts<C>);

interface AbortableContext {
  /** Aborted when the time is over or the bus closes without waiting. */
  readonly signal: AbortSignal;
}

interface ItemContexts<C extends Capabilities> {
  /**
   * What is sent for one message of the batch: stored with the rest if that message is acknowledged, and not if it is
   * not.
   *
   * @example
   * return batch.map(async (item) => {
   *   await ctx.for(item).send(Ship, { order: item.value.id });
   *   return ack();
   * });
   */
  for(item: BatchItem<unknown>): Outputs<C>;
}

/** A handler that was registered. */
export interface Handling {
  /** Resolves when it receives messages. Errors: those of declaring its queue, topic or group; they are reported to `onError` too, and the handler is then as if it had not been registered. */
  readonly ready: Promise<void>;
  /** Calls that have not answered yet. */
  readonly running: number;
  /** Takes no more messages and waits for the calls that run. While other handlers of its queue or group go on, its messages wait for one that takes its place. */
  close(): Promise<void>;
}
