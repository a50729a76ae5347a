// Middleware: what runs around every call that hands messages over, and around every call of a handler.

import type { BatchItem } from "./batch.js";
import type { CommandType, EventType } from "./message-type.js";
import { invalidOption } from "./option-checks.js";
import { isOutcome, type Outcome } from "./outcome.js";
import type { AnyPublishOptions } from "./publish-options.js";
import type { Receipt } from "./receipt.js";

/** A message on its way, before it is encoded. */
export interface UnsentMessage {
  readonly subject: string;
  /** The payload, or the body where there is no message type. */
  readonly value: unknown;
  /** The application's headers: this message's own copy, to be added to, changed and removed from. */
  readonly headers: Record<string, string>;
}

/**
 * One call that hands messages over: `publish`, `send` and their like, of the bus, a queue, a topic, an exchange, a
 * producer, a transaction or a handler's context; `publishLive`, `request` and `gather`.
 */
export interface PublishContext {
  readonly operation: "publish" | "send";
  /** What `destination` names. */
  readonly kind: "topic" | "queue" | "exchange";
  readonly destination: string;
  /** Undefined for bodies without a message type. */
  readonly type: EventType | CommandType | undefined;
  /** One, or those that are taken together. */
  readonly messages: readonly UnsentMessage[];
  /** As they were given to the call; headers as they are now are in {@link UnsentMessage.headers}. */
  readonly options: Readonly<AnyPublishOptions>;
}

/** One call of a handler. */
export interface HandleContext {
  /** The queue or topic. */
  readonly source: string;
  /** Undefined for a queue. */
  readonly group: string | undefined;
  /** The event or command, or the queue or `topic/group` of a handler of whole messages. */
  readonly name: string;
  readonly isBatch: boolean;
  /** One, or those of the batch, with their payloads. */
  readonly messages: readonly BatchItem<unknown>[];
  /** Aborted when what is done from now on is in vain. */
  readonly signal: AbortSignal;
}

/** What the handler said of each message, in their order. Rejected: it failed, and the retry policy will decide. */
export type HandleResults = readonly PromiseSettledResult<Outcome>[];

/**
 * Runs around publishing, handling, or both. What is registered first is outermost. Each has to call `next` once, wait
 * for it, or throw.
 */
export interface Middleware {
  /**
   * Around a call that hands messages over. `next` resolves with the receipts (none for what is published live, or is
   * stored later, with a transaction or the answer of a handler), and rejects with what the caller would get. Throwing
   * before `next` refuses the messages: the caller gets what was thrown.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: most return nothing.
  publish?(context: PublishContext, next: () => Promise<readonly Receipt[]>): void | Promise<unknown>;
  /**
   * Around a call of a handler. `next` resolves with what it said, and rejects with what it threw. Returning nothing
   * keeps that; an {@link Outcome} takes its place for all messages of the call, changed results for each. Throwing is
   * failure, and the retry policy decides.
   */
  handle?(context: HandleContext, next: () => Promise<HandleResults>): HandleAnswer | Promise<HandleAnswer>;
}

// biome-ignore lint/suspicious/noConfusingVoidType: most return nothing.
export type HandleAnswer = void | Outcome | HandleResults;

/** What calls of one sender have in common. */
export type PublishOrigin = Pick<PublishContext, "operation" | "kind" | "destination" | "type"> &
  Pick<UnsentMessage, "subject">;

export type MessageHeaders = Readonly<Record<string, string>>;

/** All middleware of a bus. */
export class MiddlewareChain {
  /** Undefined when there is none, so that publishing without costs one comparison. */
  publishing: readonly Link<PublishContext, readonly Receipt[]>[] | undefined = undefined;
  handling: readonly Link<HandleContext, HandleResults>[] | undefined = undefined;

