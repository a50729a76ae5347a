import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Queue } from "../../src/broker/queue.js";
import { isBrokerError } from "../../src/broker-error.js";
import type { Durability } from "../../src/log/log.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function declared(world: BrokerWorld, values: readonly string[], durability: Durability = "synced") {
  const broker = await world.open({ durability });
  const queue = await broker.declareQueue("work");
  await publish(broker, queue, values);
  return { broker, queue };
}

async function publish(broker: Broker, queue: Queue, values: readonly string[]): Promise<void> {
  for (const value of values) queue.append(message(value));
  await broker.flush();
}

async function damage(world: BrokerWorld, path: string): Promise<void> {
  const file = await world.disk.open(path, "write");
  await file.write(Buffer.from("damage"), 20);
  await file.sync();
}

test("after a clean close nothing that was settled comes back, and the rest does, in order and untried", async () => {
  const world = new BrokerWorld();
  const values = Array.from({ length: 50 }, (_, index) => String(index));
  const { broker, queue } = await declared(world, values);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 20 });
  await world.quiet();
  for (const [index, delivery] of one.takeAll().entries()) if (index % 3 === 0) delivery.ack();
  await broker.close();
  const again = await world.open();
  const two = new TestConsumer(again.queue("work")!.dispatcher);
  await world.quiet();
  const settled = new Set(Array.from({ length: 7 }, (_, index) => String(3 * index)));
  assert.deepEqual(
    two.values,
    values.filter((value) => !settled.has(value)),
  );
  assert.ok(two.all.every(({ attempt }) => attempt === 1));
  await again.close();
});

test("after a crash what was in flight comes back as the next attempt, before the rest, and nothing else", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a", "b", "c", "d", "e", "f", "g"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 4 });
  await world.quiet();
  const [a, , c] = one.takeAll();
  a!.ack();
  nack(c!, 60_000);
  await world.quiet();
  await broker.flush();
  world.crash();
  const again = await world.open();
  const two = new TestConsumer(again.queue("work")!.dispatcher, { leaseMs: 1_000_000 });
  await world.quiet();
  assert.deepEqual(
    two.all.map((delivery) => [delivery.record.valueText(), delivery.attempt]),
    [
      ["b", 2],
      ["d", 2],
      ["e", 2],
      ["f", 2],
      ["g", 1],
    ],
  );
  assert.match(again.queue("work")!.states[0]!.failureOf(1)!.error, /the process ended/);
  await world.pass(60_000);
  assert.equal(two.takeAll().at(-1)!.attempt, 2);
  await again.close();
});

