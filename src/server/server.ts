// A server: its protocols on their listeners, what it is told anew while it runs, and its end.

import type { Server as HttpServer } from "node:http";
import type { Broker } from "../broker/broker.js";
import { BrokerError } from "../broker-error.js";
import type { Bus } from "../bus/bus.js";
import type { Clock, Random } from "../io/io.js";
import type { Measure, Protocol, ServerLog } from "../network/host.js";
import { Acceptor } from "./acceptor.js";
import { Connections } from "./connections.js";
import { LimitedLog } from "./limited-log.js";
import { limitsWith } from "./limits.js";
import { bound, type Listener, type ListenerAddress, listen } from "./listener.js";
import { standardErrorLog } from "./log.js";
import { isLoopback } from "./loopback.js";
import { Meters } from "./meters.js";
import { answerPage, type Readiness } from "./pages.js";
import type { ProtocolTable } from "./protocols.js";
import { ServedHost } from "./served-host.js";
import {
  type ListenerName,
  type ListenerPlan,
  plannedListeners,
  type ReloadableOptions,
  type ServerOptions,
} from "./server-options.js";
import { TlsGate } from "./tls-gate.js";
import { Users } from "./users.js";
import { webServer } from "./web-server.js";
import { serveWebSockets } from "./web-socket.js";

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
const PAGE_CONNECTIONS_MAX = 1_000;

