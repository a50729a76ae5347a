// Which protocols the server speaks.

import type { Protocol, ProtocolHost } from "../network/host.js";
import { AmqpProtocol } from "../protocols/amqp/protocol.js";
import { NatsProtocol } from "../protocols/nats/protocol.js";

/** Makes a protocol. */
export type MakeProtocol = (host: ProtocolHost) => Protocol;

/** Undefined for one that this version does not speak. */
export type ProtocolTable = Readonly<Record<"amqp" | "nats", MakeProtocol | undefined>>;

export const PROTOCOLS: ProtocolTable = {
  amqp: (host) => new AmqpProtocol(host),
  nats: (host) => new NatsProtocol(host),
};
