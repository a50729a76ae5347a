import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Queue } from "../../src/broker/queue.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function deadOf(broker: Broker, source?: string): Promise<string[]> {
  const dead: string[] = [];
  for await (const { record, history } of broker.deadLetters.list(source)) {
    assert.equal(history.at(-1)!.reason, "expired");
    dead.push(record.valueText());
  }
  return dead;
}

/** Appends a message that expires so many seconds from now on. */
function appendFor(world: BrokerWorld, queue: Queue, value: string, seconds: number): void {
  const expiresAtMs = world.clock.nowMs() + seconds * 1_000;
  queue.append(message(value, { expiresAtMs, timestampMs: world.clock.nowMs() }));
}

test("messages expire at their times without any consumer, whatever stands before them", async () => {
  for (const tailCacheBytes of [undefined, 1]) {
    const world = new BrokerWorld();
    const broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    const queue = await broker.declareQueue("work");
    queue.append(message("stays"));
    for (const seconds of [30, 10, 7_200, 20]) appendFor(world, queue, `${seconds}`, seconds);
    queue.append(message("stays too"));
    await broker.flush();
    await world.pass(9_999);
    assert.deepEqual(await deadOf(broker), []);
    await world.pass(1);
    assert.deepEqual(await deadOf(broker), ["10"]);
    await world.pass(20_000);
    assert.deepEqual(await deadOf(broker), ["10", "20", "30"]);
    await world.pass(7_170_000);
    assert.deepEqual(await deadOf(broker), ["10", "20", "30", "7200"]);
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    assert.deepEqual(one.ackAll(), ["stays", "stays too"]);
    assert.equal(queue.count, 0);
    assert.equal(queue.bodyBytes, 0);
    assert.deepEqual([queue.dispatcher.inFlight, queue.dispatcher.counters.expired], [0, 4]);
    await broker.close();
  }
});

test("a message expires while it is delayed, waits for a retry, or stands in the line of its key", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.dispatcher.orderByKey();
  const expiresAtMs = world.clock.nowMs() + 10_000;
  queue.append(message("delayed", { readyAtMs: expiresAtMs + 60_000, expiresAtMs }));
  queue.append(message("retried", { expiresAtMs }));
  queue.append(message("first", { key: "k" }));
  queue.append(message("second", { key: "k", expiresAtMs }));
  queue.append(message("third", { key: "k" }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000_000 });
  await world.quiet();
  nack(one.take("retried"), 100_000);
  const first = one.take("first");
  await world.pass(9_999);
  assert.deepEqual(await deadOf(broker), []);
  await world.pass(1);
  assert.deepEqual((await deadOf(broker)).sort(), ["delayed", "retried", "second"]);
  first.ack();
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["third"]);
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a message in flight is left to its consumer; given back after its time, it expires within a second", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  for (const value of ["acked", "nacked"]) appendFor(world, queue, value, 10);
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000_000 });
  await world.pass(30_000);
  one.take("acked").ack();
  nack(one.take("nacked"), 3_600_000);
  one.consumer.close();
  await world.pass(1_000);
  assert.deepEqual(await deadOf(broker), ["nacked"]);
  assert.deepEqual([queue.count, queue.dispatcher.counters.settled], [0, 1]);
  await broker.close();
});

test("where no dead letters are kept, what expires is dropped", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { deadLetter: false });
  appendFor(world, queue, "gone", 1);
  await broker.flush();
  await world.pass(1_000);
  assert.deepEqual([queue.count, queue.dispatcher.counters.dropped], [0, 1]);
  assert.deepEqual(await deadOf(broker), []);
  await broker.close();
});

test("an age limit is kept to the moment, beside messages with times of their own", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { ageMaxMs: 5_000 });
  queue.append(message("by age", { timestampMs: world.clock.nowMs() }));
  queue.append(message("already", { timestampMs: world.clock.nowMs() - 4_000 }));
  await broker.flush();
  await world.pass(999);
  assert.deepEqual(await deadOf(broker), []);
  await world.pass(1);
  assert.deepEqual(await deadOf(broker), ["already"]);
  appendFor(world, queue, "by itself", 2);
  appendFor(world, queue, "by age too", 60);
  await broker.flush();
  await world.pass(2_000);
  assert.deepEqual(await deadOf(broker), ["already", "by itself"]);
  await world.pass(2_000);
  assert.deepEqual(await deadOf(broker), ["already", "by itself", "by age"]);
  await world.pass(1_000);
  assert.deepEqual(await deadOf(broker), ["already", "by itself", "by age", "by age too"]);
  await broker.close();
});

