import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { QueueOptions } from "../../src/broker/limits.js";
import type { Queue } from "../../src/broker/queue.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

async function declared(world: BrokerWorld, options: Partial<QueueOptions> = {}) {
  const broker = await world.open({ tailCacheBytes: 0 });
  const queue = await broker.declareQueue("work", { priorities: 3, ...options });
  return { broker, queue };
}

/** Each text begins with its priority. */
async function publish(broker: Broker, queue: Queue, ...values: string[]): Promise<void> {
  for (const value of values) queue.append(message(value, { priority: Number(value[0]) }));
  await broker.flush();
}

async function waiting(queue: Queue | undefined): Promise<string[]> {
  const values: string[] = [];
  for await (const { record } of queue!.browse()) values.push(record.valueText());
  return values;
}

test("higher priorities are handed out first, each in order, and one that is too high counts as the highest", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(broker, queue, "0a", "1a", "2a", "0b", "9a", "2b", "1b");
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.deepEqual(one.values, ["2a", "9a", "2b", "1a", "1b", "0a", "0b"]);
  assert.deepEqual(
    one.all.map(({ partition }) => partition),
    [2, 2, 2, 1, 1, 0, 0],
  );
  await broker.close();
});

test("nothing of a lower priority overtakes what has to be fetched from disk first", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(broker, queue, "0a", "0b");
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  // The next ones of level 0 are in memory by now; those of level 2 are not.
  const many = Array.from({ length: 3_000 }, (_, index) => `2-${index}-${"x".repeat(100)}`);
  await publish(broker, queue, ...many);
  const seen: string[] = [];
  while (one.waiting.length > 0) {
    seen.push(...one.ackAll());
    await world.quiet();
  }
  assert.deepEqual(seen, ["0a", ...many, "0b"]);
  await broker.close();
});

test("a message that comes while lower ones wait goes to the next credit, and one that is retried goes back to its place", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(broker, queue, "1a", "1b", "0a");
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  const first = one.take("1a");
  await publish(broker, queue, "2a");
  nack(first);
  await world.quiet();
  one.take("2a").ack();
  await world.quiet();
  one.take("1a").ack();
  await world.quiet();
  one.take("1b").ack();
  await world.quiet();
  one.take("0a").ack();
  await broker.close();
});

test("order by key holds over priorities: the line of a key is one", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  queue.dispatcher.orderByKey();
  queue.append(message("low", { key: "k", priority: 0 }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  queue.append(message("high", { key: "k", priority: 2 }));
  await broker.flush();
  await world.quiet();
  assert.deepEqual(one.values, ["low"]);
  one.take("low").ack();
  await world.quiet();
  one.take("high").ack();
  await broker.close();
});

test("every level survives a crash with what became of its messages", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(broker, queue, "0a", "1a", "1b", "2a", "2b");
  const one = new TestConsumer(queue.dispatcher, { prefetch: 3 });
  await world.quiet();
  one.take("2a").ack();
  nack(one.waiting[1]!, 60_000);
  await world.pass(20);
  await broker.flush();
  world.crash();
  const again = await world.open();
  const { states, dispatcher } = again.queue("work")!;
  assert.deepEqual(
    states.map(({ unsettledCount }) => unsettledCount),
    [1, 2, 1],
  );
  const two = new TestConsumer(dispatcher, { leaseMs: 1_000_000 });
  await world.quiet();
  assert.deepEqual(
    two.all.map((delivery) => [delivery.record.valueText(), delivery.attempt]),
    [
      ["2b", 2],
      ["1b", 2],
      ["0a", 2],
    ],
  );
  await world.pass(60_000);
  assert.deepEqual([two.all.at(-1)!.record.valueText(), two.all.at(-1)!.attempt], ["1a", 2]);
  await again.close();
});

test("limits count all levels together", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { countMax: 3, bytesMax: 1_000 });
  await publish(broker, queue, "0a", "1a", "2a");
  assert.equal(queue.count, 3);
  assert.equal(queue.bodyBytes, 6);
  assert.throws(() => queue.append(message("2b", { priority: 2 })), withCode("QUEUE_FULL"));
  const { dispatcher } = queue;
  const one = new TestConsumer(dispatcher, { prefetch: 1 });
  await world.quiet();
  one.take("2a").ack();
  queue.append(message("2b", { priority: 2 }));
  await broker.close();
  const again = await world.open();
  assert.equal(again.queue("work")!.bodyBytes, 6);
  await again.close();
});

