import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { TopicOptions } from "../../src/broker/limits.js";
import type { Topic } from "../../src/broker/topic.js";
import { isBrokerError } from "../../src/broker-error.js";
import { partitionOf } from "../../src/bytes/murmur2.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

const HOUR_MS = 60 * 60 * 1000;

async function topicWith(world: BrokerWorld, values: readonly string[], options: Partial<TopicOptions> = {}) {
  const broker = await world.open();
  const topic = await broker.declareTopic("order", options);
  await publish(broker, topic, values);
  return { broker, topic };
}

async function publish(broker: Broker, topic: Topic, values: readonly string[]): Promise<void> {
  for (const value of values) topic.append(message(value));
  await broker.flush();
}

async function valuesOf(topic: Topic, partition: number, from: { offset: number } | { timestampMs: number }) {
  const values: string[] = [];
  for await (const record of topic.read(partition, from)) values.push(record.valueText());
  return values;
}

test("every group gets every message, and the consumers of one group share them", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, []);
  const mail = await broker.declareSubscription("order", "mail");
  const bill = await broker.declareSubscription("order", "bill");
  const values = Array.from({ length: 10 }, (_, index) => String(index));
  await publish(broker, topic, values);
  const one = new TestConsumer(mail.dispatcher);
  const two = new TestConsumer(mail.dispatcher);
  const three = new TestConsumer(bill.dispatcher);
  await world.quiet();
  assert.deepEqual([...one.values, ...two.values], values);
  assert.deepEqual(three.values, values);
  one.ackAll();
  await world.quiet();
  assert.deepEqual([mail.lag, bill.lag], [5, 10]);
  await broker.close();
});

test("keys go to the partition of their hash and keep their order; the rest is spread", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, [], { partitions: 4 });
  for (let index = 0; index < 200; index += 1) {
    const key = `key-${index % 7}`;
    const appended = topic.append(message(String(index), { key }));
    assert.equal(appended.partition, partitionOf(key, 4));
  }
  await broker.flush();
  const keyless = new Set<number>();
  for (let index = 0; index < 8; index += 1) {
    keyless.add(topic.append(message("x")).partition!);
    await broker.flush();
  }
  assert.equal(keyless.size, 4);
  await broker.close();
});

test("a group begins with what is published after it was made, or at the first message kept", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, ["a", "b"], { partitions: 3 });
  const fresh = await broker.declareSubscription("order", "fresh");
  const all = await broker.declareSubscription("order", "all", { from: "beginning" });
  await publish(broker, topic, ["c"]);
  const one = new TestConsumer(fresh.dispatcher);
  const two = new TestConsumer(all.dispatcher);
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["c"]);
  assert.deepEqual(two.ackAll().sort(), ["a", "b", "c"]);
  await broker.close();
  const again = await world.open();
  const groups = again.topic("order")!.subscriptions;
  assert.deepEqual([groups.get("fresh")!.lag, groups.get("all")!.lag], [0, 0]);
  await again.close();
});

test("a group that began with new messages does not see older ones after a crash, whatever was stored of it", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, ["a", "b"]);
  await broker.declareSubscription("order", "fresh");
  await publish(broker, topic, ["c"]);
  world.crash();
  const again = await world.open();
  const one = new TestConsumer(again.topic("order")!.subscriptions.get("fresh")!.dispatcher);
  await world.quiet();
  assert.equal(one.take("c").attempt, 1);
  await again.close();
});

test("a message that binds to several destinations reaches all of them, once each, topics first", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const audit = await broker.declareQueue("audit");
  const work = await broker.declareQueue("work");
  await broker.bind({ to: { kind: "topic", name: "order" }, pattern: "order.*" });
  await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: "order.#" });
  await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: "#" });
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "order.placed" });
  const appended = broker.publish(message("a", { subject: "order.placed" }));
  assert.deepEqual(
    appended.map(({ destination }) => destination),
    ["order", "audit", "work"].sort((a, b) => Number(b === "order") - Number(a === "order")),
  );
  await Promise.all(appended.map(({ committed }) => committed));
  assert.deepEqual([topic.partitions[0]!.highWatermark, audit.count, work.count], [1, 1, 1]);
  assert.deepEqual(broker.publish(message("b", { subject: "other" })).length, 1);
  assert.deepEqual(broker.publish(message("c", { subject: "order.a.b" })).length, 1);
  await broker.unbind({ to: { kind: "queue", name: "audit" }, pattern: "#" });
  assert.deepEqual(broker.publish(message("d", { subject: "other" })), []);
  await broker.close();
});

