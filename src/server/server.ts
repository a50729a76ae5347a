// A server: its protocols on their listeners, the connections on those, and its end.

import type { Socket } from "node:net";
import type { Broker } from "../broker/broker.js";
import { BrokerError } from "../broker-error.js";
import type { Bus } from "../bus/bus.js";
import type { Clock, Random } from "../io/io.js";
import type {
  Access,
  ConnectionLimits,
  Credentials,
  Peer,
  Protocol,
  ProtocolHost,
  ServerLog,
} from "../network/host.js";
import { Connections } from "./connections.js";
import { limitsWith } from "./limits.js";
import { type Listener, type ListenerAddress, listen } from "./listener.js";
import { standardErrorLog } from "./log.js";
import { UserAccess } from "./permissions.js";
import type { ProtocolTable } from "./protocols.js";
import {
  type ListenerName,
  type ListenerPlan,
  plannedListeners,
  type ServerOptions,
} from "./server-options.js";

/** What a server stands on. */
export interface ServerBase {
  readonly bus: Bus;
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly protocols: ProtocolTable;
}

/** How long {@link Server.close} waits for clients to take their leave. */
const CLOSE_WAIT_MS = 10_000;

const PROTOCOL_OF = { amqp: "amqp", nats: "nats", natsWebSocket: "nats", http: undefined } as const;

export class Server implements ProtocolHost {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ServerLog;
  readonly anonymous: Access | undefined;
  readonly #limits: ConnectionLimits;
  readonly #connections: Connections;
  readonly #table: ProtocolTable;
  readonly #protocols = new Map<string, Protocol>();
  readonly #listeners: Listener[] = [];
  #closing: Promise<void> | undefined = undefined;

  private constructor({ broker, clock, random, protocols }: ServerBase, options: ServerOptions) {
    this.broker = broker;
    this.clock = clock;
    this.random = random;
    this.log = options.log ?? standardErrorLog;
    this.anonymous = new UserAccess("anonymous", undefined);
    this.#limits = limitsWith(options.limits);
    this.#table = protocols;
    this.#connections = new Connections(this.log);
  }

  /** See `openServer`. */
  static async open(base: ServerBase, options: ServerOptions): Promise<Server> {
    const server = new Server(base, options);
    try {
      for (const plan of plannedListeners(options)) await server.#listen(plan);
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  /** Where it listens. What is off is not there. */
  get addresses(): Readonly<Partial<Record<ListenerName, ListenerAddress>>> {
    return Object.fromEntries(this.#listeners.map(({ name, address }) => [name, address]));
  }

  get limits(): ConnectionLimits {
    return this.#limits;
  }

  authenticate(credentials: Credentials, peer: Peer): Promise<Access | undefined> {
    const user = "user" in credentials ? credentials.user : "anonymous";
    const access = new UserAccess(user, undefined);
    this.#connections.belongsTo(peer.id, access);
    return Promise.resolve(access);
  }

  /**
   * Accepts nobody any more, lets every client finish, and resolves when all are gone: at the latest after `waitMs`,
   * when those that are left are cut. The bus stays open. Never rejects.
   */
  close(waitMs = CLOSE_WAIT_MS): Promise<void> {
    this.#closing ??= this.#close(waitMs);
    return this.#closing;
  }

  async #close(waitMs: number): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#connections.shutDown();
    const timer = this.clock.setTimer(() => {
      this.#connections.cut(() => "the server is being closed");
    }, waitMs);
    await this.#connections.empty();
    timer.cancel();
  }

  async #listen(plan: ListenerPlan): Promise<void> {
    const kind = PROTOCOL_OF[plan.name];
    if (kind === undefined) return;
    const protocol = await this.#protocol(kind);
    this.#listeners.push(await listen(plan, (socket) => this.#accept(protocol, socket)));
  }

  async #protocol(kind: "amqp" | "nats"): Promise<Protocol> {
    const known = this.#protocols.get(kind);
    if (known !== undefined) return known;
    const make = this.#table[kind];
    if (make === undefined)
      throw new BrokerError("NOT_SUPPORTED", `This version does not speak ${kind}. Turn it "off".`, {
        listener: kind,
      });
    const protocol = make(this);
    await protocol.open();
    this.#protocols.set(kind, protocol);
    return protocol;
  }

  #accept(protocol: Protocol, socket: Socket): void {
    if (this.#closing !== undefined || this.#connections.count >= this.#limits.connectionsMax)
      return void socket.destroy();
    const place = this.#connections.take(protocol);
    const peer: Peer = {
      id: place.id,
      address: `${socket.remoteAddress}:${socket.remotePort}`,
      localAddress: `${socket.localAddress}:${socket.localPort}`,
      isEncrypted: false,
      certificateName: undefined,
      startTls: undefined,
    };
    this.#connections.serve(place, protocol, socket, peer);
  }
}
