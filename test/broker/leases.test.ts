import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Queue } from "../../src/broker/queue.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function queueWith(
  world: BrokerWorld,
  values: readonly string[],
): Promise<{ broker: Broker; queue: Queue }> {
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  for (const value of values) queue.append(message(value));
  await broker.flush();
  return { broker, queue };
}

const isLost = (error: unknown): boolean => isBrokerError(error, "LEASE_LOST");

test("messages are delivered in order, once each, as the first attempt", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.deepEqual(one.values, ["a", "b", "c"]);
  assert.deepEqual(
    one.all.map(({ attempt }) => attempt),
    [1, 1, 1],
  );
  one.ackAll();
  await world.pass(60_000);
  assert.equal(one.all.length, 3);
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a lease that runs out hands the message to another consumer, as the next attempt", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const slow = new TestConsumer(queue.dispatcher, { name: "slow", leaseMs: 1_000 });
  await world.quiet();
  const lost = slow.take("a");
  let told = 0;
  lost.onLeaseLost = () => {
    told += 1;
  };
  const other = new TestConsumer(queue.dispatcher, { name: "other" });
  await world.pass(999);
  assert.equal(other.all.length, 0);
  await world.pass(1);
  assert.equal(told, 1);
  assert.equal(lost.isLeased, false);
  const again = [...other.takeAll(), ...slow.takeAll()];
  assert.equal(again.length, 1);
  assert.equal(again[0]!.attempt, 2);
  assert.match(queue.states[0]!.failureOf(0)!.error, /lease of 1000 ms ran out in attempt 1/);
  await broker.close();
});

test("a stale answer is refused and settles nothing", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const slow = new TestConsumer(queue.dispatcher, { leaseMs: 1_000 });
  await world.quiet();
  const stale = slow.take("a");
  await world.pass(1_000);
  const current = slow.take("a");
  assert.throws(() => stale.ack(), isLost);
  assert.throws(() => stale.ack(), isLost);
  assert.throws(() => nack(stale), isLost);
  assert.throws(() => stale.release(), isLost);
  assert.throws(() => stale.extend(1_000), isLost);
  assert.throws(() => stale.deadLetter("rejected", "late"), isLost);
  assert.equal(queue.count, 1);
  assert.equal(current.isLeased, true);
  current.ack();
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a delivery is settled once, whichever way it was", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c", "d"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  const [acked, nacked, released, buried] = one.takeAll();
  acked!.ack();
  nack(nacked!, 60_000);
  released!.release(60_000);
  await buried!.deadLetter("rejected", "no");
  for (const delivery of [acked!, nacked!, released!, buried!]) {
    assert.throws(() => delivery.ack(), isLost);
    assert.throws(() => nack(delivery), isLost);
  }
  assert.equal(queue.count, 2);
  assert.equal(queue.dispatcher.inFlight, 0);
  await broker.close();
});

test("extending a lease keeps the message, and the leases of others still run out in time", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000, prefetch: 3 });
  await world.quiet();
  const [a, b, c] = one.takeAll();
  await world.pass(900);
  a!.extend(5_000);
  c!.extend(500);
  await world.pass(100);
  assert.deepEqual([a!.isLeased, b!.isLeased, c!.isLeased], [true, false, true]);
  await world.pass(400);
  assert.deepEqual([a!.isLeased, c!.isLeased], [true, false]);
  await world.pass(4_499);
  assert.equal(a!.isLeased, true);
  await world.pass(1);
  assert.equal(a!.isLeased, false);
  await broker.close();
});

test("renewing all leases keeps them in the order in which they run out", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000, prefetch: 3 });
  await world.quiet();
  const [a, b, c] = one.takeAll();
  a!.extend(3_000);
  await world.pass(500);
  one.consumer.renewAll();
  b!.extend(100);
  await world.pass(100);
  assert.deepEqual([a!.isLeased, b!.isLeased, c!.isLeased], [true, false, true]);
  await world.pass(900);
  assert.deepEqual([a!.isLeased, c!.isLeased], [true, false]);
  await world.pass(1_500);
  assert.equal(a!.isLeased, false);
  await broker.close();
});

