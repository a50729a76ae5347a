// A server for one test, on free ports, and clients of it that speak in lines.

import { connect } from "node:net";
import type { TestContext } from "node:test";
import { Broker } from "../../src/broker/broker.js";
import { type EmbeddedCapabilities, type EngineFactory, memory, openBus } from "../../src/index.js";
import { Server } from "../../src/server/server.js";
import type { ListenerName, ServerOptions } from "../../src/server/server-options.js";
import { KeptLog } from "../support/kept-log.js";
import { TextClient } from "../support/text-client.js";
import { LineProtocol } from "./line-protocol.js";

const logs = new WeakMap<Server, KeptLog>();
const brokers = new WeakMap<Server, Broker>();

/** Where the server listens for this protocol. */
export function portOf(server: Server, name: ListenerName = "amqp"): number {
  const { port } = server.addresses[name] ?? {};
  if (port === undefined) throw new Error(`The server does not listen for ${name}.`);
  return port;
}

/** A server that speaks in lines where others speak AMQP, and begins plain where others speak NATS. */
export async function lineServer(
  t: TestContext,
  options: ServerOptions = {},
  engine: EngineFactory<EmbeddedCapabilities> = memory(),
): Promise<Server> {
  const bus = await openBus(engine, { onError: () => undefined });
  const { broker, clock, random } = bus.engine;
  if (!(broker instanceof Broker)) throw new Error("The engine in memory has a broker.");
  t.after(() => bus.close());
  const log = new KeptLog();
  const server = await Server.open(
    {
      bus,
      broker,
      clock,
      random,
      protocols: {
        amqp: (host) => new LineProtocol("amqp", host),
        nats: (host) => new LineProtocol("nats", host, true),
      },
    },
    { amqp: { port: 0 }, nats: "off", http: "off", log, ...options },
  );
  t.after(() => server.close(0));
  logs.set(server, log);
  brokers.set(server, broker);
  return server;
}

/** What the server stands on. */
export function brokerOf(server: Server): Broker {
  const broker = brokers.get(server);
  if (broker === undefined) throw new Error("The server was not opened here.");
  return broker;
}

/** What the server said of itself. */
export function logOf(server: Server): KeptLog {
  return logs.get(server) ?? new KeptLog();
}

/** A client that sends lines and takes the answers one by one. */
export class LineClient extends TextClient {
  static connect(port: number, options: { readonly allowHalfOpen?: boolean } = {}): LineClient {
    return new LineClient(connect({ port, host: "127.0.0.1", ...options }));
  }

  async ask(line: string): Promise<string | undefined> {
    this.socket.write(`${line}\n`);
    return await this.line();
  }

  /** The next line; undefined when the connection is closed. */
  async line(): Promise<string | undefined> {
    return (await this.next("\n"))?.slice(0, -1);
  }
}
