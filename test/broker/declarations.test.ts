import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { QueueOptions, SubscriptionOptions, TopicOptions } from "../../src/broker/limits.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

/** Everything that exists, by name. */
function everything(broker: Broker): string[] {
  const { queues, topics } = broker.statistics();
  return [
    ...queues.map(({ name }) => `queue ${name}`),
    ...topics.flatMap(({ name, groups }) => [
      `topic ${name}`,
      ...groups.map((group) => `group ${name}/${group.name}`),
    ]),
  ].sort();
}

const BAD_NAMES: readonly unknown[] = [
  "",
  " ",
  "a b",
  "a/b",
  "../a",
  ".a",
  "-a",
  "é",
  "a\0",
  "x".repeat(766),
  undefined,
  null,
  7,
  {},
];

test("a bad name is refused and leaves no trace", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareTopic("order");
  const before = { files: world.disk.usedBytes, everything: everything(broker) };
  for (const bad of BAD_NAMES) {
    const name = bad as string;
    await assert.rejects(broker.declareQueue(name), withCode("INVALID_NAME"));
    await assert.rejects(broker.declareTopic(name), withCode("INVALID_NAME"));
    await assert.rejects(broker.declareSubscription("order", name), withCode("INVALID_NAME"));
  }
  assert.deepEqual({ files: world.disk.usedBytes, everything: everything(broker) }, before);
  for (const name of ["a", "A-b_c.d:e", "7", "_", "%C3%A9", "x".repeat(765)]) {
    await broker.declareQueue(name);
    await broker.declareTopic(name);
    await broker.declareSubscription("order", name);
  }
  await broker.close();
  const again = await world.open();
  assert.equal(everything(again).length, 1 + 3 * 6);
  await again.close();
});

const BAD_QUEUES: readonly Record<string, unknown>[] = [
  { countMax: 0 },
  { countMax: -1 },
  { countMax: 1.5 },
  { countMax: Number.NaN },
  { countMax: "5" },
  { countMax: null },
  { bytesMax: 0 },
  { messageBytesMax: 64 * 1024 * 1024 + 1 },
  { ageMaxMs: 0 },
  { inFlightMax: 0 },
  { attemptsMax: 0 },
  { overflow: "explode" },
  { deadLetter: "yes" },
  { durability: "eternal" },
  { countMaxx: 5 },
];
const BAD_TOPICS: readonly Record<string, unknown>[] = [
  { partitions: 0 },
  { partitions: 1025 },
  { retentionMs: 0 },
  { compact: 1 },
  { overflow: "reject" },
];
const BAD_GROUPS: readonly Record<string, unknown>[] = [
  { from: "end" },
  { subjects: "order.*" },
  { inFlightMax: 0 },
  { partitions: 2 },
];

test("a bad option is refused by name and leaves no trace, new or existing alike", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("there");
  await broker.declareTopic("order");
  await broker.declareSubscription("order", "there");
  const before = { files: world.disk.usedBytes, everything: everything(broker) };
  for (const name of ["there", "new"]) {
    for (const bad of BAD_QUEUES)
      await assert.rejects(
        broker.declareQueue(name, bad as Partial<QueueOptions>),
        withCode("INVALID_OPTION", new RegExp(Object.keys(bad)[0]!)),
      );
    for (const bad of BAD_TOPICS)
      await assert.rejects(
        broker.declareTopic(name === "new" ? "new" : "order", bad as Partial<TopicOptions>),
        withCode("INVALID_OPTION", new RegExp(Object.keys(bad)[0]!)),
      );
    for (const bad of BAD_GROUPS)
      await assert.rejects(
        broker.declareSubscription("order", name, bad as Partial<SubscriptionOptions>),
        withCode("INVALID_OPTION", new RegExp(Object.keys(bad)[0]!)),
      );
    await assert.rejects(
      broker.declareSubscription("order", name, { subjects: ["order.>.x"] }),
      withCode("INVALID_SUBJECT"),
    );
  }
  assert.deepEqual({ files: world.disk.usedBytes, everything: everything(broker) }, before);
  await broker.close();
});

test("what is declared again is found, and options that differ are named, each with both values", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { countMax: 5, overflow: "wait" });
  assert.equal(await broker.declareQueue("work"), queue);
  assert.equal(await broker.declareQueue("work", { countMax: 5 }), queue);
  await assert.rejects(
    broker.declareQueue("work", { countMax: 6, overflow: "reject", attemptsMax: 5 }),
    (error) =>
      isBrokerError(error, "QUEUE_MISMATCH") &&
      /countMax 5, overflow "wait" .* countMax 6, overflow "reject"/.test(error.message) &&
      !error.message.includes("attemptsMax"),
  );
  const topic = await broker.declareTopic("order", { partitions: 2 });
  assert.equal(await broker.declareTopic("order"), topic);
  await assert.rejects(
    broker.declareTopic("order", { partitions: 3 }),
    withCode("TOPIC_MISMATCH", /partitions 2 .* partitions 3/),
  );
  const group = await broker.declareSubscription("order", "mail", { inFlightMax: 7, from: "beginning" });
  assert.equal(await broker.declareSubscription("order", "mail", { from: "new" }), group);
  await assert.rejects(
    broker.declareSubscription("order", "mail", { inFlightMax: 8 }),
    withCode("SUBSCRIPTION_MISMATCH", /inFlightMax 7 .* inFlightMax 8/),
  );
  await broker.close();
  const again = await world.open();
  await again.declareQueue("work", { countMax: 5, overflow: "wait" });
  await assert.rejects(again.declareQueue("work", { countMax: 6 }), withCode("QUEUE_MISMATCH"));
  await again.close();
});