test("bytes are counted over levels that commit together and apart", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { countMax: 100 });
  for (let round = 0; round < 3; round += 1) {
    for (const priority of [0, 1, 0, 2, 1]) queue.append(message("12345", { priority }));
    assert.equal(queue.count, 5 * (round + 1));
    assert.equal(queue.bodyBytes, 25 * (round + 1));
    await broker.flush();
  }
  assert.equal(queue.published, 15);
  assert.equal(queue.bodyBytes, 75);
  await broker.close();
});

test("drop-oldest removes the oldest of the lowest priority", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { countMax: 3, overflow: "drop-oldest" });
  await publish(broker, queue, "1a", "0a", "0b");
  await publish(broker, queue, "2a");
  await world.quiet();
  assert.deepEqual(await waiting(queue), ["2a", "1a", "0b"]);
  await publish(broker, queue, "2b");
  await world.quiet();
  await publish(broker, queue, "2c");
  await world.quiet();
  assert.deepEqual(await waiting(queue), ["2a", "2b", "2c"]);
  await publish(broker, queue, "0c");
  await world.quiet();
  assert.deepEqual(await waiting(queue), ["2a", "2b", "2c"]);
  assert.equal(queue.dispatcher.counters.dropped, 4);
  await broker.close();
});

test("dead-letter-oldest takes the oldest of the lowest priority", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { countMax: 2, overflow: "dead-letter-oldest" });
  await publish(broker, queue, "1a", "0a", "2a", "2b");
  await world.quiet();
  assert.deepEqual(await waiting(queue), ["2a", "2b"]);
  assert.deepEqual(await waiting(broker.queue("dead/work")), ["0a", "1a"]);
  await broker.close();
});

test("purge, browse and statistics are over all levels", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(broker, queue, "0a");
  await world.pass(500);
  queue.append(message("2a", { priority: 2, timestampMs: world.clock.nowMs() }));
  queue.append(message("1a", { priority: 1, readyAtMs: START_MS + 100_000 }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  assert.deepEqual(await waiting(queue), ["2a", "1a", "0a"]);
  one.take("2a").ack();
  await world.quiet();
  const [statistics] = broker.statistics().queues;
  assert.deepEqual(statistics!.unsettledByPriority, [1, 1, 0]);
  assert.equal(statistics!.inFlight, 1);
  assert.equal(statistics!.delayed, 1);
  assert.equal(statistics!.published, 3);
  assert.equal(queue.purge(), 1);
  assert.deepEqual(await waiting(queue), ["0a"]);
  one.take("0a").ack();
  assert.deepEqual(await waiting(queue), []);
  await broker.close();
});

test("the age limit and the expiry of messages hold at every level", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { ageMaxMs: 10_000 });
  await publish(broker, queue, "0a", "1a", "2a");
  queue.append(message("2b", { priority: 2, expiresAtMs: START_MS + 1 }));
  await broker.flush();
  await world.pass(60_000);
  assert.equal(queue.count, 0);
  assert.deepEqual((await waiting(broker.queue("dead/work"))).toSorted(), ["0a", "1a", "2a", "2b"]);
  await broker.close();
});

test("a dead letter goes back to the level that it came from, with an id of its own place", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(broker, queue, "0a", "2a");
  const one = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await world.quiet();
  for (const delivery of one.takeAll()) await delivery.deadLetter("rejected", "no");
  const letters = [];
  for await (const letter of broker.deadLetters.list("work")) letters.push(letter);
  assert.deepEqual(
    letters.map(({ record, history }) => [record.valueText(), history[0]!.partition, history[0]!.offset]),
    [
      ["2a", 2, 0],
      ["0a", 0, 0],
    ],
  );
  assert.equal(new Set(letters.map(({ record }) => String(record.header("omnibus-id")))).size, 2);
  await broker.deadLetters.replay(letters);
  await world.quiet();
  assert.deepEqual(one.values, ["2a", "0a"]);
  assert.deepEqual(
    one.all.slice(2).map(({ partition }) => partition),
    [2, 0],
  );
  await broker.close();
});

test("a queue of before has one level, stays where it was, and cannot be given more", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const plain = await broker.declareQueue("plain");
  plain.append(message("a", { priority: 5 }));
  await broker.flush();
  assert.equal(plain.states[0]!.log.name, `queue.${plain.id}.plain`);
  await assert.rejects(broker.declareQueue("plain", { priorities: 3 }), withCode("QUEUE_MISMATCH"));
  for (const priorities of [0, 33, 1.5])
    await assert.rejects(broker.declareQueue("other", { priorities }), withCode("INVALID_OPTION"));
  await broker.close();
  const again = await world.open();
  const one = new TestConsumer(again.queue("plain")!.dispatcher);
  await world.quiet();
  assert.equal(one.take("a").partition, undefined);
  await again.close();
});
