// A server made by hand, for what depends on time and limits: its clock stands still until the test lets it go on.

import { once } from "node:events";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { Broker } from "../../../src/broker/broker.js";
import { memory, openBus } from "../../../src/index.js";
import { systemIo } from "../../../src/io/system-io.js";
import type {
  Access,
  ConnectionLimits,
  Credentials,
  Peer,
  ProtocolHost,
  ServedConnection,
} from "../../../src/network/host.js";
import { NatsProtocol } from "../../../src/protocols/nats/protocol.js";
import { VirtualClock } from "../../../src/testing/virtual-clock.js";
import { KeptLog } from "../../support/kept-log.js";
import { RawClient } from "./world.js";

const MIB = 1024 * 1024;

const limitsOfTests: ConnectionLimits = {
  connectionsMax: 100,
  handshakeMs: 10_000,
  idleMs: 60_000,
  messageBytesMax: 16 * MIB,
  channelsMax: 100,
  subscriptionsMax: 1_000,
  pendingBytesMax: 64 * MIB,
  stallMs: 30_000,
};

/** May do everything. */
const everything: Access = {
  user: "somebody",
  mayPublish: () => true,
  maySubscribe: () => true,
  mayConfigure: () => true,
  mayRead: () => true,
  mayWrite: () => true,
};

/** How a server made by hand differs from one that lets everybody do everything. */
export interface HandOptions {
  readonly limits?: Partial<ConnectionLimits>;
  readonly anonymous?: Access | undefined;
  readonly authenticate?: (credentials: Credentials, peer: Peer) => Promise<Access | undefined>;
}

export class HandServer implements ProtocolHost {
  readonly broker: Broker;
  readonly clock = new VirtualClock();
  readonly random = systemIo.random;
  readonly log = new KeptLog();
  readonly limits: ConnectionLimits;
  readonly anonymous: Access | undefined;
  readonly connections: ServedConnection[] = [];
  readonly protocol: NatsProtocol;
  readonly #options: HandOptions;
  readonly #t: TestContext;
  readonly #net: NetServer;

  private constructor(t: TestContext, broker: Broker, net: NetServer, options: HandOptions) {
    this.broker = broker;
    this.limits = { ...limitsOfTests, ...options.limits };
    this.anonymous = "anonymous" in options ? options.anonymous : everything;
    this.#options = options;
    this.#t = t;
    this.#net = net;
    this.protocol = new NatsProtocol(this);
  }

  static async open(t: TestContext, options: HandOptions = {}): Promise<HandServer> {
    const bus = await openBus(memory());
    const { broker } = bus.engine;
    if (!(broker instanceof Broker)) throw new Error("The engine in memory has a broker.");
    const net = createServer({ noDelay: true });
    const server = new HandServer(t, broker, net, options);
    net.on("connection", (socket) => server.#accept(socket));
    net.listen(0, "127.0.0.1");
    await once(net, "listening");
    t.after(async () => {
      net.close();
      for (const connection of server.connections) connection.cut("the test is over");
      await bus.close();
    });
    return server;
  }

  authenticate(credentials: Credentials, peer: Peer): Promise<Access | undefined> {
    return this.#options.authenticate?.(credentials, peer) ?? Promise.resolve(everything);
  }

  /** A client that says what it is told to, and the connection that serves it. */
  async raw(): Promise<[client: RawClient, connection: ServedConnection]> {
    const client = await RawClient.connect(this.port);
    this.#t.after(() => client.socket.destroy());
    return [client, this.connections.at(-1)!];
  }

  get port(): number {
    const address = this.#net.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Lets time pass, and what is due happen. */
  async advance(durationMs: number): Promise<void> {
    await this.clock.advance(durationMs, () => new Promise((resolve) => setImmediate(resolve)));
  }

  /** A counter of the protocol. */
  count(name: string): number {
    for (const measure of this.protocol.measures()) if (measure.name === name) return measure.value;
    throw new Error(`there is no ${name}`);
  }

  #accept(socket: Socket): void {
    const peer: Peer = {
      id: this.connections.length + 1,
      address: `${socket.remoteAddress}:${socket.remotePort}`,
      localAddress: `${socket.localAddress}:${socket.localPort}`,
      isEncrypted: false,
      certificateName: undefined,
      startTls: undefined,
    };
    this.connections.push(this.protocol.accept(socket, peer));
  }
}