test("bindings, and that they are gone, survive a restart", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("dead");
  await broker.declareQueue("audit");
  await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: "a.#" });
  await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: "b.#" });
  await broker.bind({ to: { kind: "queue", name: "dead" }, pattern: "x/y" });
  await Promise.all([
    broker.unbind({ to: { kind: "queue", name: "audit" }, pattern: "b.#" }),
    broker.bind({ to: { kind: "queue", name: "audit" }, pattern: "c" }),
  ]);
  await broker.close();
  const again = await world.open();
  const routes = (subject: string): number => again.publish(message("m", { subject })).length;
  assert.deepEqual([routes("a.b"), routes("b.b"), routes("c"), routes("x/y")], [1, 0, 1, 1]);
  await again.close();
});

test("when one destination refuses, none has the message", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const work = await broker.declareQueue("work", { bytesMax: 1_000 });
  const small = await broker.declareQueue("small", { countMax: 1 });
  for (const [kind, name] of [
    ["topic", "order"],
    ["queue", "work"],
    ["queue", "small"],
  ] as const)
    await broker.bind({ to: { kind, name }, pattern: "test" });
  broker.publish(message("a"));
  assert.throws(
    () => broker.publish(message("b")),
    (error) => isBrokerError(error, "QUEUE_FULL"),
  );
  await broker.flush();
  assert.deepEqual([topic.partitions[0]!.highWatermark, work.count, small.count], [1, 1, 1]);
  assert.deepEqual([work.bodyBytes, work.published], [1, 1]);
  await broker.close();
});

test("a publish to several destinations is there as a whole or not at all, whenever the power fails", async () => {
  let whole = 0;
  for (let turns = 0; turns < 40; turns += 1) {
    const world = new BrokerWorld(turns);
    const broker = await world.open();
    await broker.declareTopic("order");
    await broker.declareQueue("one");
    await broker.declareQueue("two", { durability: "written" });
    await broker.bind({ to: { kind: "topic", name: "order" }, pattern: "test" });
    await broker.bind({ to: { kind: "queue", name: "one" }, pattern: "test" });
    await broker.bind({ to: { kind: "queue", name: "two" }, pattern: "test" });
    let isAnswered = false;
    const appended = broker.publish(message("a"));
    void Promise.all(appended.map(({ committed }) => committed)).then(() => {
      isAnswered = true;
    });
    for (let turn = 0; turn < turns / 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    world.crash(true);
    const again = await world.open();
    const counts = [
      again.topic("order")!.partitions[0]!.highWatermark,
      again.queue("one")!.count,
      again.queue("two")!.count,
    ];
    assert.ok(
      counts.every((count) => count === counts[0]),
      `seed ${turns}: ${counts.join(", ")}`,
    );
    if (isAnswered) assert.equal(counts[0], 1);
    whole += counts[0]!;
    await again.close();
  }
  assert.ok(whole > 0);
});

test("a topic is read from an offset or a time, and past its end gives nothing", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  for (const [index, value] of ["a", "b", "c"].entries())
    topic.append(message(value, { timestampMs: 1_000 * index }));
  await broker.flush();
  assert.deepEqual(await valuesOf(topic, 0, { offset: 1 }), ["b", "c"]);
  assert.deepEqual(await valuesOf(topic, 0, { timestampMs: 1_500 }), ["c"]);
  assert.deepEqual(await valuesOf(topic, 0, { offset: 3 }), []);
  assert.deepEqual(await valuesOf(topic, 0, { offset: 99 }), []);
  assert.deepEqual(await valuesOf(topic, 0, { timestampMs: 5_000 }), []);
  await assert.rejects(valuesOf(topic, 1, { offset: 0 }), (error) =>
    isBrokerError(error, "OFFSET_OUT_OF_RANGE"),
  );
  await broker.close();
});