test("a thread that is blocked just when a lease has run out may still renew the others", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000 });
  await world.pass(600);
  queue.append(message("b"));
  await broker.flush();
  await world.quiet();
  const [a, b] = one.takeAll();
  // No turn comes between the timer at 1,000 ms and the end of the block, when the lease of b has run out, too.
  await world.clock.advance(1_100, async () => undefined);
  await world.turns(1);
  one.consumer.renewAll();
  await world.quiet();
  assert.deepEqual([a!.isLeased, b!.isLeased], [false, true]);
  await broker.close();
});

test("a lost delivery keeps its slot until it is answered, so a stuck consumer is not fed without end", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const stuck = new TestConsumer(queue.dispatcher, { leaseMs: 1_000, prefetch: 1, attemptsMax: 100 });
  await world.quiet();
  const lost = stuck.take("a");
  await world.pass(10_000);
  assert.deepEqual(stuck.values, []);
  assert.equal(queue.dispatcher.inFlight, 0);
  assert.throws(() => lost.ack(), isLost);
  await world.quiet();
  assert.equal(stuck.take("a").attempt, 2);
  await broker.close();
});

test("a listener of a lost lease that settles other messages, or throws, stops no other lease from running out", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000 });
  await world.quiet();
  const [a, b, c] = one.takeAll();
  a!.onLeaseLost = () => b!.ack();
  await world.pass(1_000);
  assert.deepEqual([a!.isLeased, b!.isLeased, c!.isLeased], [false, false, false]);
  assert.deepEqual(one.values, ["a", "c"]);
  assert.equal(queue.count, 2);
  await broker.close();
});

test("nonsensical delays and leases are refused, and the delivery stays leased", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  const delivery = one.take("a");
  for (const delayMs of [Number.NaN, -1, Number.POSITIVE_INFINITY])
    assert.throws(
      () => nack(delivery, delayMs),
      (error) => isBrokerError(error, "INVALID_OPTION"),
    );
  for (const leaseMs of [Number.NaN, -1, 0])
    assert.throws(
      () => delivery.extend(leaseMs),
      (error) => isBrokerError(error, "INVALID_OPTION"),
    );
  delivery.ack();
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a consumer with options that make no sense is refused and leaves no trace", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, []);
  for (const options of [{ prefetch: -1 }, { prefetch: Number.NaN }, { leaseMs: -5 }, { attemptsMax: 0 }])
    assert.throws(
      () => new TestConsumer(queue.dispatcher, options),
      (error) => isBrokerError(error, "INVALID_OPTION"),
    );
  assert.equal(queue.dispatcher.consumers.length, 0);
  await broker.close();
});

test("prefetch bounds what a consumer has, and settling lets it have more", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c", "d"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await world.quiet();
  assert.deepEqual(one.values, ["a", "b"]);
  one.take("a").ack();
  await world.quiet();
  assert.deepEqual(one.values, ["b", "c"]);
  one.consumer.setPrefetch(3);
  await world.quiet();
  assert.deepEqual(one.values, ["b", "c", "d"]);
  await broker.close();
});

test("inFlightMax bounds what all consumers have together", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { inFlightMax: 3 });
  for (const value of ["a", "b", "c", "d", "e"]) queue.append(message(value));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  const two = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.equal(one.all.length + two.all.length, 3);
  (one.waiting[0] ?? two.waiting[0])!.ack();
  await world.quiet();
  assert.equal(one.all.length + two.all.length, 4);
  await broker.close();
});

test("consumers of one queue share what is waiting, and each message goes to one of them", async () => {
  const world = new BrokerWorld();
  const values = Array.from({ length: 100 }, (_, index) => String(index));
  const { broker, queue } = await queueWith(world, values);
  const one = new TestConsumer(queue.dispatcher);
  const two = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.deepEqual([one.all.length, two.all.length], [50, 50]);
  assert.deepEqual(
    [...one.values, ...two.values].sort((a, b) => Number(a) - Number(b)),
    values,
  );
  await broker.close();
});

