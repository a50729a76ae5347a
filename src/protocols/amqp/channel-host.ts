// What a connection and its channels know of each other. The connection reads frames, puts messages together and gives
// each channel what is for it, in order; the channel answers through the connection's writer.

import type { Appended } from "../../broker/appended.js";
import type { Session } from "../../broker/session.js";
import type { Access, Peer, ProtocolHost } from "../../network/host.js";
import type { SocketWriter } from "../../network/socket-writer.js";
import type { IncomingPublish } from "./incoming-publish.js";
import type { Realm } from "./realm.js";
import type { Method, MethodFields, MethodName } from "./wire/methods.js";

/** The methods that a connection gives to {@link ServedChannel.method}: all others it takes itself, or has its own ways for. */
export type ChannelMethod = Method<ChannelMethodName>;

type ChannelMethodName = Exclude<
  Extract<
    MethodName,
    | `access.${string}`
    | `exchange.${string}`
    | `queue.${string}`
    | `basic.${string}`
    | `confirm.${string}`
    | `tx.${string}`
    | `channel.flow${string}`
  >,
  "basic.publish" | "basic.ack" | "basic.nack" | "basic.reject"
>;

/**
 * A channel, as its connection drives it. While a promise that one of its methods returned is pending, whatever comes
 * next for this channel waits in the connection, and other channels go on. Errors that are thrown, or that the promise
 * rejects with, close the channel or the connection: ProtocolError as it says, BrokerError as `errors.ts` maps
 * it, and others as INTERNAL_ERROR; the close names the method that was under way.
 */
export interface ServedChannel {
  /** Hot: a whole message. */
  publish(publish: IncomingPublish): Promise<void> | undefined;
  /** Hot. A tag of 0 with `isMultiple` means all. */
  ack(deliveryTag: number, isMultiple: boolean): Promise<void> | undefined;
  nack(deliveryTag: number, isMultiple: boolean, isRequeued: boolean): Promise<void> | undefined;
  reject(deliveryTag: number, isRequeued: boolean): Promise<void> | undefined;
  method(method: ChannelMethod): Promise<void> | undefined;
  /** The client takes what waits for it no more, for now: nothing should be handed to it until {@link resume}. */
  pause(): void;
  resume(): void;
  /** It is over: gives back what was not settled, ends its consumers, sends nothing. Resolves when that is done. Never rejects. */
  close(): Promise<void>;
  /** For operators. */
  readonly consumerCount: number;
}

/** What a channel finds in its connection. */
export interface ChannelHost {
  readonly host: ProtocolHost;
  readonly realm: Realm;
  readonly peer: Peer;
  readonly access: Access;
  /** Of the connection: its exclusive queues go when it ends. */
  readonly session: Session;
  readonly writer: SocketWriter;
  /** Of all channels. */
  readonly consumerCount: number;
  /** When what is being read came, by the wall clock: asking it for every message is dear. */
  readonly nowMs: number;
  /** Bytes of a frame with its 8 bytes of header and end, at most; 0 is no limit. */
  readonly frameMax: number;
  /** Whether the client's capabilities table has `name`, such as `consumer_cancel_notify`. */
  can(name: string): boolean;
  /** Sends a method now. */
  send<N extends MethodName>(channelNumber: number, name: N, fields: MethodFields<N>): void;
  /** Hot: to be called with every message that was stored, once: who publishes faster than that goes is read from no more. */
  track(appended: Appended, bodyBytes: number): void;
  /** Resolves when all that was published on this connection is stored, or is known not to be; undefined when it is. */
  stored(): Promise<unknown> | undefined;
  /** To be called after writing, when {@link SocketWriter.isCongested}: pauses all channels until there is room. */
  congested(): void;
  /**
   * Closes the channel, or the connection: for what goes wrong outside of a call by the connection. Takes any error, as
   * {@link ServedChannel} says.
   */
  fail(channelNumber: number, error: unknown, method?: MethodName): void;
}
