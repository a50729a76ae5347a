import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { HeldMessages } from "../../src/broker/held-messages.js";
import { withProperties } from "../../src/broker/message.js";
import { isBrokerError } from "../../src/broker-error.js";
import { encodeHeaders } from "../../src/log/record-headers.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer, textOf } from "../support/test-consumer.js";

test("a message sent with a delay is not seen early, and others pass it", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.append(message("late", { readyAtMs: world.clock.nowMs() + 10_000 }));
  queue.append(message("now"));
  queue.append(message("soon", { readyAtMs: world.clock.nowMs() + 5_000 }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.take("now").ack();
  await world.pass(4_999);
  assert.deepEqual(one.values, []);
  await world.pass(1);
  one.take("soon").ack();
  await world.pass(4_999);
  assert.deepEqual(one.values, []);
  await world.pass(1);
  one.take("late").ack();
  await broker.close();
});

test("a delay survives a restart and a crash, and is not counted as a try", async () => {
  for (const isCrash of [false, true]) {
    const world = new BrokerWorld();
    const broker = await world.open();
    const queue = await broker.declareQueue("work");
    queue.append(message("late", { readyAtMs: world.clock.nowMs() + 10_000 }));
    await broker.flush();
    const before = new TestConsumer(queue.dispatcher);
    await world.pass(1_000);
    assert.equal(broker.statistics().queues[0]!.delayed, 1);
    if (isCrash) world.crash();
    else await broker.close();
    assert.equal(before.all.length, 0);
    const again = await world.open();
    const one = new TestConsumer(again.queue("work")!.dispatcher);
    await world.pass(8_999);
    assert.deepEqual(one.values, []);
    await world.pass(1);
    assert.equal(one.take("late").attempt, 1);
    await again.close();
  }
});

test("a delay is over while nobody consumes, and the message is there for the next consumer", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.append(message("late", { readyAtMs: world.clock.nowMs() + 1_000 }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.consumer.close();
  await world.pass(60_000);
  const two = new TestConsumer(queue.dispatcher);
  await world.quiet();
  two.take("late").ack();
  await broker.close();
});

test("an expired message is dead-lettered instead of delivered, first time or again", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.append(message("never", { expiresAtMs: world.clock.nowMs() }));
  queue.append(message("once", { expiresAtMs: world.clock.nowMs() + 1_000 }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  nack(one.take("once"), 1_000, "it failed");
  await world.pass(1_000);
  assert.deepEqual(one.values, []);
  const deaths: string[] = [];
  for await (const { record, history } of broker.deadLetters.list("work"))
    deaths.push(`${record.valueText()} ${history[0]!.reason} ${history[0]!.attempts}`);
  assert.deepEqual(deaths, ["never expired 0", "once expired 1"]);
  const counters = queue.dispatcher.counters;
  assert.deepEqual([counters.expired, counters.deadLettered, counters.dropped], [2, 2, 0]);
  await broker.close();
});

test("a dead letter's delay and expiry are spent: replayed, it is delivered at once", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.append(message("a", { expiresAtMs: world.clock.nowMs() }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  for await (const letter of broker.deadLetters.list()) await broker.deadLetters.replay([letter]);
  await world.quiet();
  one.take("a").ack();
  await broker.close();
});

test("times that are none, reserved headers and values that are no text are refused", () => {
  const base = encodeHeaders([]);
  const refused = (error: unknown): boolean => isBrokerError(error, "INVALID_OPTION");
  for (const readyAtMs of [Number.NaN, Number.POSITIVE_INFINITY, 1e300, 1.5])
    assert.throws(() => withProperties(base, { readyAtMs }), refused);
  for (const expiresAtMs of [Number.NaN, Number.POSITIVE_INFINITY, 1e300, 1.5])
    assert.throws(() => withProperties(base, { expiresAtMs }), refused);
  for (const name of ["", "omnibus-id", "Omnibus-Anything"])
    assert.throws(() => withProperties(base, { headers: { [name]: "x" } }), refused);
  assert.throws(() => withProperties(base, { headers: { a: 1 as unknown as string } }), refused);
  assert.equal(withProperties(base, {}), base);
});

test("thousands of delayed messages, due in no order within days, come at their times and never early", async () => {
  for (const tailCacheBytes of [undefined, 1]) {
    const world = new BrokerWorld(7);
    let broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    const queue = await broker.declareQueue("work");
    const startMs = world.clock.nowMs();
    const due: number[] = [];
    const times = Array.from({ length: 100 }, () => startMs + 1 + world.random.below(3 * 24 * 3_600_000));
    for (let index = 0; index < 3_000; index += 1) {
      const readyAtMs = world.random.pick(times);
      due.push(readyAtMs);
      queue.append(message(`${readyAtMs}`, { readyAtMs }));
    }
    await broker.flush();
    due.sort((a, b) => a - b);
    const late: number[] = [];
    let one = consume(broker, late);
    while (late.length < 1_500) await world.pass(3_600_000);
    await broker.close();
    broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    assert.equal(broker.queue("work")!.count, 3_000 - late.length);
    one = consume(broker, late);
    await world.pass(3 * 24 * 3_600_000);
    assert.equal(late.length, 3_000);
    assert.deepEqual(new Set(late), new Set([0]));
    one.consumer.close();
    await broker.close();
  }

  function consume(broker: Broker, late: number[]): TestConsumer {
    return new TestConsumer(broker.queue("work")!.dispatcher, {}, (delivery) => {
      late.push(broker.clock.nowMs() - Number(textOf(delivery)));
      delivery.ack();
    });
  }
});

test("a message that is not due has no turn of its key, also when it is looked at long before", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.dispatcher.orderByKey();
  const nowMs = world.clock.nowMs();
  // Of one block: looking for the first one's time looks at all of them.
  queue.append(message("first", { key: "k", readyAtMs: nowMs + 2 * 3_600_000 }));
  queue.append(message("second", { key: "k", readyAtMs: nowMs + 4 * 3_600_000 }));
  queue.append(message("third", { key: "k", readyAtMs: nowMs + 4 * 3_600_000 }));
  queue.append(message("now", { key: "k" }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 100_000_000 });
  await world.quiet();
  const now = one.take("now");
  await world.pass(2 * 3_600_000);
  assert.deepEqual(one.values, []);
  assert.equal(broker.statistics().queues[0]!.delayed, 2);
  now.ack();
  await world.quiet();
  one.take("first").ack();
  await world.pass(2 * 3_600_000);
  one.take("second").ack();
  await world.quiet();
  one.take("third").ack();
  await broker.close();
});

test("the times of a million delayed messages are not kept in memory", () => {
  const held = new HeldMessages();
  const before = process.memoryUsage().arrayBuffers;
  for (let offset = 0; offset < 1_000_000; offset += 1) {
    held.add(offset);
    held.delayAsSent(offset, 7_200_000 + ((offset * 7_919) % 86_400_000), 0);
  }
  assert.equal(held.delayedCount, 1_000_000);
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 4_000_000, `${grown} bytes for a million`);
});