test("what waits, is held back, or stands in line for its key is not charged with a crash", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.dispatcher.orderByKey();
  const later = world.clock.nowMs() + 1_000;
  queue.append(message("a1", { key: "a" }));
  queue.append(message("a2", { key: "a" }));
  queue.append(message("late", { readyAtMs: later }));
  queue.append(message("b1", { key: "b" }));
  queue.append(message("b2", { key: "b" }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.deepEqual(one.values, ["a1", "b1"]);
  await broker.flush();
  world.crash();
  const again = await world.open();
  const two = new TestConsumer(again.queue("work")!.dispatcher);
  await world.pass(1_000);
  const attempts = Object.fromEntries(
    two.all.map((delivery) => [delivery.record.valueText(), delivery.attempt]),
  );
  assert.deepEqual(attempts, { a1: 2, a2: 1, b1: 2, b2: 1, late: 1 });
  await again.close();
});

test("a message that takes the process down each time ends among the dead letters", async () => {
  const world = new BrokerWorld();
  await declared(world, ["poison", "b"]);
  let lives = 0;
  for (; lives < 20; lives += 1) {
    world.crash();
    const broker = await world.open();
    const one = new TestConsumer(broker.queue("work")!.dispatcher, { prefetch: 1 });
    await world.quiet();
    await broker.flush();
    if (one.values[0] !== "poison") break;
  }
  assert.equal(lives, 5);
  world.crash();
  const broker = await world.open();
  assert.equal(broker.queue("dead/work")!.count, 1);
  await broker.close();
});

test("a crash in the first milliseconds repeats what was settled in them, and loses nothing", async () => {
  const world = new BrokerWorld();
  const { queue } = await declared(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.ackAll();
  world.crash();
  const again = await world.open();
  const two = new TestConsumer(again.queue("work")!.dispatcher);
  await world.quiet();
  assert.deepEqual(two.values, ["a", "b"]);
  two.ackAll();
  await world.pass(10);
  await world.quiet();
  world.crash();
  const third = await world.open();
  assert.equal(third.queue("work")!.count, 0);
  await third.close();
});

test("settlements that outlived their messages in a power failure do not settle the messages that follow", async () => {
  let cut = 0;
  for (let seed = 0; seed < 40; seed += 1) {
    const world = new BrokerWorld(seed);
    const { broker, queue } = await declared(world, ["a", "b"], "written");
    await broker.close();
    const second = await world.open({ durability: "written" });
    const one = new TestConsumer(second.queue("work")!.dispatcher, {}, (delivery) => delivery.ack());
    for (let index = 0; index < 20; index += 1)
      await publish(second, second.queue("work")!, [`lost ${index} ${"x".repeat(200)}`]);
    await world.pass(20);
    assert.equal(one.all.length, 22);
    world.crash(true);

    const third = await world.open({ durability: "written" });
    const work = third.queue("work")!;
    if (work.states[0]!.log.highWatermark < 22) cut += 1;
    const values = Array.from({ length: 30 }, (_, index) => `kept ${index}`);
    await publish(third, work, values);
    world.crash();
    const fourth = await world.open({ durability: "written" });
    const two = new TestConsumer(fourth.queue("work")!.dispatcher);
    await world.quiet();
    assert.deepEqual(
      two.values.filter((value) => value.startsWith("kept")),
      values,
      `seed ${seed}`,
    );
    assert.equal(queue.name, "work");
    await fourth.close();
  }
  assert.ok(cut > 5, `only ${cut} seeds lost the end of the log`);
});

test("a group of a topic that lost its end in a power failure gets what is published in its place", async () => {
  let cut = 0;
  for (let seed = 0; seed < 30; seed += 1) {
    const world = new BrokerWorld(seed);
    const broker = await world.open();
    const topic = await broker.declareTopic("order", { durability: "written" });
    for (let index = 0; index < 20; index += 1) {
      topic.append(message(`lost ${index}`));
      await broker.flush();
    }
    await broker.declareSubscription("order", "mail");
    world.crash(true);
    const second = await world.open();
    const log = second.topic("order")!.partitions[0]!;
    if (log.highWatermark < 20) cut += 1;
    const values = ["a", "b", "c"];
    for (const value of values) second.topic("order")!.append(message(value));
    await second.close();
    const third = await world.open();
    const one = new TestConsumer(third.topic("order")!.subscriptions.get("mail")!.dispatcher);
    await world.quiet();
    assert.deepEqual(one.values, values, `seed ${seed}`);
    await third.close();
  }
  assert.ok(cut > 5, `only ${cut} seeds lost the end of the log`);
});

test("a queue that cannot be read is left out, told about, and never replaced by an empty one", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  const other = await broker.declareQueue("other");
  const topic = await broker.declareTopic("order");
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "both" });
  await broker.bind({ to: { kind: "queue", name: "other" }, pattern: "both" });
  await broker.declareSubscription("order", "mail");
  for (const value of ["e", "f"]) {
    topic.append(message(value));
    await publish(broker, queue, [value]);
  }
  await publish(broker, other, ["b"]);
  world.crash();
  await damage(world, `data/logs/${queue.states[0]!.log.name}/00000000000000000000.log`);
  await damage(world, `data/logs/${topic.partitions[0]!.name}/00000000000000000000.log`);

  for (let life = 0; life < 2; life += 1) {
    world.reported.length = 0;
    const again = await world.open();
    assert.deepEqual(
      world.reported.map(({ error, where }) => [(error as { code: string }).code, where]),
      [
        ["LOG_CORRUPT", "opening a queue"],
        ["LOG_CORRUPT", "opening a topic"],
      ],
    );
    const corrupt = (error: unknown): boolean => isBrokerError(error, "LOG_CORRUPT");
    await assert.rejects(again.declareQueue("work"), corrupt);
    await assert.rejects(again.declareTopic("order"), corrupt);
    await assert.rejects(again.declareSubscription("order", "mail"), corrupt);
    await assert.rejects(again.bind({ to: { kind: "queue", name: "work" }, pattern: "x" }), corrupt);
    assert.throws(() => again.publish(message("x", { subject: "both" })), corrupt);
    assert.equal(again.queue("other")!.count, 1);
    assert.equal(again.queue("work"), undefined);
    await again.close();
  }
});

