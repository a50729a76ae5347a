import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Delivery } from "../../src/broker/delivery.js";
import type { Queue } from "../../src/broker/queue.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function declared(world: BrokerWorld) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { balance: "key" });
  return { broker, queue };
}

/** Each text begins with its key and a dash. */
async function publish(world: BrokerWorld, broker: Broker, queue: Queue, values: readonly string[]) {
  for (const value of values) queue.append(message(value, { key: value.split("-")[0]! }));
  await broker.flush();
  await world.quiet();
}

function keyOf(delivery: Delivery): string {
  return delivery.record.keyText()!;
}

const KEYS = Array.from({ length: 300 }, (_, index) => `k${index}`);

/** Publishes a message of each key, and says who got it. */
async function owners(
  world: BrokerWorld,
  broker: Broker,
  queue: Queue,
  consumers: Readonly<Record<string, TestConsumer>>,
): Promise<Map<string, string>> {
  await publish(
    world,
    broker,
    queue,
    KEYS.map((key) => `${key}-x`),
  );
  const found = new Map<string, string>();
  for (const [name, one] of Object.entries(consumers)) {
    for (const delivery of one.takeAll()) {
      found.set(keyOf(delivery), name);
      delivery.ack();
    }
  }
  await world.quiet();
  assert.equal(found.size, KEYS.length);
  return found;
}

function moved(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return KEYS.filter((key) => before.get(key) !== after.get(key));
}

test("a key stays with its consumer while the consumers stay; one that comes or goes moves its own share only", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const options = { prefetch: 1_000 };
  const a = new TestConsumer(queue.dispatcher, options);
  const b = new TestConsumer(queue.dispatcher, options);
  const two = await owners(world, broker, queue, { a, b });
  assert.deepEqual(await owners(world, broker, queue, { a, b }), two);
  const share = KEYS.filter((key) => two.get(key) === "a").length / KEYS.length;
  assert.ok(share > 0.35 && share < 0.65, `a has ${share}`);
  const c = new TestConsumer(queue.dispatcher, options);
  const three = await owners(world, broker, queue, { a, b, c });
  const toC = moved(two, three);
  assert.ok(toC.every((key) => three.get(key) === "c"));
  assert.ok(toC.length > KEYS.length / 5 && toC.length < KEYS.length / 2, `${toC.length} moved`);
  b.consumer.close();
  const again = await owners(world, broker, queue, { a, c });
  assert.ok(moved(three, again).every((key) => three.get(key) === "b"));
  await broker.close();
});

test("what its consumer has no credit for waits, while other keys go on, and none of it is lost or out of order", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const stuck = new TestConsumer(queue.dispatcher, { prefetch: 2, leaseMs: 1_000_000 });
  const quick: string[] = [];
  const other = new TestConsumer(queue.dispatcher, { prefetch: 5 }, (delivery) => {
    quick.push(delivery.record.valueText());
    delivery.ack();
  });
  const values = [0, 1, 2].flatMap((round) => KEYS.map((key) => `${key}-${round}`));
  await publish(world, broker, queue, values);
  await world.turns(300);
  assert.equal(stuck.all.length, 2);
  assert.ok(quick.length > 300, `${quick.length} went on`);
  const ofStuck: string[] = [];
  while (stuck.waiting.length > 0) {
    ofStuck.push(...stuck.ackAll());
    await world.quiet();
  }
  assert.equal(other.all.length, quick.length);
  assert.deepEqual([...quick, ...ofStuck].toSorted(), values.toSorted());
  for (const seen of [quick, ofStuck]) {
    for (const key of KEYS) {
      const rounds = seen.filter((value) => value.startsWith(`${key}-`)).map((value) => value.at(-1));
      assert.deepEqual(rounds, rounds.toSorted());
      assert.ok(rounds.length === 0 || rounds.length === 3, "a key has one consumer");
    }
  }
  await broker.close();
});

test("a key that moves waits until its earlier consumer has settled what it has of it", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const options = { prefetch: 1_000 };
  const a = new TestConsumer(queue.dispatcher, options);
  await publish(
    world,
    broker,
    queue,
    [0, 1].flatMap((round) => KEYS.map((key) => `${key}-${round}`)),
  );
  assert.equal(a.all.length, KEYS.length, "one of each key at a time");
  const b = new TestConsumer(queue.dispatcher, options);
  await world.quiet();
  assert.equal(b.all.length, 0);
  const firsts = a.takeAll();
  nack(firsts[0]!);
  for (const delivery of firsts.slice(1)) delivery.ack();
  await world.quiet();
  assert.ok(b.all.length > KEYS.length / 3);
  const [retried] = [...a.all.slice(KEYS.length), ...b.all].filter(({ attempt }) => attempt === 2);
  assert.equal(retried!.record.valueText(), "k0-0", "before the second of its key");
  assert.equal(a.waiting.length + b.all.length, KEYS.length);
  await broker.close();
});

test("messages that wait for a consumer go to others when it leaves", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const a = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  const b = new TestConsumer(queue.dispatcher, { prefetch: 1_000 });
  await publish(
    world,
    broker,
    queue,
    KEYS.map((key) => `${key}-0`),
  );
  const before = b.all.length;
  assert.ok(before < KEYS.length - 1);
  a.consumer.stop();
  await world.quiet();
  assert.equal(b.all.length, KEYS.length - 1, "all but what it still has");
  nack(a.takeAll()[0]!);
  await world.quiet();
  assert.equal(b.all.length, KEYS.length);
  await broker.close();
});

test("so many wait for their consumer that nothing further is looked at, and no more memory is used", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  new TestConsumer(queue.dispatcher, { prefetch: 1, leaseMs: 10_000_000 });
  const counted = { count: 0 };
  new TestConsumer(queue.dispatcher, { prefetch: 100 }, (delivery) => {
    counted.count += 1;
    delivery.ack();
  });
  const total = 30_000;
  for (let index = 0; index < total; index += 1) queue.append(message("x", { key: `k${index}` }));
  await broker.flush();
  await world.turns(300);
  assert.ok(counted.count > 5_000 && counted.count < 18_000, `${counted.count} were handled`);
  await broker.close();
});

test("messages without a key go to whoever takes more, and consumers of a lower priority stand by for those with one", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const high = new TestConsumer(queue.dispatcher, { prefetch: 10, priority: 1 });
  const low = new TestConsumer(queue.dispatcher, { prefetch: 1_000 });
  await publish(
    world,
    broker,
    queue,
    KEYS.slice(0, 20).map((key) => `${key}-0`),
  );
  assert.deepEqual([high.all.length, low.all.length], [10, 0]);
  for (let index = 0; index < 5; index += 1) queue.append(message(`free ${index}`));
  await broker.flush();
  await world.quiet();
  assert.deepEqual([high.all.length, low.all.length], [10, 5]);
  high.consumer.close();
  await world.quiet();
  assert.equal(low.all.length, 25);
  await broker.close();
});

test("a message that is set aside while it waits for its consumer is not handed out before its time", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await publish(world, broker, queue, ["k-0"]);
  const state = queue.states[0]!;
  const nowMs = world.clock.nowMs();
  const record = state.next(nowMs)!;
  state.suspend(record);
  assert.equal(state.next(nowMs), undefined);
  assert.ok(state.takeWaiting(record));
  state.holdUntil(record, nowMs + 1_000, undefined, true);
  assert.equal(state.resume(record.offset), false);
  assert.equal(state.next(nowMs), undefined);
  assert.equal(state.next(nowMs + 1_000)?.offset, record.offset);
  assert.equal(state.inFlightCount, 1);
  await broker.close();
});
