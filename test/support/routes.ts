// Bindings in few words, and where a message goes along them.

import type { Binding } from "../../src/broker/binding.js";
import type { Broker } from "../../src/broker/broker.js";
import { type BrokerWorld, message } from "./broker-world.js";

/** What a binding asks of a message. */
export type Bound = Omit<Binding, "from" | "to">;

export const toQueue = (name: string, how: Bound = {}): Omit<Binding, "from"> => ({
  to: { kind: "queue", name },
  ...how,
});

export const toExchange = (name: string, how: Bound = {}): Omit<Binding, "from"> => ({
  to: { kind: "exchange", name },
  ...how,
});

/** Where a message goes, by name. */
export function reached(
  broker: Broker,
  exchange: string,
  {
    subject = "s",
    key = null,
    headers,
  }: { subject?: string; key?: string | null; headers?: Record<string, string> } = {},
): string[] {
  const properties = headers === undefined ? {} : { headers };
  const appended = broker.publish(message("m", { subject, key, ...properties }), exchange);
  return appended.map(({ destination }) => destination);
}

/** A broker of this world that has these queues. */
export async function withQueues(world: BrokerWorld, names: readonly string[]): Promise<Broker> {
  const broker = await world.open();
  for (const name of names) await broker.declareQueue(name);
  return broker;
}
