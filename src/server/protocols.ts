// Which protocols the server speaks.

import type { Protocol, ProtocolHost } from "../network/host.js";
import { AmqpProtocol } from "../protocols/amqp/protocol.js";
import { NatsProtocol } from "../protocols/nats/protocol.js";

/** Makes a protocol. */
export type MakeProtocol = (host: ProtocolHost) => Protocol;

export type ProtocolTable = Readonly<Record<"amqp" | "nats", MakeProtocol>>;

export const PROTOCOLS: ProtocolTable = {
  amqp: (host) => new AmqpProtocol(host),
  nats: (host) => new NatsProtocol(host),
};