test("damage that is only found on reading stops the deliveries of that queue, is told once, and shows", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  await publish(broker, queue, ["b"]);
  await broker.close();
  await damage(world, `data/logs/${queue.states[0]!.log.name}/00000000000000000000.log`);
  const again = await world.open();
  const work = again.queue("work")!;
  const one = new TestConsumer(work.dispatcher);
  await world.pass(10_000);
  assert.deepEqual(one.values, []);
  assert.deepEqual(
    world.reported.map(({ where }) => where),
    ["reading work"],
  );
  assert.match(again.statistics().queues[0]!.failure!, /is damaged/);
  assert.equal(again.isIdle, true);
  await again.close();
});

test("a queue that can be read again goes on where it was, also when settlements were rewritten meanwhile", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  await publish(broker, queue, ["b", "c"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  one.take("a").ack();
  await world.quiet();
  await broker.flush();
  world.crash();
  const path = `data/logs/${queue.states[0]!.log.name}/00000000000000000000.log`;
  const good = await world.disk.readFile(path);
  await damage(world, path);

  const without = await world.open();
  assert.equal(without.queue("work"), undefined);
  const other = await without.declareQueue("other");
  const two = new TestConsumer(other.dispatcher, { attemptsMax: 1_000, prefetch: 10_000 });
  await publish(
    without,
    other,
    Array.from({ length: 1_000 }, (_, index) => String(index)),
  );
  for (let round = 0; round < 6; round += 1) {
    await world.quiet();
    for (const delivery of two.takeAll()) nack(delivery, 0, "x".repeat(2_000));
    await world.pass(20);
  }
  await without.close();

  const file = await world.disk.open(path, "write");
  await file.write(good, 0);
  const again = await world.open();
  const three = new TestConsumer(again.queue("work")!.dispatcher);
  await world.quiet();
  assert.deepEqual(three.values, ["b", "c"]);
  assert.deepEqual(
    three.all.map(({ attempt }) => attempt),
    [2, 1],
  );
  await again.close();
});

test("a queue in memory is empty after a restart, and forgets what was settled of it", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { durability: "memory" });
  await publish(broker, queue, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.ackAll();
  await world.pass(20);
  await broker.close();
  for (let life = 0; life < 2; life += 1) {
    const again = await world.open();
    const work = again.queue("work")!;
    assert.equal(work.count, 0);
    await publish(again, work, ["c", "d"]);
    const two = new TestConsumer(work.dispatcher);
    await world.quiet();
    assert.deepEqual(two.ackAll(), ["c", "d"]);
    await again.close();
  }
});

test("a synced queue of a broker that keeps the rest in memory is there after a crash", async () => {
  const world = new BrokerWorld();
  const broker = await world.open({ durability: "memory" });
  const queue = await broker.declareQueue("work", { durability: "synced" });
  await publish(broker, queue, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  one.take("a").ack();
  await world.quiet();
  await world.pass(20);
  await broker.flush();
  world.crash(true);
  const again = await world.open({ durability: "memory" });
  const two = new TestConsumer(again.queue("work")!.dispatcher);
  await world.quiet();
  assert.ok(two.values.includes("b"));
  await again.close();
});

test("nothing runs any more after close: no timer, no consumer, no report", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000, prefetch: 1 });
  await world.quiet();
  const a = one.take("a");
  await broker.close();
  await broker.close();
  await world.pass(120_000);
  assert.deepEqual(one.values, []);
  assert.deepEqual(world.reported, []);
  assert.throws(
    () => a.ack(),
    (error) => isBrokerError(error, "LEASE_LOST"),
  );
  assert.throws(
    () => new TestConsumer(queue.dispatcher),
    (error) => isBrokerError(error, "CLOSED"),
  );
  assert.throws(
    () => queue.append(message("c")),
    (error) => isBrokerError(error, "CLOSED"),
  );
  await assert.rejects(broker.declareQueue("new"), (error) => isBrokerError(error, "CLOSED"));
});

test("closing while a declaration, a replay and maintenance are under way ends well", async () => {
  for (let turns = 0; turns < 12; turns += 1) {
    const world = new BrokerWorld(turns);
    const { broker, queue } = await declared(world, ["a"]);
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    await one.take("a").deadLetter("rejected", "no");
    const letters = [];
    for await (const letter of broker.deadLetters.list()) letters.push(letter);
    const work = [
      broker.declareQueue("new"),
      broker.declareTopic("order", { partitions: 3 }),
      broker.deadLetters.replay(letters),
      broker.maintain(),
    ];
    for (const step of work) step.catch(() => undefined);
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await broker.close();
    await Promise.allSettled(work);
    const again = await world.open();
    const there = again.queue("work")!.count + again.queue("dead/work")!.count;
    assert.equal(there, 1, `after ${turns} turns`);
    await again.close();
    assert.deepEqual(world.reported, []);
  }
});
