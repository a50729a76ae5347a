// Which protocols the server speaks.

import type { Protocol, ProtocolHost } from "../network/host.js";

/** Makes a protocol. */
export type MakeProtocol = (host: ProtocolHost) => Protocol;

/** Undefined for one that this version does not speak. */
export type ProtocolTable = Readonly<Record<"amqp" | "nats", MakeProtocol | undefined>>;

export const PROTOCOLS: ProtocolTable = {
  amqp: undefined,
  nats: undefined,
};