test("after a restart or a crash, messages expire at their times, and at once when that is over", async () => {
  for (const end of ["close", "crash", "power"] as const) {
    const world = new BrokerWorld();
    const broker = await world.open();
    const queue = await broker.declareQueue("work");
    for (const seconds of [60, 10, 30]) appendFor(world, queue, `${seconds}`, seconds);
    await broker.flush();
    if (end === "close") await broker.close();
    else world.crash(end === "power");
    await world.pass(20_000);
    const again = await world.open();
    await world.quiet();
    assert.deepEqual(await deadOf(again), ["10"]);
    await world.pass(10_000);
    assert.deepEqual(await deadOf(again), ["10", "30"]);
    await world.pass(30_000);
    assert.deepEqual(await deadOf(again), ["10", "30", "60"]);
    await again.close();
  }
});

test("that a queue has messages which expire is known exactly as long as there can be one", async () => {
  for (let steps = 0; steps < 40; steps += 1) {
    const world = new BrokerWorld(steps);
    const broker = await world.open();
    const queue = await broker.declareQueue("work");
    appendFor(world, queue, "first", 10);
    await world.turns(steps);
    world.crash(true);
    const again = await world.open();
    const { count } = again.queue("work")!;
    await world.pass(10_000);
    assert.equal((await deadOf(again)).length, count, `after ${steps} turns`);
    await again.close();
  }
});

test("every group of a topic loses what expires, unless it is settled there, or was never wanted", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order", { partitions: 2 });
  const done = await broker.declareSubscription("order", "done");
  await broker.declareSubscription("order", "late");
  await broker.declareSubscription("order", "other", { subjects: ["order.other"] });
  const expiresAtMs = world.clock.nowMs() + 10_000;
  for (const key of ["a", "b", "c"])
    topic.append(message(key, { subject: "order.placed", key, expiresAtMs }));
  await broker.flush();
  const one = new TestConsumer(done.dispatcher);
  await world.quiet();
  assert.deepEqual(one.ackAll().sort(), ["a", "b", "c"]);
  await world.pass(10_000);
  assert.deepEqual((await deadOf(broker, "order/late")).sort(), ["a", "b", "c"]);
  assert.deepEqual(await deadOf(broker, "order/done"), []);
  assert.deepEqual(await deadOf(broker, "order/other"), []);
  for (const { group, lag } of topic.subscriptions.values()) assert.equal(lag, 0, group);
  // One that comes later finds them as they are.
  const reader = await broker.declareSubscription("order", "reader", { from: "beginning" });
  await world.quiet();
  assert.deepEqual((await deadOf(broker, "order/reader")).sort(), ["a", "b", "c"]);
  assert.equal(reader.lag, 0);
  await broker.close();
});

test("more messages than are kept in memory one by one expire at their times, over a restart", async () => {
  const world = new BrokerWorld();
  let broker = await world.open();
  let queue = await broker.declareQueue("work", { deadLetter: false });
  for (let index = 0; index < 5_000; index += 1)
    appendFor(world, queue, "x", index % 3 === 0 ? 600 : 2 * 3_600 + ((index * 7_919) % 86_400));
  await broker.flush();
  await world.pass(600_000);
  assert.equal(queue.count, 5_000 - 1_667);
  await world.pass(2 * 3_600_000 - 600_000 - 1);
  assert.equal(queue.count, 5_000 - 1_667);
  await world.pass(43_200_000);
  const left = queue.count;
  assert.ok(left > 1_400 && left < 1_900, `${left} after half a day`);
  await broker.close();
  broker = await world.open();
  queue = broker.queue("work")!;
  assert.equal(queue.count, left);
  await world.pass(43_200_001);
  assert.equal(queue.count, 0);
  assert.deepEqual(world.reported, []);
  await broker.close();
});

