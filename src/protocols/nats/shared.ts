// What all connections of the protocol share.

import type { ProtocolHost } from "../../network/host.js";
import type { Counters } from "./counters.js";
import type { Outbound } from "./outbound.js";
import type { Pressure } from "./pressure.js";
import type { PublishRun } from "./publish-run.js";
import type { ServerInfo } from "./wire/replies.js";

export interface NatsShared {
  readonly host: ProtocolHost;
  readonly identity: Pick<
    ServerInfo,
    "server_id" | "server_name" | "version" | "proto" | "headers" | "jetstream"
  >;
  readonly counters: Counters;
  readonly outbound: Outbound;
  readonly pressure: Pressure;
  /** What is being published: empty between two chunks. */
  readonly run: PublishRun;
  /** Something to sign, another one each time. */
  nonce(): string;
  /** What a connection is known by in messages, also after a restart. */
  echoToken(clientId: number): string;
  /** The connection has ended. */
  gone(connection: { readonly delivered: number }): void;
}
