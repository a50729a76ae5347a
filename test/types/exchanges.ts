// What may be said about a binding follows from the kind of the exchange. Compiled with everything else; never run.

import { type Bus, type EmbeddedCapabilities, event, type Receipt } from "../../src/index.js";
import { type Equal, isTrue } from "./check.js";

const Placed = event<number>("order.placed");

export async function bindings(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  const queue = bus.queue("q");
  const topic = bus.exchange("t", { kind: "topic" });
  await topic.bind(queue, { pattern: "order.*" });
  // @ts-expect-error: a pattern is needed.
  await topic.bind(queue);
  // @ts-expect-error: a topic exchange does not look at headers.
  await topic.bind(queue, { pattern: "a", headers: { match: "all", values: {} } });
  const fanout = bus.exchange("f", { kind: "fanout" });
  await fanout.bind(topic);
  // @ts-expect-error: a fanout exchange looks at nothing.
  await fanout.bind(queue, { pattern: "a" });
  const headers = bus.exchange("h", { kind: "headers" });
  await headers.bind(bus.topic("x"), { headers: { match: "any", values: { region: "eu" } } });
  // @ts-expect-error: there is all and any.
  await headers.bind(queue, { headers: { match: "some", values: {} } });
  const shares = bus.exchange("c", { kind: "consistent-hash" });
  await shares.bind(queue);
  await shares.bind(queue, { weight: 3 });
  // @ts-expect-error: a name is not enough.
  await shares.bind("q");
  // Where the kind is not said, it is not known what a binding needs.
  const any = bus.exchange("a");
  await any.bind(queue);
  await any.bind(queue, { pattern: "a" });
  await any.bind(queue, { weight: 1 });
  // @ts-expect-error: a kind that does not exist.
  bus.exchange("r", { kind: "random" });
}

export async function publishing(bus: Bus): Promise<void> {
  const receipts = await bus.exchange("x").publish("s", "a", { mustRoute: true, delay: "1s" });
  isTrue<Equal<typeof receipts, Receipt[]>>();
  // @ts-expect-error: bodies are text or bytes.
  await bus.exchange("x").publish("s", { id: 1 });
}

export async function forwarding(bus: Bus): Promise<void> {
  await bus.queue("q").forwardTo({ event: Placed });
  await bus.queue("q").forwardTo({ subject: "s", exchange: bus.exchange("x") });
  // @ts-expect-error: an event has a subject.
  await bus.queue("q").forwardTo({ event: Placed, subject: "s" });
}
