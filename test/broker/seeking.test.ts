import assert from "node:assert/strict";
import { test } from "node:test";
import type { SeekPosition } from "../../src/broker/positions.js";
import { type BrokerErrorCode, isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

/** Messages 0 to 9, a second apart, and a group that has handled the first five. */
async function halfRead(world: BrokerWorld, handled = 5) {
  const broker = await world.open();
  const topic = await broker.declareTopic("orders");
  const group = await broker.declareSubscription("orders", "billing");
  for (let index = 0; index < 10; index += 1)
    topic.append(message(String(index), { timestampMs: START_MS + index * 1_000 }));
  await broker.flush();
  if (handled > 0) {
    const reader = new TestConsumer(group.dispatcher, { prefetch: handled });
    await world.quiet();
    const taken = reader.takeAll();
    reader.consumer.stop();
    for (const delivery of taken) delivery.ack();
  }
  await broker.flush();
  return { broker, topic, group };
}

const texts = (from: number, end = 10) =>
  Array.from({ length: end - from }, (_, index) => String(from + index));

test("a group is moved to the beginning, the end, an offset or a time, also over a crash", async () => {
  const places: [SeekPosition, string[]][] = [
    ["beginning", texts(0)],
    ["end", []],
    [{ offset: 2 }, texts(2)],
    [{ offset: 8, partition: 0 }, texts(8)],
    [{ offset: 10 }, []],
    [{ timestampMs: START_MS + 6_500 }, texts(7)],
    [{ timestampMs: 0 }, texts(0)],
    [{ timestampMs: START_MS + 1_000_000 }, []],
  ];
  for (const [to, expected] of places) {
    for (const crashes of [false, true]) {
      const world = new BrokerWorld();
      const opened = await halfRead(world);
      await opened.broker.seekSubscription("orders", "billing", to);
      if (crashes) world.crash(true);
      const broker = crashes ? await world.open() : opened.broker;
      const group = broker.topic("orders")!.subscriptions.get("billing")!;
      assert.equal(group.lag, expected.length);
      const one = new TestConsumer(group.dispatcher);
      await world.quiet();
      assert.deepEqual(one.values, expected, JSON.stringify(to));
      assert.ok(one.all.every(({ attempt }) => attempt === 1));
      await broker.close();
    }
  }
});

test("what was in flight when its group was moved is taken away, and answers for it change nothing", async () => {
  const world = new BrokerWorld();
  const { broker, group } = await halfRead(world);
  const lost: string[] = [];
  const one = new TestConsumer(group.dispatcher, { prefetch: 2 }, (delivery) => {
    delivery.onLeaseLost = () => lost.push(delivery.record.valueText());
  });
  await world.quiet();
  const [five, six] = one.takeAll();
  await broker.seekSubscription("orders", "billing", "beginning");
  await world.quiet();
  assert.deepEqual(lost, ["5", "6"]);
  assert.deepEqual(one.values, [], "who lost messages gets others when it has answered for them");
  assert.throws(() => five!.ack(), withCode("LEASE_LOST"));
  assert.throws(() => nack(six!), withCode("LEASE_LOST"));
  await world.quiet();
  const seen: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    seen.push(...one.ackAll());
    await world.quiet();
  }
  assert.deepEqual(seen, texts(0));
  assert.equal(group.dispatcher.inFlight, 0);
  await broker.flush();
  world.crash();
  const again = await world.open();
  assert.equal(again.topic("orders")!.subscriptions.get("billing")!.lag, 0);
  await again.close();
});

test("failures, delays and turns of keys from before a move are forgotten", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders");
  const group = await broker.declareSubscription("orders", "billing");
  group.dispatcher.orderByKey();
  for (const value of ["a1", "b1", "a2", "b2", "a3"]) topic.append(message(value, { key: value[0]! }));
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  nack(one.take("a1"), 60_000);
  one.take("b1");
  await broker.seekSubscription("orders", "billing", { offset: 2 });
  const two = new TestConsumer(group.dispatcher);
  const handled: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    await world.quiet();
    handled.push(...one.ackAll(), ...two.ackAll());
  }
  assert.deepEqual(handled.sort(), ["a2", "a3", "b2"]);
  assert.equal(group.lag, 0);
  await world.pass(100_000);
  assert.deepEqual([...one.values, ...two.values], []);
  await broker.close();
});

