import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

test("what a queue says about itself adds up, whatever became of its messages", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { countMax: 8, overflow: "drop-oldest" });
  const now = world.clock.nowMs();
  queue.append(message("expired", { expiresAtMs: now }));
  queue.append(message("late", { readyAtMs: now + 60_000 }));
  for (const value of ["a", "b", "c", "d", "e", "f"]) queue.append(message(value));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher, { prefetch: 4, leaseMs: 1_000_000 });
  await world.quiet();
  one.take("a").ack();
  await one.take("b").deadLetter("rejected", "no");
  nack(one.take("c"), 60_000);
  one.consumer.stop();
  await world.pass(5_000);
  for (const value of ["g", "h", "i", "j"]) queue.append(message(value));
  await broker.flush();
  await world.quiet();
  const [work, dead] = broker.statistics().queues;
  assert.deepEqual(
    {
      name: work!.name,
      published: work!.published,
      settled: work!.settled,
      deadLettered: work!.deadLettered,
      expired: work!.expired,
      dropped: work!.dropped,
      inFlight: work!.inFlight,
      delayed: work!.delayed,
      waiting: work!.waiting,
      deadLetters: work!.deadLetters,
      redelivered: work!.redelivered,
      consumers: work!.consumers,
      oldestAgeMs: work!.oldestAgeMs,
    },
    {
      name: "work",
      published: 12,
      settled: 1,
      deadLettered: 2,
      expired: 1,
      dropped: 1,
      inFlight: 3,
      delayed: 1,
      waiting: 4,
      deadLetters: 2,
      redelivered: 0,
      consumers: 1,
      oldestAgeMs: 5_000,
    },
  );
  assert.equal(
    work!.published,
    work!.settled + work!.deadLettered + work!.dropped + work!.inFlight + work!.delayed + work!.waiting,
  );
  assert.deepEqual(
    [dead!.name, dead!.deadLettersOf, dead!.waiting, dead!.published],
    ["dead/work", "work", 2, 2],
  );
  await broker.close();
});

test("a group says how far it is behind, and its topic what it holds", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order", { partitions: 2 });
  const group = await broker.declareSubscription("order", "mail");
  for (let index = 0; index < 10; index += 1) topic.append(message(String(index), { key: String(index) }));
  await broker.flush();
  const one = new TestConsumer(group.dispatcher, { prefetch: 6 });
  await world.quiet();
  for (const delivery of one.takeAll().slice(0, 3)) delivery.ack();
  await world.quiet();
  const [order] = broker.statistics().topics;
  assert.equal(
    order!.partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0),
    10,
  );
  const [mail] = order!.groups;
  assert.deepEqual(
    [mail!.name, mail!.lag, mail!.inFlight, mail!.settled, mail!.delivered, mail!.lostToRetention],
    ["mail", 7, 6, 3, 9, 0],
  );
  await broker.close();
});

test("statistics of queues that lie on disk bring no more than a little of each into memory", async () => {
  const world = new BrokerWorld();
  const broker = await world.open({ tailCacheBytes: 1 });
  const body = "x".repeat(10_000);
  const queue = await broker.declareQueue("work");
  for (let index = 0; index < 100; index += 1) {
    queue.append(message(body));
    await broker.flush();
  }
  let bytes = 0;
  world.disk.onOperation = ({ kind }) => {
    if (kind === "read") bytes += 1;
    return undefined;
  };
  assert.equal(broker.statistics().queues[0]!.oldestAgeMs, undefined);
  await world.quiet();
  assert.equal(broker.statistics().queues[0]!.oldestAgeMs, 0);
  for (let round = 0; round < 10; round += 1) broker.statistics();
  await world.quiet();
  assert.ok(bytes <= 3, `${bytes} reads`);
  await broker.close();
});

test("how old the oldest message of each group is, is known without keeping a message for it", async () => {
  const world = new BrokerWorld();
  const broker = await world.open({ tailCacheBytes: 1 });
  const topic = await broker.declareTopic("order");
  for (let index = 0; index < 20; index += 1)
    await broker.declareSubscription("order", `group${index}`, { from: "beginning" });
  for (let index = 0; index < 5; index += 1) {
    topic.append(message("x".repeat(10_000)));
    await broker.flush();
  }
  await world.pass(7_000);
  const ages = () => new Set(broker.statistics().topics[0]!.groups.map(({ oldestAgeMs }) => oldestAgeMs));
  assert.deepEqual(ages(), new Set([undefined]));
  for (let turns = 0; turns < 20; turns += 1) await world.quiet();
  assert.deepEqual(ages(), new Set([7_000]));
  for (const { dispatcher } of topic.subscriptions.values())
    for (const state of dispatcher.states) assert.equal(state.peekOldest(), undefined);
  await world.quiet();
  await broker.close();
});