test("purging and dropping do not touch what is on its way to the dead letters", async () => {
  for (let turns = 0; turns < 12; turns += 1) {
    const world = new BrokerWorld(turns);
    const broker = await world.open();
    const queue = await broker.declareQueue("work", { countMax: 4, overflow: "drop-oldest" });
    queue.append(message("stays"));
    for (const value of ["a", "b"]) appendFor(world, queue, value, 1);
    await broker.flush();
    void world.clock.advance(1_000, async () => undefined);
    await world.turns(turns);
    const { expired, dropped } = queue.dispatcher.counters;
    const purged = queue.purge();
    await world.quiet();
    assert.equal(queue.count, 0);
    assert.equal(queue.bodyBytes, 0);
    assert.equal(queue.dispatcher.inFlight, 0);
    assert.equal(queue.dispatcher.counters.dropped, dropped + purged);
    assert.equal(queue.dispatcher.counters.expired + purged, 3, `${expired} expired before the purge`);
    assert.equal((await deadOf(broker)).length, queue.dispatcher.counters.expired);
    await broker.close();
  }
});

test("a group that is moved back loses what expired since it was there", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const group = await broker.declareSubscription("order", "mail");
  const expiresAtMs = world.clock.nowMs() + 10_000;
  topic.append(message("short", { subject: "order", expiresAtMs }));
  topic.append(message("long", { subject: "order", expiresAtMs: expiresAtMs + 10_000 }));
  await broker.flush();
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["short", "long"]);
  one.consumer.close();
  await world.pass(10_000);
  await broker.seekSubscription("order", "mail", "beginning");
  await world.quiet();
  assert.deepEqual(await deadOf(broker), ["short"]);
  await world.pass(10_000);
  assert.deepEqual(await deadOf(broker), ["short", "long"]);
  assert.equal(group.lag, 0);
  await broker.close();
});

test("a queue that is deleted expires nothing, and one of the same name begins anew", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  appendFor(world, queue, "gone", 10);
  await broker.flush();
  await broker.deleteQueue("work");
  await broker.declareQueue("work");
  await world.pass(20_000);
  assert.deepEqual(await deadOf(broker), []);
  await broker.close();
  const again = await world.open();
  appendFor(world, again.queue("work")!, "a", 1);
  await again.flush();
  await world.pass(1_000);
  assert.deepEqual(await deadOf(again), ["a"]);
  assert.deepEqual(world.reported, []);
  await again.close();
});

test("a message that expires is no dead letter when one with its id was handled", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { inboxMs: 3_600_000 });
  const expiresAtMs = world.clock.nowMs() + 10_000;
  queue.append(message("first", { id: "a", expiresAtMs }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.take("first").ack();
  await world.quiet();
  one.consumer.close();
  queue.append(message("again", { id: "a", expiresAtMs }));
  queue.append(message("other", { id: "b", expiresAtMs }));
  await broker.flush();
  await world.pass(10_000);
  assert.deepEqual(await deadOf(broker), ["other"]);
  assert.deepEqual([queue.count, queue.dispatcher.inFlight, queue.bodyBytes], [0, 0, 0]);
  assert.equal(queue.dispatcher.counters.duplicates, 1);
  await broker.close();
});

test("a wall clock that is set is noticed within half a minute, forward and back", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  appendFor(world, queue, "hours", 7_200);
  await broker.flush();
  await world.pass(1_000);
  world.jumpWallClock(7_200_000);
  await world.pass(30_000);
  assert.deepEqual(await deadOf(broker), ["hours"]);
  const nowMs = broker.clock.nowMs();
  queue.append(message("seconds", { expiresAtMs: nowMs + 20_000, timestampMs: nowMs }));
  await broker.flush();
  await world.pass(1_000);
  world.jumpWallClock(-3_600_000);
  await world.pass(60_000);
  assert.equal(queue.count, 1);
  await world.pass(3_600_000);
  assert.equal(queue.count, 0);
  await broker.close();
});