test("one partition is moved and the others stay where they are", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders", { partitions: 2 });
  const group = await broker.declareSubscription("orders", "billing");
  for (let index = 0; index < 20; index += 1) topic.append(message(String(index), { key: String(index) }));
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  one.ackAll();
  const count = topic.partitions[1]!.highWatermark;
  await broker.seekSubscription("orders", "billing", { offset: 0, partition: 1 });
  assert.equal(group.lag, count);
  await world.quiet();
  assert.equal(one.takeAll().length, count);
  await assert.rejects(
    broker.seekSubscription("orders", "billing", { offset: 0 }),
    withCode("INVALID_OPTION"),
  );
  await broker.close();
});

test("a crash at any step of a move leaves the group at the old place or the new one, in every partition", async () => {
  const seen = new Set<string>();
  for (let turns = 0; turns < 30; turns += 1) {
    const world = new BrokerWorld(turns);
    const broker = await world.open();
    const topic = await broker.declareTopic("orders", { partitions: 3 });
    const group = await broker.declareSubscription("orders", "billing");
    for (let index = 0; index < 30; index += 1) topic.append(message(String(index), { key: String(index) }));
    const one = new TestConsumer(group.dispatcher);
    await world.quiet();
    one.ackAll();
    await broker.flush();
    broker.seekSubscription("orders", "billing", "beginning").catch(() => undefined);
    await world.turns(turns);
    for (const delivery of one.takeAll()) delivery.ack();
    world.crash(false);
    const again = await world.open();
    const { lag } = again.topic("orders")!.subscriptions.get("billing")!;
    seen.add(String(lag));
    await again.close();
  }
  assert.deepEqual([...seen].sort(), ["0", "30"]);
});

test("a group is moved again and again, and each life of the broker knows the last place", async () => {
  const world = new BrokerWorld();
  let { broker } = await halfRead(world);
  for (let life = 0; life < 5; life += 1) {
    const offset = (life * 7) % 10;
    await broker.seekSubscription("orders", "billing", { offset });
    const one = new TestConsumer(broker.topic("orders")!.subscriptions.get("billing")!.dispatcher, {
      prefetch: 1,
    });
    await world.quiet();
    if (offset < 10) one.take(String(offset)).ack();
    await broker.flush();
    if (life % 2 === 0) await broker.close();
    else world.crash();
    broker = await world.open();
    const group = broker.topic("orders")!.subscriptions.get("billing")!;
    assert.equal(group.lag, 10 - offset - 1, `life ${life}`);
  }
  await broker.close();
});

test("a message that is on its way to the dead letters while its group is moved ends there, and comes again", async () => {
  const world = new BrokerWorld();
  const { broker, group } = await halfRead(world, 0);
  const one = new TestConsumer(group.dispatcher, { prefetch: 1 });
  await world.quiet();
  const burying = one.take("0").deadLetter("rejected", "no");
  await broker.seekSubscription("orders", "billing", "beginning");
  await burying;
  await world.quiet();
  assert.equal(group.dispatcher.inFlight, 1);
  one.take("0").ack();
  await world.quiet();
  assert.equal(broker.queue("dead/orders/billing")!.count, 1);
  assert.equal(group.lag, 9);
  await broker.close();
});

