// Opens a server on a bus: what `omnibus serve` runs, and an application that lets others talk to its own bus.

import { Broker } from "../broker/broker.js";
import type { Bus } from "../bus/bus.js";
import { invalidOption, knownOptions, notSupported } from "../bus/option-checks.js";
import { PROTOCOLS } from "./protocols.js";
import { Server } from "./server.js";
import type { ServerOptions } from "./server-options.js";

const OPTIONS = ["amqp", "nats", "natsWebSocket", "http", "tls", "users", "anonymous", "limits", "log"];

/**
 * Lets clients of other protocols talk to a bus of the embedded engine, and resolves when they can. The bus stays open
 * when the server is closed. Errors: INVALID_OPTION, LISTEN_FAILED, NOT_SUPPORTED for a bus on another engine or one that
 * is open for looking only.
 *
 * @example
 * const server = await openServer(bus, { nats: { port: 0 }, amqp: "off", http: "off" });
 * console.log(`nats://127.0.0.1:${server.addresses.nats?.port}`);
 * await server.close();
 */
export async function openServer(bus: Bus, options: ServerOptions = {}): Promise<Server> {
  const { broker, name, isReadOnly, clock, random } = bus.engine;
  if (!(broker instanceof Broker)) throw notSupported(name, "serving other protocols");
  if (isReadOnly) throw invalidOption("bus of openServer", "open for looking only", "a bus that may write");
  const known = knownOptions("openServer", options, OPTIONS);
  return await Server.open({ bus, broker, clock, random, protocols: PROTOCOLS }, known);
}
