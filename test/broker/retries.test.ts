import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function queueWith(world: BrokerWorld, values: readonly string[]) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  for (const value of values) queue.append(message(value));
  await broker.flush();
  return { broker, queue };
}

test("a nacked message comes back before later ones", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c", "d"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await world.quiet();
  const [a, b] = one.takeAll();
  nack(b!);
  nack(a!);
  await world.quiet();
  assert.deepEqual(one.values, ["a", "b"]);
  one.ackAll();
  await world.quiet();
  assert.deepEqual(one.values, ["c", "d"]);
  await broker.close();
});

test("a message that is not in memory any more comes back all the same", async () => {
  const world = new BrokerWorld();
  const broker = await world.open({ tailCacheBytes: 1 });
  const queue = await broker.declareQueue("work");
  for (const value of ["a", "b", "c"]) {
    queue.append(message(value));
    await broker.flush();
  }
  const one = new TestConsumer(queue.dispatcher, { prefetch: 3 });
  await world.quiet();
  const [a, b, c] = one.takeAll();
  nack(c!);
  nack(a!);
  b!.ack();
  await world.quiet();
  assert.deepEqual(one.ackAll().sort(), ["a", "c"]);
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a nack with a delay holds the message for that long and lets later ones pass", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  nack(one.take("a"), 5_000);
  one.take("b").ack();
  await world.pass(4_999);
  assert.deepEqual(one.values, []);
  assert.equal(broker.statistics().queues[0]!.delayed, 1);
  await world.pass(1);
  const again = one.take("a");
  assert.equal(again.attempt, 2);
  assert.equal(broker.statistics().queues[0]!.delayed, 0);
  await broker.close();
});

test("delayed messages come in the order in which they are due, and those due at one time in that of the log", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c", "d"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  const [a, b, c, d] = one.takeAll();
  nack(d!, 1_000);
  nack(b!, 2_000);
  nack(c!, 2_000);
  nack(a!, 3_000);
  await world.pass(3_000);
  assert.deepEqual(one.values, ["d", "b", "c", "a"]);
  await broker.close();
});

test("what a message failed with is kept until it is settled", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  nack(one.take("a"), 0, "first");
  await world.pass(700);
  nack(one.take("a"), 1_000, `second${"!".repeat(5_000)}`);
  const failure = queue.states[0]!.failureOf(0)!;
  assert.equal(failure.attempts, 2);
  assert.equal(failure.firstFailedAtMs, START_MS);
  assert.equal(failure.readyAtMs, START_MS + 1_700);
  assert.match(failure.error, /^second!+$/);
  assert.equal(failure.error.length, 2_000);
  await world.pass(1_000);
  one.take("a").ack();
  assert.equal(queue.states[0]!.failureOf(0), undefined);
  await broker.close();
});

test("a released message is not counted as tried, and one released with a delay comes back after it", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.take("a").release();
  one.take("b").release(500);
  await world.quiet();
  assert.equal(one.take("a").attempt, 1);
  assert.deepEqual(one.values, []);
  await world.pass(500);
  assert.equal(one.take("b").attempt, 1);
  assert.equal(broker.statistics().queues[0]!.redelivered, 0);
  await broker.close();
});

test("attempts are counted over nacks, lost leases and restarts", async () => {
  const world = new BrokerWorld();
  const first = await queueWith(world, ["a"]);
  const one = new TestConsumer(first.queue.dispatcher, { leaseMs: 1_000, attemptsMax: 10 });
  await world.quiet();
  nack(one.take("a"));
  await world.quiet();
  assert.equal(one.take("a").attempt, 2);
  await world.pass(1_000);
  assert.equal(one.take("a").attempt, 3);
  await first.broker.flush();
  world.crash();

  const second = await world.open();
  const two = new TestConsumer(second.queue("work")!.dispatcher, { attemptsMax: 10 });
  await world.quiet();
  const fourth = two.take("a");
  assert.equal(fourth.attempt, 4);
  fourth.release();
  await second.close();

  const third = await world.open();
  const three = new TestConsumer(third.queue("work")!.dispatcher, { attemptsMax: 10 });
  await world.quiet();
  assert.equal(three.take("a").attempt, 4);
  await third.close();
});

test("a crash is a try of what its consumer had begun, and of nothing that waited there", async () => {
  const world = new BrokerWorld();
  const first = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(first.queue.dispatcher, { startsExplicitly: true });
  await world.quiet();
  one.take("a").begin();
  one.take("b").begin();
  await first.broker.flush();
  world.crash();

  const second = await world.open();
  const two = new TestConsumer(second.queue("work")!.dispatcher, { startsExplicitly: true }, (delivery) => {
    if (delivery.attempt === 1) delivery.begin();
  });
  await world.quiet();
  assert.deepEqual(
    two.all.map(({ attempt }) => attempt),
    [2, 2, 1],
  );
  await second.flush();
  world.crash();

  const third = await world.open();
  const three = new TestConsumer(third.queue("work")!.dispatcher);
  await world.quiet();
  assert.deepEqual(
    three.all.map(({ attempt }) => attempt),
    [2, 2, 2],
  );
  three.ackAll();
  await third.close();
});

test("a message that failed as often as its consumer allows is dead-lettered, and others go on", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["poison", "b"]);
  const attempts: number[] = [];
  const one = new TestConsumer(queue.dispatcher, { attemptsMax: 3 }, (delivery) => {
    if (delivery.record.valueText() !== "poison") return delivery.ack();
    attempts.push(delivery.attempt);
    nack(delivery, 10);
  });
  await world.pass(1_000);
  assert.deepEqual(attempts, [1, 2, 3]);
  assert.equal(one.all.length, 4);
  assert.equal(queue.count, 0);
  assert.equal(broker.queue("dead/work")!.count, 1);
  const [statistics] = broker.statistics().queues;
  assert.equal(statistics!.deadLettered, 1);
  assert.equal(statistics!.settled, 1);
  assert.equal(statistics!.redelivered, 2);
  await broker.close();
});

test("a clock that jumps forward hands delayed messages out within half a minute", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 10_000_000 });
  await world.quiet();
  nack(one.take("a"), 3_600_000);
  await world.quiet();
  world.jumpWallClock(3_600_000);
  await world.pass(30_000);
  one.take("a").ack();
  await broker.close();
});
