import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { QueueOptions } from "../../src/broker/limits.js";
import type { Queue } from "../../src/broker/queue.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function declared(world: BrokerWorld, options: Partial<QueueOptions>) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", options);
  return { broker, queue };
}

async function publish(world: BrokerWorld, broker: Broker, queue: Queue, ...values: string[]) {
  for (const value of values) queue.append(message(value));
  await broker.flush();
  await world.quiet();
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

test("a single active consumer gets everything, in order, and the next one only when it has left and settled", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { singleActiveConsumer: true });
  const first = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  const second = new TestConsumer(queue.dispatcher, { prefetch: 10 });
  const third = new TestConsumer(queue.dispatcher, { prefetch: 10 });
  await publish(world, broker, queue, ...numbers(6));
  assert.deepEqual([first.values, second.values, third.values], [["0", "1"], [], []]);
  assert.equal(second.consumer.hasReady, false);
  first.take("0").ack();
  await world.quiet();
  assert.deepEqual(first.values, ["1", "2"]);
  first.consumer.stop();
  await world.quiet();
  assert.deepEqual(second.values, [], "the first still has two");
  first.take("1").ack();
  nack(first.take("2"));
  await world.quiet();
  assert.deepEqual([second.values, third.values], [["2", "3", "4", "5"], []]);
  second.consumer.close();
  await world.quiet();
  assert.deepEqual(third.ackAll(), ["2", "3", "4", "5"]);
  await broker.close();
});

test("a single active consumer that makes way keeps what it has, and the next one goes on at once", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { singleActiveConsumer: true, bytesMax: 3 });
  const first = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  const second = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await publish(world, broker, queue, ...numbers(3));
  const kept = first.take("0");
  first.consumer.leave();
  await world.quiet();
  assert.deepEqual(second.ackAll(), ["1"]);
  assert.deepEqual([queue.dispatcher.consumers, kept.isLeased], [[second.consumer], true]);
  assert.equal(kept.status.consumer, "consumer");
  kept.release();
  await world.quiet();
  assert.deepEqual(second.ackAll(), ["0"]);
  await world.quiet();
  assert.deepEqual(second.ackAll(), ["2"]);
  assert.deepEqual(queue.dispatcher.holders, [second.consumer]);
  await broker.close();
});

test("what a consumer that has left still has is taken from it when its queue is deleted", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, {});
  const one = new TestConsumer(queue.dispatcher);
  await publish(world, broker, queue, "a");
  const kept = one.take("a");
  one.consumer.leave();
  assert.equal(await broker.deleteQueue("work", { ifUnused: true }), true);
  assert.equal(kept.isLeased, false);
  await broker.close();
});

test("a consumer that does not stand by takes what is there beside the single active one", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { singleActiveConsumer: true });
  const aside = new TestConsumer(queue.dispatcher, { prefetch: 1, standsBy: false });
  const active = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await publish(world, broker, queue, ...numbers(4));
  assert.deepEqual([active.values, aside.values], [["0"], ["1"]]);
  aside.consumer.leave();
  active.take("0").ack();
  await world.quiet();
  assert.deepEqual(active.values, ["2"]);
  await broker.close();
});

test("whoever is active stays so when a consumer of a higher priority comes; that one is next", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { singleActiveConsumer: true });
  const first = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  const second = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  const urgent = new TestConsumer(queue.dispatcher, { prefetch: 1, priority: 5 });
  await publish(world, broker, queue, ...numbers(3));
  assert.deepEqual([first.values, second.values, urgent.values], [["0"], [], []]);
  first.take("0").ack();
  first.consumer.close();
  await world.quiet();
  assert.deepEqual([second.values, urgent.values], [[], ["1"]]);
  await broker.close();
});

test("single active: a lease that runs out goes back to the one that is active", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { singleActiveConsumer: true });
  const first = new TestConsumer(queue.dispatcher, { prefetch: 2, leaseMs: 1_000 });
  const second = new TestConsumer(queue.dispatcher);
  await publish(world, broker, queue, "a");
  await world.pass(1_001);
  assert.deepEqual(
    first.all.map(({ attempt }) => attempt),
    [1, 2],
  );
  assert.deepEqual(second.values, []);
  await broker.close();
});

test("consumers of a higher priority get messages while they have credit, those of one priority share", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, {});
  const low = new TestConsumer(queue.dispatcher, { prefetch: 100, priority: -1 });
  const high = new TestConsumer(queue.dispatcher, { prefetch: 3, priority: 1 });
  const alsoHigh = new TestConsumer(queue.dispatcher, { prefetch: 3, priority: 1 });
  const middle = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await publish(world, broker, queue, ...numbers(4));
  assert.equal(high.all.length + alsoHigh.all.length, 4);
  assert.ok(high.all.length >= 1 && alsoHigh.all.length >= 1);
  assert.equal(middle.all.length + low.all.length, 0);
  await publish(world, broker, queue, "4", "5", "6", "7", "8");
  assert.deepEqual(
    [high, alsoHigh, middle, low].map(({ all }) => all.length),
    [3, 3, 2, 1],
  );
  high.takeAll()[0]!.ack();
  await publish(world, broker, queue, "9");
  assert.deepEqual(high.waiting.at(-1)!.record.valueText(), "9");
  await broker.close();
});

test("by fewest in flight: a slow consumer is left alone while others have less to do", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { balance: "fewest" });
  const slow = new TestConsumer(queue.dispatcher, { prefetch: 100 });
  const quick = new TestConsumer(queue.dispatcher, { prefetch: 100 });
  await publish(world, broker, queue, ...numbers(10));
  assert.deepEqual([slow.all.length, quick.all.length], [5, 5]);
  quick.ackAll();
  await publish(world, broker, queue, ...numbers(5));
  assert.deepEqual([slow.all.length, quick.all.length], [5, 10], "all five until it has as many");
  await publish(world, broker, queue, ...numbers(4));
  assert.deepEqual([slow.all.length, quick.all.length], [7, 12]);
  const late = new TestConsumer(queue.dispatcher, { prefetch: 4 });
  await publish(world, broker, queue, ...numbers(6));
  assert.deepEqual(
    [slow.all.length, quick.all.length, late.all.length],
    [8, 13, 4],
    "as far as its credit goes",
  );
  await broker.close();
});

test("one message at a time goes to one consumer after the other", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  const consumers = ["a", "b", "c"].map(
    (name) => new TestConsumer(queue.dispatcher, { name }, (delivery) => delivery.ack()),
  );
  for (const value of ["0", "1", "2", "3", "4", "5"]) {
    queue.append(message(value));
    await broker.flush();
    await world.quiet();
  }
  assert.deepEqual(
    consumers.map(({ values }) => values),
    [
      ["0", "3"],
      ["1", "4"],
      ["2", "5"],
    ],
  );
  await broker.close();
});

test("a priority that is none is refused", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, {});
  for (const priority of [0.5, Number.NaN, "1" as unknown as number])
    assert.throws(
      () => new TestConsumer(queue.dispatcher, { priority }),
      (error) =>
        isBrokerError(error, "INVALID_OPTION") && /priority of consumer/.test((error as Error).message),
    );
  await assert.rejects(broker.declareQueue("other", { balance: "random" as never }), /credit, fewest, key/);
  await assert.rejects(broker.declareQueue("work", { balance: "key" }), /balance "credit".*balance "key"/);
  await broker.close();
});