test("retention removes messages read or not; what a group missed is counted, and it goes on", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, [], { retentionMs: HOUR_MS });
  const slow = await broker.declareSubscription("order", "slow");
  const fast = await broker.declareSubscription("order", "fast");
  await publish(broker, topic, ["a", "b", "c"]);
  const one = new TestConsumer(fast.dispatcher);
  await world.quiet();
  one.take("a").ack();
  one.consumer.close();
  await world.pass(2 * HOUR_MS);
  await broker.maintain();
  topic.append(message("d", { timestampMs: world.clock.nowMs() }));
  await broker.flush();
  const groups = broker.statistics().topics[0]!.groups;
  assert.deepEqual(
    groups.map(({ name, lag, lostToRetention }) => [name, lag, lostToRetention]),
    [
      ["slow", 1, 3],
      ["fast", 1, 2],
    ],
  );
  const two = new TestConsumer(slow.dispatcher);
  await world.quiet();
  assert.deepEqual(two.ackAll(), ["d"]);
  assert.deepEqual(await valuesOf(topic, 0, { offset: 0 }), ["d"]);
  await broker.close();
});

test("a message in flight that retention removes may still be settled, and is lost when it comes back", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, [], { retentionMs: HOUR_MS });
  const group = await broker.declareSubscription("order", "mail");
  await publish(broker, topic, ["a", "b", "c", "d"]);
  const one = new TestConsumer(group.dispatcher, { leaseMs: 10 * HOUR_MS, prefetch: 3 });
  await world.quiet();
  const [a, b, c] = one.takeAll();
  nack(c!, 5 * HOUR_MS);
  await world.quiet();
  await world.pass(2 * HOUR_MS);
  await broker.maintain();
  a!.ack();
  nack(b!);
  await world.quiet();
  one.takeAll();
  topic.append(message("e", { timestampMs: world.clock.nowMs() }));
  await broker.flush();
  await world.pass(4 * HOUR_MS);
  assert.deepEqual(one.values, ["e"]);
  assert.equal(group.dispatcher.inFlight, 2);
  await broker.close();
});

test("a key whose message retention removed while it kept the turn goes on", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, [], { retentionMs: HOUR_MS });
  const group = await broker.declareSubscription("order", "mail");
  group.dispatcher.orderByKey();
  topic.append(message("a1", { key: "a" }));
  topic.append(message("a2", { key: "a" }));
  await broker.flush();
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  nack(one.take("a1"), 5 * HOUR_MS);
  await world.pass(2 * HOUR_MS);
  await broker.maintain();
  topic.append(message("a3", { key: "a", timestampMs: world.clock.nowMs() }));
  await broker.flush();
  await world.quiet();
  one.take("a3").ack();
  assert.equal(group.lag, 0);
  await broker.close();
});

test("messages that failed and were removed by retention do not count against new ones", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, [], { retentionMs: HOUR_MS });
  const group = await broker.declareSubscription("order", "mail");
  await publish(broker, topic, ["a", "b"]);
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  for (const delivery of one.takeAll()) nack(delivery, 5 * HOUR_MS);
  await world.pass(2 * HOUR_MS);
  await broker.maintain();
  const [state] = group.dispatcher.states;
  assert.deepEqual([state!.failureOf(0), state!.failureOf(1)], [undefined, undefined]);
  assert.equal(state!.delayedCount, 0);
  assert.equal(group.lag, 0);
  await broker.close();
});

test("retention by bytes keeps about so many, even when that is less than a usual segment", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, [], { retentionBytes: 1_000_000 });
  for (let index = 0; index < 40; index += 1) {
    topic.append(message("x".repeat(50_000)));
    await broker.flush();
  }
  await broker.maintain();
  const [partition] = broker.statistics().topics[0]!.partitions;
  assert.ok(partition!.bytes >= 1_000_000 && partition!.bytes < 1_300_000, String(partition!.bytes));
  await broker.close();
});