test("a place that is not there is refused and nothing is moved", async () => {
  const world = new BrokerWorld();
  const { broker, group } = await halfRead(world);
  const refused: [unknown, BrokerErrorCode][] = [
    [{ offset: 11 }, "OFFSET_OUT_OF_RANGE"],
    [{ offset: 0, partition: 1 }, "OFFSET_OUT_OF_RANGE"],
    [{ offset: -1 }, "INVALID_OPTION"],
    [{ offset: 1.5 }, "INVALID_OPTION"],
    ["new", "INVALID_OPTION"],
    [undefined, "INVALID_OPTION"],
    [{ timestampMs: Number.NaN }, "INVALID_OPTION"],
  ];
  for (const [to, code] of refused) {
    const seeking = broker.seekSubscription("orders", "billing", to as SeekPosition);
    await assert.rejects(seeking, withCode(code), JSON.stringify(to));
  }
  await assert.rejects(broker.seekSubscription("orders", "mail", "end"), withCode("SUBSCRIPTION_NOT_FOUND"));
  assert.equal(group.lag, 5);
  await broker.close();
});

test("a new group begins at an offset or a time, and stays with that after a restart", async () => {
  const world = new BrokerWorld();
  const { broker } = await halfRead(world);
  const byOffset = await broker.declareSubscription("orders", "by-offset", { from: { offset: 3 } });
  const byTime = await broker.declareSubscription("orders", "by-time", {
    from: { timestampMs: START_MS + 8_000 },
  });
  assert.equal(byOffset.lag, 7);
  assert.equal(byTime.lag, 2);
  await assert.rejects(
    broker.declareSubscription("orders", "late", { from: { offset: 99 } }),
    withCode("OFFSET_OUT_OF_RANGE"),
  );
  await assert.rejects(
    broker.declareSubscription("orders", "odd", { from: "end" as never }),
    withCode("INVALID_OPTION"),
  );
  world.crash(true);
  const again = await world.open();
  const orders = again.topic("orders")!;
  assert.equal(orders.subscriptions.get("by-offset")!.lag, 7);
  const one = new TestConsumer(orders.subscriptions.get("by-time")!.dispatcher);
  await world.quiet();
  assert.deepEqual(one.values, ["8", "9"]);
  const same = await again.declareSubscription("orders", "by-time", { from: "beginning" });
  assert.equal(same.lag, 2, "a group that is there goes on where it is");
  await again.close();
});

test("a subject that a group asked for can be taken back, and what waits of it is passed over", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const subjects = ["order.placed", "order.paid"];
  const group = await broker.declareSubscription("order", "billing", { subjects });
  for (const subject of [...subjects, ...subjects]) topic.append(message(subject, { subject }));
  await broker.flush();
  assert.equal(await broker.unsubscribe("order", "billing", "order.paid"), true);
  assert.equal(await broker.unsubscribe("order", "billing", "order.paid"), false);
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["order.placed", "order.placed"]);
  await broker.flush();
  world.crash();

  const again = await world.open();
  const stored = again.topic("order")!.subscriptions.get("billing")!;
  assert.deepEqual(stored.filter.patterns, ["order.placed"]);
  await assert.rejects(again.unsubscribe("order", "billing", "order.placed"), (error) => {
    assert.ok(isBrokerError(error, "INVALID_OPTION"));
    assert.match(error.message, /delete the group instead/);
    return true;
  });
  await again.declareSubscription("order", "billing", { subjects: ["order.paid"] });
  assert.deepEqual(stored.filter.patterns, ["order.placed", "order.paid"]);
  await again.declareSubscription("order", "audit");
  await assert.rejects(again.unsubscribe("order", "audit", "order.paid"), withCode("INVALID_OPTION"));
  await again.close();
});

test("a purged group passes over what waits, and not what is in flight", async () => {
  const world = new BrokerWorld();
  const { broker, group } = await halfRead(world);
  const one = new TestConsumer(group.dispatcher, { prefetch: 1 });
  await world.quiet();
  assert.equal(group.purge(), 4);
  one.take("5").ack();
  await broker.flush();
  world.crash();
  const again = await world.open();
  assert.equal(again.topic("orders")!.subscriptions.get("billing")!.lag, 0);
  await again.close();
});