test("attributes of queues and exchanges are kept, given back, and not compared", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const attributes = { transient: "yes", "x-any": '{"é":1}' };
  const queue = await broker.declareQueue("work", { attributes });
  const exchange = await broker.declareExchange("x", { kind: "direct", attributes });
  assert.equal(await broker.declareQueue("work", { attributes: { other: "1" } }), queue);
  assert.equal(await broker.declareExchange("x", { attributes: {} }), exchange);
  assert.deepEqual((await broker.declareQueue("plain")).options.attributes, {});
  await broker.close();
  const again = await world.open();
  assert.deepEqual(again.queue("work")!.options.attributes, attributes);
  assert.deepEqual([...again.exchanges][0]!.options.attributes, attributes);
  for (const wrong of [{ a: 1 }, ["a"], "a", { a: "x".repeat(8192) }]) {
    const bad = { attributes: wrong as Record<string, string> };
    await assert.rejects(again.declareQueue("bad", bad), withCode("INVALID_OPTION", /attributes/));
    await assert.rejects(again.declareExchange("bad", bad), withCode("INVALID_OPTION", /attributes/));
  }
  await again.close();
});

test("declarations of one name at the same time are one, or one of them is told what differs", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const [first, second] = await Promise.all([broker.declareQueue("work"), broker.declareQueue("work")]);
  assert.equal(first, second);
  const results = await Promise.allSettled([
    broker.declareTopic("order", { partitions: 2 }),
    broker.declareTopic("order", { partitions: 3 }),
    broker.declareTopic("order"),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  assert.equal(
    new Set((await Promise.all([0, 1].map(() => broker.declareSubscription("order", "g")))).values()).size,
    1,
  );
  assert.deepEqual(everything(broker), ["group order/g", "queue work", "topic order"]);
  await broker.close();
});

test("a group, a binding and an unbinding need what they are about", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await assert.rejects(broker.declareSubscription("order", "mail"), withCode("TOPIC_NOT_FOUND"));
  await assert.rejects(
    broker.bind({ to: { kind: "queue", name: "work" }, pattern: "a" }),
    withCode("QUEUE_NOT_FOUND"),
  );
  await assert.rejects(
    broker.bind({ to: { kind: "topic", name: "order" }, pattern: "a" }),
    withCode("TOPIC_NOT_FOUND"),
  );
  await assert.rejects(
    broker.unbind({ to: { kind: "queue", name: "work" }, pattern: "a" }),
    withCode("QUEUE_NOT_FOUND"),
  );
  await broker.declareQueue("work");
  await assert.rejects(
    broker.bind({ to: { kind: "queue", name: "work" }, pattern: "a.>.b" }),
    withCode("INVALID_SUBJECT"),
  );
  await assert.rejects(broker.bind({ to: { kind: "queue", name: "work" } }), withCode("INVALID_SUBJECT"));
  await broker.unbind({ to: { kind: "queue", name: "work" }, pattern: "never.bound" });
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "a" });
  assert.throws(() => broker.publish(message("x", { subject: "a\n" })), withCode("INVALID_SUBJECT"));
  await broker.close();
});

test("what cannot be stored is not declared: it is not there, and can be declared when there is room", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  await broker.declareQueue("there");
  const before = everything(broker);
  world.disk.capacityBytes = world.disk.usedBytes;
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects(broker.declareQueue("work"), withCode("DISK_FULL"));
    await assert.rejects(broker.declareTopic("events"), withCode("DISK_FULL"));
    await assert.rejects(broker.declareSubscription("order", "mail"), withCode("DISK_FULL"));
    await assert.rejects(
      broker.bind({ to: { kind: "queue", name: "there" }, pattern: "order.#" }),
      withCode("DISK_FULL"),
    );
    assert.deepEqual(everything(broker), before);
    assert.deepEqual(broker.publish(message("x", { subject: "order.x" })), []);
  }
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await broker.declareQueue("work");
  await broker.declareTopic("events");
  await broker.declareSubscription("order", "mail");
  await broker.bind({ to: { kind: "queue", name: "there" }, pattern: "order.#" });
  topic.append(message("a"));
  await broker.close();
  const again = await world.open();
  assert.deepEqual(everything(again), [
    "group order/mail",
    "queue there",
    "queue work",
    "topic events",
    "topic order",
  ]);
  assert.equal(again.publish(message("x", { subject: "order.x" })).length, 1);
  assert.equal(again.topic("order")!.subscriptions.get("mail")!.lag, 1);
  await again.close();
});

