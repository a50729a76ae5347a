import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { LiveMessage, LiveReceiver } from "../../src/broker/live-message.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";

/** Notes what it is offered. */
class Onlooker implements LiveReceiver {
  readonly group = undefined;
  readonly seen: string[] = [];

  offer({ subject, source, record }: LiveMessage): boolean {
    this.seen.push(`${subject} ${record.valueText()} ${source ?? "live"}`);
    return true;
  }
}

function onlooker(broker: Broker, pattern: string): Onlooker {
  const receiver = new Onlooker();
  broker.live.add(pattern, receiver);
  return receiver;
}

const names = (appended: readonly { readonly destination: string }[]): string[] =>
  appended.map(({ destination }) => destination);

test("what is broadcast reaches every queue that is bound, and those who look on at once", async () => {
  const broker = await new BrokerWorld().open();
  for (const name of ["a", "b"]) await broker.declareQueue(name);
  await broker.bind({ to: { kind: "queue", name: "a" }, pattern: "order.#" });
  await broker.bind({ to: { kind: "queue", name: "b" }, pattern: "order.*" });
  const [one, two] = [onlooker(broker, "order.>"), onlooker(broker, "*.placed")];
  const { appended, receivers } = broker.broadcast(message("m", { subject: "order.placed" }));
  assert.deepEqual([names(appended), receivers], [["a", "b"], 2]);
  assert.deepEqual([one.seen, two.seen], [["order.placed m live"], ["order.placed m live"]]);
  await Promise.all(appended.map(({ committed }) => committed));
  assert.deepEqual([broker.queue("a")!.count, broker.queue("b")!.count], [1, 1]);
  await broker.close();
});

test("what goes to a topic is seen when it is committed there, once", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareTopic("orders");
  await broker.declareQueue("work");
  await broker.bind({ to: { kind: "topic", name: "orders" }, pattern: "order.#" });
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "order.#" });
  const looking = onlooker(broker, "order.#");
  const { appended, receivers } = broker.broadcast(message("m", { subject: "order.placed" }));
  assert.deepEqual([names(appended), receivers, looking.seen], [["orders", "work"], 0, []]);
  await broker.flush();
  await world.quiet();
  assert.deepEqual(looking.seen, ["order.placed m orders"]);
  await broker.close();
});

test("a broadcast that nobody is there for comes to nothing and costs no object", async () => {
  const broker = await new BrokerWorld().open();
  const first = broker.broadcast(message("m", { subject: "nobody.here" }));
  assert.deepEqual(first, { appended: [], receivers: 0 });
  assert.equal(broker.broadcast(message("m", { subject: "nor.here" })), first);
  await broker.close();
});

test("what is broadcast to an inbox is only live, whatever is bound to the bus", async () => {
  const broker = await new BrokerWorld().open();
  await broker.declareQueue("everything");
  await broker.bind({ to: { kind: "queue", name: "everything" }, pattern: "#" });
  const receiver = new Onlooker();
  const everything = onlooker(broker, "#");
  const inbox = broker.live.openInbox(receiver);
  const subject = `${inbox.subject}.7`;
  assert.deepEqual(broker.broadcast(message("m", { subject })), { appended: [], receivers: 1 });
  assert.deepEqual([receiver.seen, everything.seen], [[`${subject} m live`], []]);
  await broker.close();
});

test("a broadcast that a queue refuses is seen by nobody", async () => {
  const broker = await new BrokerWorld().open();
  await broker.declareQueue("small", { countMax: 1 });
  await broker.bind({ to: { kind: "queue", name: "small" }, pattern: "a" });
  const looking = onlooker(broker, "a");
  broker.broadcast(message("1", { subject: "a" }));
  assert.throws(
    () => broker.broadcast(message("2", { subject: "a" })),
    (error) => isBrokerError(error, "QUEUE_FULL"),
  );
  assert.deepEqual(looking.seen, ["a 1 live"]);
  await broker.close();
});

test("a message goes past the queues that are full to all others, and to those who look on", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  for (const [name, countMax] of [
    ["full", 1],
    ["roomy", 10],
  ] as const) {
    await broker.declareQueue(name, { countMax });
    await broker.bind({ to: { kind: "queue", name }, pattern: "a" });
  }
  broker.broadcast(message("1", { subject: "a" }));
  const looking = onlooker(broker, "a");
  const { appended, receivers } = broker.broadcastPastFull(message("2", { subject: "a" }));
  assert.deepEqual([names(appended), receivers, looking.seen], [["roomy"], 1, ["a 2 live"]]);
  assert.deepEqual(
    ["full", "roomy"].map((name) => broker.queue(name)!.count),
    [1, 2],
  );
  await broker.close();
});

test("a broadcast to another exchange is seen live only where it comes past the bus", async () => {
  const broker = await new BrokerWorld().open();
  await broker.declareExchange("alone", { kind: "fanout" });
  await broker.declareExchange("leading-on", { kind: "fanout" });
  await broker.declareQueue("work");
  await broker.bind({ from: "leading-on", to: { kind: "exchange", name: "" } });
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "a" });
  const looking = onlooker(broker, "a");
  const a = message("m", { subject: "a" });
  assert.deepEqual(broker.broadcast(a, "alone"), { appended: [], receivers: 0 });
  const { appended, receivers } = broker.broadcast(a, "leading-on");
  assert.deepEqual([names(appended), receivers, looking.seen], [["work"], 1, ["a m live"]]);
  await broker.close();
});

test("bindings and onlookers that come and go change what the next broadcast reaches", async () => {
  const broker = await new BrokerWorld().open();
  await broker.declareQueue("work");
  const reached = (): string => {
    const { appended, receivers } = broker.broadcast(message("m", { subject: "a.b" }));
    return `${names(appended)} ${receivers}`;
  };
  assert.equal(reached(), " 0");
  const binding = { to: { kind: "queue", name: "work" }, pattern: "a.*" } as const;
  await broker.bind(binding);
  assert.equal(reached(), "work 0");
  const looking = onlooker(broker, "a.b");
  assert.equal(reached(), "work 1");
  await broker.unbind(binding);
  assert.equal(reached(), " 1");
  broker.live.remove("a.b", looking);
  assert.equal(reached(), " 0");
  await broker.close();
});