test("a group whose members have partitions of their own is moved, and each goes on with its own", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders", { partitions: 4 });
  const group = await broker.declareSubscription("orders", "billing", { assignment: "partitions" });
  for (let index = 0; index < 40; index += 1) topic.append(message(String(index), { key: String(index) }));
  const members = [new TestConsumer(group.dispatcher), new TestConsumer(group.dispatcher)];
  await world.quiet();
  const partitionsOf = (one: TestConsumer) => new Set(one.all.map(({ partition }) => partition));
  const before = members.map(partitionsOf);
  assert.equal(before[0]!.size + before[1]!.size, 4);
  const inFlight = members.flatMap((one) => one.takeAll());
  assert.equal(inFlight.length, 40);
  await broker.seekSubscription("orders", "billing", "beginning");
  for (const delivery of inFlight) assert.throws(() => delivery.ack(), withCode("LEASE_LOST"));
  await world.quiet();
  for (const [index, one] of members.entries()) {
    assert.deepEqual(new Set(one.waiting.map(({ partition }) => partition)), before[index]);
    one.ackAll();
  }
  await world.quiet();
  assert.equal(group.lag, 0);
  assert.equal(group.dispatcher.inFlight, 0);
  members[0]!.consumer.close();
  await broker.seekSubscription("orders", "billing", { offset: 0, partition: 2 });
  await world.quiet();
  assert.equal(members[1]!.ackAll().length, topic.partitions[2]!.highWatermark);
  await broker.close();
});

test("a group that keeps keys with their consumers is moved, and every message comes once", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders");
  const group = await broker.declareSubscription("orders", "billing", { balance: "key" });
  for (let index = 0; index < 30; index += 1)
    topic.append(message(String(index), { key: String(index % 5) }));
  const members = [new TestConsumer(group.dispatcher), new TestConsumer(group.dispatcher)];
  await world.quiet();
  await broker.seekSubscription("orders", "billing", { offset: 10 });
  for (const one of members)
    for (const delivery of one.takeAll()) assert.throws(() => delivery.ack(), withCode("LEASE_LOST"));
  const handled: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    await world.quiet();
    for (const one of members) handled.push(...one.ackAll());
  }
  assert.deepEqual(
    handled.map(Number).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, index) => 10 + index),
  );
  assert.equal(group.lag, 0);
  await broker.close();
});

test("a message that is being settled in a transaction while its group is moved comes again", async () => {
  const world = new BrokerWorld();
  const { broker, group } = await halfRead(world);
  const out = await broker.declareQueue("out");
  const one = new TestConsumer(group.dispatcher, { prefetch: 2 });
  await world.quiet();
  const [five, six] = one.takeAll();
  const committing = broker.commit([five!], () => [out.append(message("done"))]);
  const seeking = broker.seekSubscription("orders", "billing", { offset: 5 });
  await Promise.all([committing, seeking]);
  assert.throws(() => six!.ack(), withCode("LEASE_LOST"));
  assert.throws(() => five!.ack(), withCode("LEASE_LOST"));
  await world.quiet();
  assert.equal(out.count, 1);
  one.take("5").ack();
  one.take("6").ack();
  await world.quiet();
  assert.equal(one.ackAll().length, 2);
  await world.quiet();
  assert.equal(group.dispatcher.inFlight, 1);
  await broker.close();
});

test("a message whose settlement fails after its group was moved is not given back to its consumer", async () => {
  const world = new BrokerWorld();
  const { broker, group } = await halfRead(world);
  const one = new TestConsumer(group.dispatcher, { prefetch: 1 });
  await world.quiet();
  const five = one.take("5");
  // As a transaction does, whose commit fails in the end.
  five.beginSettling();
  await broker.seekSubscription("orders", "billing", { offset: 5 });
  five.failSettling();
  assert.throws(() => five.ack(), withCode("LEASE_LOST"));
  await world.quiet();
  assert.equal(group.dispatcher.inFlight, 1);
  one.take("5").ack();
  assert.equal(group.lag, 4);
  await broker.close();
});