/** Lets clients talk to a bus. Made by `openServer`. */
export class Server {
  readonly #base: ServerBase;
  readonly #log: ServerLog;
  readonly #limitedLog: LimitedLog;
  readonly #connections: Connections;
  readonly #users: Users;
  readonly #meters: Meters;
  readonly #host: ServedHost;
  readonly #acceptor: Acceptor;
  readonly #gate: TlsGate | undefined;
  readonly #plans: readonly ListenerPlan[];
  readonly #protocols = new Map<string, Protocol>();
  readonly #listeners: Listener[] = [];
  #pages: HttpServer | undefined = undefined;
  #webSockets: HttpServer | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  private constructor(base: ServerBase, options: ServerOptions) {
    const { bus, broker, clock, random } = base;
    const log = options.log ?? standardErrorLog;
    const limits = limitsWith(options.limits);
    const limitedLog = new LimitedLog(log, clock);
    const connections = new Connections(log);
    const users = new Users(random);
    const meters = new Meters(bus, clock);
    users.use(users.read(options.users, options.anonymous));
    this.#base = base;
    this.#log = log;
    this.#limitedLog = limitedLog;
    this.#connections = connections;
    this.#users = users;
    this.#meters = meters;
    this.#host = new ServedHost({
      broker,
      clock,
      random,
      limitedLog,
      users,
      connections,
      meters,
      limits,
    });
    this.#acceptor = new Acceptor({ host: this.#host, connections, limitedLog, meters });
    this.#gate = options.tls === undefined ? undefined : new TlsGate(options.tls, limits.handshakeMs);
    this.#plans = plannedListeners(options);
    assertSafe(this.#plans, options);
  }

  /** See `openServer`. */
  static async open(base: ServerBase, options: ServerOptions): Promise<Server> {
    const server = new Server(base, options);
    try {
      for (const plan of server.#plans) server.#listeners.push(await server.#listen(plan));
    } catch (error) {
      await server.close(0);
      throw error;
    }
    return server;
  }

  /** Where it listens. What is off is not there. */
  get addresses(): Readonly<Partial<Record<ListenerName, ListenerAddress>>> {
    return Object.fromEntries(this.#listeners.map(({ name, address }) => [name, address]));
  }

  /** Connections of all protocols. */
  get connectionCount(): number {
    return this.#connections.count;
  }

  /**
   * Takes other users, limits and certificates, for what begins from now on; what is left out is as if it never had been
   * given. Connections of users who are no more, who prove themselves otherwise or may do less are cut. Returns how many.
   * Errors: INVALID_OPTION, INVALID_CONFIGURATION; then all stays as it was.
   */
  reload(options: ReloadableOptions): number {
    assertSafe(this.#plans, options);
    const limits = limitsWith(options.limits);
    const users = this.#users.read(options.users, options.anonymous);
    if (options.tls !== undefined) this.#gate?.replace(options.tls, limits.handshakeMs);
    this.#host.limits = limits;
    if (this.#webSockets !== undefined) this.#webSockets.maxConnections = limits.connectionsMax;
    this.#users.use(users);
    return this.#connections.cut((access) => this.#users.reasonToEnd(access));
  }

  /**
   * Accepts nobody any more, lets every client finish, and resolves when all are gone: at the latest after `waitMs`,
   * when those that are left are cut. The bus stays open. Never rejects. @default 10 seconds
   */
  close(waitMs = CLOSE_WAIT_MS): Promise<void> {
    this.#closing ??= this.#close(waitMs);
    return this.#closing;
  }

  async #close(waitMs: number): Promise<void> {
    this.#acceptor.close();
    for (const listener of this.#listeners) if (listener.name !== "http") listener.close();
    this.#connections.shutDown();
    const timer = this.#base.clock.setTimer(() => {
      this.#connections.cut(() => "the server is being closed, and this client did not take its leave");
    }, waitMs);
    await this.#connections.empty();
    timer.cancel();
    for (const protocol of this.#protocols.values())
      await protocol.close?.().catch((error: unknown) => {
        this.#log.error({ protocol: protocol.name, error }, "a protocol was not closed in order");
      });
    for (const listener of this.#listeners) listener.close();
    this.#pages?.closeAllConnections();
  }

  async #listen(plan: ListenerPlan): Promise<Listener> {
    const gate = plan.hasTls ? this.#gate : undefined;
    switch (plan.name) {
      case "http":
        return await this.#servePages(plan, gate);
      case "natsWebSocket":
        return await this.#serveWebSockets(plan, gate, await this.#protocol("nats"));
      default: {
        const protocol = await this.#protocol(plan.name);
        return await listen(plan, this.#onTrouble(plan), (socket) =>
          this.#acceptor.accept(protocol, socket, gate),
        );
      }
    }
  }

  async #servePages(plan: ListenerPlan, gate: TlsGate | undefined): Promise<Listener> {
    const sources = {
      readiness: () => this.#readiness(),
      metrics: () => this.#meters.page(this.#measures()),
    };
    const server = webServer(gate, PAGE_CONNECTIONS_MAX, (request, response) => {
      answerPage(sources, request, response);
    });
    this.#pages = server;
    return await bound(plan, this.#onTrouble(plan), server);
  }

  async #serveWebSockets(
    plan: ListenerPlan,
    gate: TlsGate | undefined,
    protocol: Protocol,
  ): Promise<Listener> {
    const server = webServer(gate, this.#host.limits.connectionsMax, (_, response) => {
      response.writeHead(426, { upgrade: "websocket" }).end();
    });
    this.#webSockets = server;
    serveWebSockets(server, {
      host: plan.host,
      origins: plan.origins,
      messageBytesMax: this.#host.limits.messageBytesMax,
      take: ({ socket }) => this.#acceptor.hasRoom(protocol, `${socket.remoteAddress}:${socket.remotePort}`),
      accept: (stream, request) => this.#acceptor.acceptStream(protocol, stream, request),
    });
    return await bound(plan, this.#onTrouble(plan), server);
  }

  /** What is open goes on. */
  #onTrouble({ name }: ListenerPlan): (error: Error) => void {
    return ({ message }) =>
      this.#limitedLog.warn({ listener: name, reason: message }, "a socket was not accepted");
  }

  async #protocol(kind: "amqp" | "nats"): Promise<Protocol> {
    const known = this.#protocols.get(kind);
    if (known !== undefined) return known;
    const protocol = this.#base.protocols[kind](this.#host);
    this.#protocols.set(kind, protocol);
    await protocol.open();
    return protocol;
  }

  #readiness(): Readiness {
    if (this.#closing !== undefined) return { isReady: false, reason: "the server is being closed" };
    const trouble = this.#base.broker.trouble;
    return trouble === undefined ? { isReady: true, reason: "ready" } : { isReady: false, reason: trouble };
  }

  *#measures(): Generator<Measure> {
    yield* this.#connections.measures();
    for (const protocol of this.#protocols.values()) yield* protocol.measures();
  }
}

/** Errors: INVALID_CONFIGURATION where strangers would have free entry, or a certificate is missing. */
function assertSafe(plans: readonly ListenerPlan[], { users = [], tls }: ReloadableOptions): void {
  for (const { name, host, hasTls } of plans) {
    if (hasTls && tls === undefined)
      throw new BrokerError(
        "INVALID_CONFIGURATION",
        `The listener ${name} is to use TLS, and there is no certificate. Give tls with a certificate and its key.`,
        { listener: name },
      );
    if (users.length > 0 || isLoopback(host)) continue;
    throw new BrokerError(
      "INVALID_CONFIGURATION",
      `The listener ${name} is to listen on ${host}, which other machines can reach, and there are no users: anybody could read and write everything. Add users, with passwords from \`omnibus hash-password\`, or listen on 127.0.0.1.`,
      { listener: name, host },
    );
  }
}