test("closing a consumer gives back what it has, untried and in order", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.waiting[1]!.ack();
  one.consumer.close();
  const two = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.deepEqual(two.values, ["a", "c"]);
  assert.deepEqual(
    two.all.map(({ attempt }) => attempt),
    [1, 1],
  );
  await broker.close();
});

test("a stopped consumer gets nothing more, keeps what it has, and ends when that is settled", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  one.consumer.stop();
  assert.equal(queue.dispatcher.consumers.length, 1);
  one.take("a").ack();
  await world.quiet();
  assert.equal(queue.dispatcher.consumers.length, 0);
  assert.equal(one.all.length, 1);
  await broker.close();
});

test("messages wait for a consumer that comes later, in memory or not", async () => {
  for (const tailCacheBytes of [undefined, 1]) {
    const world = new BrokerWorld();
    const broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    const queue = await broker.declareQueue("work");
    queue.append(message("a"));
    await broker.flush();
    await world.pass(1_000);
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    one.take("a").ack();
    one.consumer.close();
    queue.append(message("b"));
    await world.pass(1_000);
    const two = new TestConsumer(queue.dispatcher);
    await world.quiet();
    two.take("b").ack();
    await broker.close();
  }
});

test("a consumer with a prefetch of 0 gets nothing until it asks for more, and others are served", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 0, priority: 1 });
  await world.quiet();
  assert.deepEqual(one.values, []);
  one.consumer.setPrefetch(2);
  await world.quiet();
  assert.deepEqual(one.values, ["a", "b"]);
  one.consumer.setPrefetch(0);
  one.ackAll();
  await world.quiet();
  assert.deepEqual(one.values, []);
  const other = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.deepEqual(other.ackAll(), ["c"]);
  for (const wrong of [-1, 0.5, Number.NaN])
    assert.throws(
      () => one.consumer.setPrefetch(wrong),
      (error) => isBrokerError(error, "INVALID_OPTION"),
    );
  await broker.close();
});

test("a delivery says whether its message was handed out before, given back untried included", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["released", "tried", "left", "held", "fresh"]);
  const first = new TestConsumer(queue.dispatcher, { prefetch: 4 });
  await world.quiet();
  assert.deepEqual(
    first.all.map(({ isRedelivered }) => isRedelivered),
    [false, false, false, false],
  );
  first.consumer.setPrefetch(0);
  first.take("released").release();
  nack(first.take("tried"));
  const second = new TestConsumer(queue.dispatcher, { leaseMs: 1_000, startsExplicitly: true });
  await world.quiet();
  first.consumer.close();
  await world.quiet();
  const seen = (): string[] => second.all.map((one) => `${one.record.valueText()} ${one.isRedelivered}`);
  assert.deepEqual(seen(), ["released true", "tried true", "fresh false", "left true", "held true"]);
  // Nobody began on any of them: losing the lease is no try, and a redelivery all the same.
  second.consumer.setPrefetch(0);
  await world.pass(1_000);
  const third = new TestConsumer(queue.dispatcher);
  await world.quiet();
  const fresh = third.all.find((one) => one.record.valueText() === "fresh")!;
  assert.deepEqual([fresh.attempt, fresh.isRedelivered], [1, true]);
  third.ackAll();
  queue.append(message("new"));
  await world.quiet();
  assert.equal(third.takeAll()[0]!.isRedelivered, false);
  await broker.close();
});

test("what was in flight when the process died is redelivered", async () => {
  const world = new BrokerWorld();
  const { queue } = await queueWith(world, ["a", "b"]);
  const before = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.pass(1_000);
  assert.deepEqual(before.values, ["a"]);
  world.crash();
  const broker = await world.open();
  const after = new TestConsumer(broker.queue("work")!.dispatcher);
  await world.quiet();
  assert.deepEqual(
    after.all.map(({ isRedelivered }) => isRedelivered),
    [true, false],
  );
  await broker.close();
});
