// A server that speaks NATS on a bus in memory, and its clients: real ones, and ones that say what they are told to.

import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import type { TestContext } from "node:test";
import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node";
import { type Bus, type EmbeddedCapabilities, memory, openBus } from "../../../src/index.js";
import { openServer } from "../../../src/server/open-server.js";
import type { Server } from "../../../src/server/server.js";
import type { ServerOptions } from "../../../src/server/server-options.js";
import { KeptLog } from "../../support/kept-log.js";
import { TextClient } from "../../support/text-client.js";

/** A server with its bus, for one test. */
export class World {
  readonly bus: Bus<EmbeddedCapabilities>;
  readonly server: Server;
  readonly log: KeptLog;
  readonly #t: TestContext;

  private constructor(t: TestContext, bus: Bus<EmbeddedCapabilities>, server: Server, log: KeptLog) {
    this.#t = t;
    this.bus = bus;
    this.server = server;
    this.log = log;
  }

  static async open(t: TestContext, options: ServerOptions = {}): Promise<World> {
    const bus = await openBus(memory());
    t.after(() => bus.close());
    const log = new KeptLog();
    const server = await openServer(bus, {
      nats: { port: 0 },
      amqp: "off",
      http: "off",
      log,
      ...options,
    });
    t.after(() => server.close(0));
    return new World(t, bus, server, log);
  }

  get port(): number {
    return this.server.addresses.nats!.port;
  }

  /** A real client. */
  async client(options: NodeConnectionOptions = {}): Promise<NatsConnection> {
    const client = await connect({ port: this.port, reconnect: false, ...options });
    this.#t.after(() => client.close());
    return client;
  }

  /** A client that says what it is told to, which has read the server's first line. */
  async raw(): Promise<RawClient> {
    const client = await RawClient.connect(this.port);
    this.#t.after(() => client.socket.destroy());
    return client;
  }
}

/** Sends bytes, and reads what comes. */
export class RawClient extends TextClient {
  info: Readonly<Record<string, unknown>> = {};

  static async connect(port: number): Promise<RawClient> {
    const socket = connectSocket({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    const client = new RawClient(socket);
    const line = await client.until("\r\n");
    client.info = JSON.parse(line.slice("INFO ".length)) as Readonly<Record<string, unknown>>;
    return client;
  }

  send(...texts: readonly string[]): void {
    for (const text of texts) this.socket.write(text, "latin1");
  }

  /** What comes until `end` has come, `end` included. Rejects when the connection is closed before. */
  async until(end: string): Promise<string> {
    const text = await this.next(end);
    if (text === undefined) throw new Error(`closed before ${JSON.stringify(end)}: ${this.received}`);
    return text;
  }

  /** Sends, and gives what is answered before the PONG to a PING that is sent after it. */
  async ask(...texts: readonly string[]): Promise<string> {
    this.send(...texts, "PING\r\n");
    const answer = await this.until("PONG\r\n");
    return answer.slice(0, -"PONG\r\n".length);
  }
}

/** A CONNECT line. */
export function connectLine(options: Readonly<Record<string, unknown>> = {}): string {
  return `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, ...options })}\r\n`;
}
