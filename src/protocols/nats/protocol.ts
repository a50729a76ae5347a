// The NATS protocol: core publish and subscribe, on the subjects of the bus.

import type { Duplex } from "node:stream";
import type { Random } from "../../io/io.js";
import type { Measure, Peer, Protocol, ProtocolHost, ServedConnection } from "../../network/host.js";
import { NatsConnection } from "./connection.js";
import { Counters } from "./counters.js";
import { Outbound } from "./outbound.js";
import { Pressure } from "./pressure.js";
import { PublishRun } from "./publish-run.js";
import type { NatsShared } from "./shared.js";

/** The server whose core protocol this is, as far as clients look at it. */
const SPOKEN_VERSION = "2.9.0";
const NONCE_WORDS = 4;
const ID_WORDS = 7;

export class NatsProtocol implements Protocol {
  readonly name = "nats";
  readonly startsPlain = true;
  readonly refusal = "-ERR 'maximum connections exceeded'\r\n";
  readonly #shared: NatsShared;
  readonly #counters = new Counters();
  readonly #connections = new Set<{ readonly delivered: number }>();

  constructor(host: ProtocolHost) {
    const { random } = host;
    const serverId = `N${hex(random, ID_WORDS).toUpperCase()}`.slice(0, 56);
    this.#shared = {
      host,
      identity: {
        server_id: serverId,
        server_name: "omnibus",
        version: SPOKEN_VERSION,
        proto: 1,
        headers: true,
        jetstream: false,
      },
      counters: this.#counters,
      outbound: new Outbound(),
      pressure: new Pressure(host.clock),
      run: new PublishRun(),
      nonce: () => Buffer.from(hex(random, NONCE_WORDS), "hex").toString("base64url"),
      echoToken: (clientId) => `${serverId}.${clientId}`,
      gone: (connection) => {
        this.#counters.delivered += connection.delivered;
        this.#connections.delete(connection);
      },
    };
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  accept(socket: Duplex, peer: Peer): ServedConnection {
    const connection = new NatsConnection(this.#shared, socket, peer);
    this.#connections.add(connection);
    return connection;
  }

  measures(): Iterable<Measure> {
    let delivered = 0;
    for (const connection of this.#connections) delivered += connection.delivered;
    return this.#counters.measures(delivered);
  }
}

function hex(random: Random, words: number): string {
  let text = "";
  for (let word = 0; word < words; word += 1) text += random.uint32().toString(16).padStart(8, "0");
  return text;
}