  /** Innermost of all so far. Errors: INVALID_OPTION. */
  add(middleware: Middleware): void {
    const { publish, handle } = checked(middleware);
    if (publish !== undefined)
      this.publishing = [
        ...(this.publishing ?? []),
        (context, next) => publish.call(middleware, context, next),
      ];
    if (handle !== undefined)
      this.handling = [...(this.handling ?? []), (context, next) => handle.call(middleware, context, next)];
  }

  /**
   * `handOver` gets the headers of each message as middleware has left them, to be taken instead of those of the
   * options. Errors: those of `handOver` and what middleware throws.
   */
  async publish(
    origin: PublishOrigin,
    values: readonly unknown[],
    options: AnyPublishOptions | undefined,
    handOver: (headers: readonly MessageHeaders[]) => Promise<readonly Receipt[]>,
  ): Promise<Receipt[]> {
    const { operation, kind, destination, type, subject } = origin;
    const messages = values.map((value) => ({ subject, value, headers: { ...options?.headers } }));
    const context: PublishContext = { operation, kind, destination, type, messages, options: options ?? {} };
    const last = () => handOver(messages.map(({ headers }) => headers));
    const links = this.publishing ?? [];
    return [...(await pass(links, 0, context, last, (_, inner) => inner ?? neverCalled("or throw")))];
  }

  /** Errors: those of `call` and what middleware throws. */
  handle(context: HandleContext, call: () => Promise<HandleResults>): Promise<HandleResults> {
    return pass(this.handling ?? [], 0, context, call, (answer, inner) => {
      if (answer === undefined) return inner ?? neverCalled("return an outcome, or throw");
      if (isOutcome(answer)) return context.messages.map(() => fulfilled(answer));
      return checkedResults(answer, context.messages.length);
    });
  }
}

type Link<C, R> = (context: C, next: () => Promise<R>) => unknown;

/** Runs the link at `index` around those after it, and `last` within them all. `decide` makes a result of what the link returned. */
async function pass<C, R>(
  links: readonly Link<C, R>[],
  index: number,
  context: C,
  last: () => Promise<R>,
  decide: (answer: unknown, inner: Promise<R> | undefined) => R | Promise<R>,
): Promise<R> {
  const link = links[index];
  if (link === undefined) return await last();
  let inner: Promise<R> | undefined;
  const next = (): Promise<R> => {
    if (inner !== undefined) throw new TypeError("a middleware has to call next() once; it called it twice");
    inner = pass(links, index + 1, context, last, decide);
    // A link that throws before it waits for this must not leave a rejection that nobody handles.
    inner.catch(() => undefined);
    return inner;
  };
  return await decide(await link(context, next), inner);
}

export function fulfilled(outcome: Outcome): PromiseSettledResult<Outcome> {
  return { status: "fulfilled", value: outcome };
}

function neverCalled(instead: string): never {
  throw new TypeError(`a middleware has to call next(), ${instead}; it did not`);
}

function checkedResults(answer: unknown, count: number): HandleResults {
  if (Array.isArray(answer) && answer.length === count && answer.every(isResult)) return answer;
  throw new TypeError(
    `a handle middleware has to return nothing, an outcome, or ${count} results like those of next()`,
  );
}

function isResult(value: unknown): value is PromiseSettledResult<Outcome> {
  if (typeof value !== "object" || value === null) return false;
  const { status, value: outcome } = value as { readonly status?: unknown; readonly value?: unknown };
  return status === "rejected" || (status === "fulfilled" && isOutcome(outcome));
}

function checked(middleware: unknown): Middleware {
  const { publish, handle } = (middleware ?? {}) as { readonly publish?: unknown; readonly handle?: unknown };
  for (const [name, part] of Object.entries({ publish, handle }))
    if (part !== undefined && typeof part !== "function")
      throw invalidOption(`${name} of use`, part, "a function of a context and next");
  if (publish === undefined && handle === undefined)
    throw invalidOption("middleware of use", middleware, "an object with publish, handle, or both");
  return middleware as Middleware;
}
