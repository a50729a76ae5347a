// AMQP 0-9-1 as the server runs it.

import type { Duplex } from "node:stream";
import type { Measure, Peer, Protocol, ProtocolHost, ServedConnection } from "../../network/host.js";
import { Connection } from "./connection.js";
import { Realm } from "./realm.js";

export class AmqpProtocol implements Protocol {
  readonly name = "amqp";
  readonly #realm: Realm;

  constructor(host: ProtocolHost) {
    this.#realm = new Realm(host);
  }

  open(): Promise<void> {
    return this.#realm.open();
  }

  accept(socket: Duplex, peer: Peer): ServedConnection {
    return new Connection(this.#realm, socket, peer);
  }

  measures(): Iterable<Measure> {
    const { counters, alarm } = this.#realm;
    return counters.measures(alarm.reason !== undefined);
  }
}