test("subjects that a group asks for are added durably, or not at all", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const group = await broker.declareSubscription("order", "mail", { subjects: ["order.placed"] });
  world.disk.capacityBytes = world.disk.usedBytes;
  await assert.rejects(
    broker.declareSubscription("order", "mail", { subjects: ["order.paid"] }),
    withCode("DISK_FULL"),
  );
  assert.deepEqual(group.filter.patterns, ["order.placed"]);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await broker.declareSubscription("order", "mail", { subjects: ["order.paid", "order.placed"] });
  await broker.declareSubscription("order", "mail", { subjects: ["order.sent"] });
  for (const subject of ["order.placed", "order.lost", "order.paid", "order.sent"])
    topic.append(message(subject, { subject }));
  await broker.close();
  const again = await world.open();
  const one = new TestConsumer(again.topic("order")!.subscriptions.get("mail")!.dispatcher);
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["order.placed", "order.paid", "order.sent"]);
  assert.equal(again.statistics().topics[0]!.groups[0]!.lag, 0);
  await again.close();
});

test("a group passes over what it did not ask for without holding up the process", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const group = await broker.declareSubscription("order", "mail", { subjects: ["order.rare"] });
  for (let index = 0; index < 20_000; index += 1) topic.append(message("x", { subject: "order.common" }));
  topic.append(message("rare", { subject: "order.rare" }));
  await broker.flush();
  let turns = 0;
  let isSeen = false;
  new TestConsumer(group.dispatcher, {}, () => {
    isSeen = true;
  });
  for (; !isSeen && turns < 1_000; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(turns >= 15, `${turns} turns`);
  assert.equal(isSeen, true);
  assert.equal(group.lag, 1);
  await broker.close();
});

test("options that a later version adds to a definition, and those that an older one lacks, do no harm", async () => {
  const world = new BrokerWorld();
  const { broker, store } = await world.openStore();
  const queue = await broker.declareQueue("work");
  const catalog = await store.openLog("catalog", { durability: "synced" });
  const { countMax, overflow } = queue.options;
  const put = (key: string, definition: object): void => {
    catalog.append(1, key, JSON.stringify(definition), Buffer.from([0]));
  };
  put("queue/work", {
    kind: "queue",
    id: queue.id,
    name: "work",
    options: { countMax, overflow, color: "red" },
  });
  put("hologram/h", { kind: "hologram", id: 900, name: "h" });
  await broker.close();
  const again = await world.open();
  assert.equal(again.queue("work")!.options.attemptsMax, 5);
  assert.equal(again.queue("work")!.options.durability, "synced");
  assert.ok((await again.declareQueue("next")).id > 900);
  assert.deepEqual(world.reported, []);
  await again.close();
});

test("a catalog that cannot be understood is said to be corrupt", async () => {
  for (const text of ["{", "null", "7", "{}"]) {
    const world = new BrokerWorld();
    const { broker, store } = await world.openStore();
    const catalog = await store.openLog("catalog", { durability: "synced" });
    catalog.append(1, "queue/x", text, Buffer.from([0]));
    await broker.close();
    await assert.rejects(world.open(), withCode("LOG_CORRUPT"));
  }
});

test("the catalog does not grow with what was replaced", async () => {
  const world = new BrokerWorld();
  for (let life = 0; life < 3; life += 1) {
    const broker = await world.open();
    await broker.declareQueue("audit");
    const long = "x".repeat(900);
    for (let index = 0; index < 150; index += 1) {
      await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: `${index}.${long}` });
      await broker.unbind({ to: { kind: "queue", name: "audit" }, pattern: `${index}.${long}` });
    }
    await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: `kept.${life}` });
    await broker.close();
  }
  const { broker, store } = await world.openStore();
  const catalog = await store.openLog("catalog", { durability: "synced" });
  assert.ok(catalog.sizeBytes < 600_000, String(catalog.sizeBytes));
  for (let life = 0; life < 3; life += 1)
    assert.equal(broker.publish(message("x", { subject: `kept.${life}` })).length, 1);
  await broker.close();
});

test("a read-only broker compacts nothing, stores nothing and declares nothing", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.append(message("a"));
  await broker.close();
  const before = world.disk.usedBytes;
  const looking = await world.open({ readOnly: true });
  assert.equal(looking.statistics().queues[0]!.waiting, 1);
  assert.deepEqual([...(await looking.queue("work")!.browse().next()).value.record.valueText()], ["a"]);
  await assert.rejects(looking.declareQueue("new"), withCode("READ_ONLY"));
  assert.throws(() => looking.queue("work")!.append(message("b")), withCode("READ_ONLY"));
  await world.pass(120_000);
  await looking.close();
  assert.deepEqual(world.reported, []);
  assert.equal(world.disk.usedBytes, before);
});
