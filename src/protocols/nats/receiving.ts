// What subscriptions need of the connection whose they are.

import type { SocketWriter } from "../../network/socket-writer.js";
import type { Outbound } from "./outbound.js";
import type { Origin } from "./publication.js";
import type { NatsSubscription } from "./subscription.js";

export interface Receiving extends Origin {
  readonly writer: SocketWriter;
  readonly outbound: Outbound;
  /** Whether the client takes headers. */
  readonly hasHeaders: boolean;
  /** How many messages it was sent. */
  delivered: number;
  /** The subscription has what it asked for. */
  ended(subscription: NatsSubscription): void;
  /** More waits for the client than should. */
  congested(): void;
}
