// What applications send as part of something larger: a handler's answer, or a transaction.

import type { Capabilities } from "../engines/engine.js";
import type { CommandType, EventType } from "./message-type.js";
import type {
  BodyOptions,
  EventPublishOptions,
  PublishOptions,
  TopicBodyOptions,
} from "./publish-options.js";

/**
 * Sends as part of something larger: each verb resolves when the message is checked and encoded, and nothing is stored
 * before the whole is. One message that is refused makes the whole fail. Up to 10,000 messages, with 64 MiB of bodies.
 *
 * Errors of every verb: those of the same verb of the bus, of a queue and of a topic; TRANSACTION_ENDED when the whole
 * is over, TRANSACTION_TOO_LARGE, NOT_SUPPORTED.
 */
export interface Outputs<C extends Capabilities = Capabilities> {
  publish<In, Out>(
    event: EventType<In, Out>,
    value: NoInfer<In>,
    options?: EventPublishOptions<C>,
  ): Promise<void>;
  send<In, Out>(
    command: CommandType<In, Out>,
    value: NoInfer<In>,
    options?: PublishOptions<C>,
  ): Promise<void>;
  /** A queue, for bodies without a message type. It is made with its defaults when it is not there. */
  queue(name: string): QueueOutputs<C>;
  /** A topic, for bodies without a message type. It is made with its defaults when it is not there. */
  topic(name: string): TopicOutputs<C>;
  /** An exchange, for bodies without a message type; EXCHANGE_NOT_FOUND makes the whole fail when it is not there. The empty name is the bus itself. */
  exchange(name: string): ExchangeOutputs<C>;
}

export interface QueueOutputs<C extends Capabilities = Capabilities> {
  send(body: string | Uint8Array, options?: BodyOptions<C>): Promise<void>;
}

export interface TopicOutputs<C extends Capabilities = Capabilities> {
  publish(body: string | Uint8Array, options?: TopicBodyOptions<C>): Promise<void>;
}

export interface ExchangeOutputs<C extends Capabilities = Capabilities> {
  /** With `mustRoute`, a message that leads nowhere makes the whole fail with UNROUTABLE. */
  publish(
    subject: string,
    body: string | Uint8Array,
    options?: BodyOptions<C> & { readonly mustRoute?: boolean },
  ): Promise<void>;
}

/** What sends as part of something larger, unless the engine is known not to store several things as one. */
export type IfTransacted<C extends Capabilities> = C["transactions"] extends false
  ? { readonly [K in keyof Outputs]?: never }
  : Outputs<C>;