test("a group reads a compacted topic over its gaps, from memory or from disk, and its lag ends at 0", async () => {
  for (const tailCacheBytes of [undefined, 1]) {
    const world = new BrokerWorld();
    const broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    const topic = await broker.declareTopic("state", { compact: true, retentionBytes: 100_000 });
    const before = await broker.declareSubscription("state", "before");
    const filler = "x".repeat(2_000);
    for (let index = 0; index < 300; index += 1) {
      topic.append(message(`${index} ${filler}`, { key: `k${index % 3}` }));
      await broker.flush();
    }
    assert.equal(topic.options.retentionMs > HOUR_MS * 1_000_000, true);
    await topic.partitions[0]!.compact();
    const after = await broker.declareSubscription("state", "after", { from: "beginning" });
    for (const group of [before, after]) {
      const one = new TestConsumer(group.dispatcher, { prefetch: 10 });
      const seen: string[] = [];
      for (let round = 0; round < 100 && group.lag > 0; round += 1) {
        await world.quiet();
        seen.push(...one.ackAll());
      }
      assert.equal(group.lag, 0);
      assert.ok(seen.length < 300 && seen.length >= 3, String(seen.length));
      assert.equal(seen.at(-1)!.split(" ")[0], "299");
    }
    await broker.close();
  }
});

test("a message that compaction took while it waited for another try is settled, and its key goes on", async () => {
  const world = new BrokerWorld();
  const broker = await world.open({ tailCacheBytes: 1 });
  const topic = await broker.declareTopic("state", { compact: true, retentionBytes: 100_000 });
  const group = await broker.declareSubscription("state", "mail");
  group.dispatcher.orderByKey();
  const one = new TestConsumer(group.dispatcher, { prefetch: 1_000 });
  topic.append(message("first", { key: "a" }));
  await broker.flush();
  await world.quiet();
  nack(one.take("first"), 10_000);
  const filler = "x".repeat(2_000);
  for (let index = 0; index < 200; index += 1) {
    topic.append(message(`${index} ${filler}`, { key: "a" }));
    await broker.flush();
  }
  await topic.partitions[0]!.compact();
  await world.pass(10_000);
  const seen: string[] = [];
  for (let round = 0; round < 500 && group.lag > 0; round += 1) {
    await world.quiet();
    seen.push(...one.ackAll());
  }
  assert.equal(group.lag, 0);
  assert.equal(seen.includes("first"), false);
  assert.equal(seen.at(-1)!.split(" ")[0], "199");
  await broker.close();
});

test("a group comes to the end of a log from which compaction took the last records, and goes on behind it", async () => {
  const world = new BrokerWorld();
  for (const tailCacheBytes of [1, 1_000_000]) {
    const broker = await world.open({ tailCacheBytes });
    const name = `state-${tailCacheBytes}`;
    const topic = await broker.declareTopic(name, { compact: true });
    const log = topic.partitions[0]!;
    const group = await broker.declareSubscription(name, "mail");
    for (const value of ["a", null]) {
      topic.append(message(value, { key: "k" }));
      await broker.flush();
    }
    await log.rollBetweenCommits(() => true);
    world.jumpWallClock(2 * 24 * 60 * 60 * 1000);
    await log.compact();
    assert.equal(log.recordCount, 0);
    assert.equal(group.lag, 2);
    const one = new TestConsumer(group.dispatcher);
    await world.quiet();
    assert.deepEqual([one.values, group.lag, group.dispatcher.isIdle], [[], 0, true]);
    topic.append(message("b", { key: "k" }));
    await broker.flush();
    await world.quiet();
    assert.deepEqual(one.ackAll(), ["b"]);
    const read: string[] = [];
    for await (const record of topic.read(0, { offset: 0 })) read.push(record.valueText());
    assert.deepEqual(read, ["b"]);
    await broker.close();
  }
});

test("partitions of a topic with a long name are logs of their own", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("t".repeat(200), { partitions: 3 });
  assert.equal(new Set(topic.partitions).size, 3);
  await broker.close();
});

test("a group of a topic in memory gets what is published after a restart, although the offsets begin again", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await topicWith(world, ["a", "b", "c"], { durability: "memory" });
  const group = await broker.declareSubscription("order", "mail");
  await publish(broker, topic, ["d"]);
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["d"]);
  await broker.close();
  for (let life = 0; life < 2; life += 1) {
    const again = await world.open();
    await publish(again, again.topic("order")!, ["e"]);
    const two = new TestConsumer(again.topic("order")!.subscriptions.get("mail")!.dispatcher);
    await world.quiet();
    assert.deepEqual(two.ackAll(), ["e"]);
    await again.close();
  }
});
