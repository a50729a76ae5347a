// A server with AMQP on a bus in memory, for one test.

import type { TestContext } from "node:test";
import { type Bus, memory, openBus } from "../../../src/index.js";
import type { ServerLog } from "../../../src/network/host.js";
import { openServer } from "../../../src/server/open-server.js";
import type { ServerOptions } from "../../../src/server/server-options.js";

export interface Serving {
  readonly port: number;
  readonly bus: Bus;
  /** What the server logged: warnings and errors. */
  readonly lines: string[];
  /** The number of that metric, without `omnibus_amqp_`. */
  metric(name: string): Promise<number>;
  /** Clients have so long to say goodbye. */
  close(graceMs?: number): Promise<void>;
}

/** Ends with the test. */
export async function serve(test: TestContext, options: Partial<ServerOptions> = {}): Promise<Serving> {
  const lines: string[] = [];
  const note = (_fields: unknown, text: string): void => void lines.push(text);
  const log: ServerLog = { debug: () => undefined, info: () => undefined, warn: note, error: note };
  const bus = await openBus(memory());
  const server = await openServer(bus, {
    amqp: { port: 0 },
    nats: "off",
    http: { port: 0 },
    log,
    ...options,
  });
  const close = async (graceMs?: number): Promise<void> => {
    await server.close(graceMs);
    await bus.close();
  };
  test.after(() => close(0));
  const metric = async (name: string): Promise<number> => {
    const page = await (await fetch(`http://127.0.0.1:${server.addresses.http!.port}/metrics`)).text();
    return Number(new RegExp(`^omnibus_amqp_${name} (.+)$`, "m").exec(page)?.[1]);
  };
  return { port: server.addresses.amqp!.port, bus, lines, metric, close };
}
