import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { ConsumerOptions } from "../../src/broker/consumer.js";
import type { Queue } from "../../src/broker/queue.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function opened(world: BrokerWorld) {
  const { broker, store } = await world.openStore();
  const settlements = await store.openLog("settlements", { durability: "written" });
  return { broker, settlements };
}

async function publish(broker: Broker, queue: Queue, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) queue.append(message(String(index)));
  await broker.flush();
}

/** A queue `work` of so many messages, and its consumer, who has what it may have at once. */
async function working(world: BrokerWorld, count: number, options: Partial<ConsumerOptions> = {}) {
  const { broker, settlements } = await opened(world);
  const queue = await broker.declareQueue("work");
  await publish(broker, queue, count);
  const one = new TestConsumer(queue.dispatcher, options);
  await world.quiet();
  return { broker, settlements, queue, one };
}

/** How many messages the next life finds in `work`. */
async function countAfterCrash(world: BrokerWorld): Promise<number> {
  world.crash();
  const broker = await world.open();
  const { count } = broker.queue("work")!;
  await broker.close();
  return count;
}

/** Leaves no room for anything until what it returns is called. */
function fillDisk(world: BrokerWorld): () => void {
  world.disk.capacityBytes = world.disk.usedBytes;
  return () => {
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  };
}

/** Fills the log of settlements with about two megabytes each time. */
async function failAll(world: BrokerWorld, one: TestConsumer): Promise<void> {
  await world.quiet();
  for (const delivery of one.takeAll()) nack(delivery, 0, "x".repeat(2_000));
  await world.pass(20);
}

test("changes are written behind, all of 10 milliseconds at a time, and nothing is written while nothing changes", async () => {
  const world = new BrokerWorld();
  const { broker, settlements, one } = await working(world, 100);
  const before = settlements.highWatermark;
  one.ackAll();
  await world.pass(9);
  assert.equal(settlements.highWatermark, before);
  await world.pass(1);
  assert.equal(settlements.highWatermark, before + 1);
  await world.pass(60_000);
  assert.equal(settlements.highWatermark, before + 1);
  await broker.close();
});

test("opening and closing writes nothing when there is nothing to say", async () => {
  const world = new BrokerWorld();
  const first = await opened(world);
  for (const name of ["a", "b", "c"]) await publish(first.broker, await first.broker.declareQueue(name), 3);
  await first.broker.close();
  const records: number[] = [];
  for (let life = 0; life < 3; life += 1) {
    const { broker, settlements } = await opened(world);
    await world.pass(1_000);
    records.push(settlements.highWatermark);
    await broker.close();
  }
  assert.equal(new Set(records).size, 1);
});

test("a log of settlements that has grown large is rewritten, and says the same", async () => {
  const world = new BrokerWorld();
  const { broker, settlements } = await opened(world);
  const queue = await broker.declareQueue("work");
  const idle = await broker.declareQueue("idle");
  await publish(broker, idle, 5);
  const idler = new TestConsumer(idle.dispatcher, { prefetch: 2 });
  await world.quiet();
  idler.takeAll()[1]!.ack();
  await publish(broker, queue, 1_000);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 10_000, attemptsMax: 1_000 });
  let largest = 0;
  for (let round = 1; round <= 20; round += 1) {
    await failAll(world, one);
    largest = Math.max(largest, settlements.sizeBytes);
  }
  assert.ok(settlements.logStartOffset > 0);
  assert.ok(largest < 30_000_000, String(largest));
  await world.quiet();
  for (const [index, delivery] of one.takeAll().entries()) if (index % 2 === 0) delivery.ack();
  await broker.close();

  const again = await world.open();
  const work = again.queue("work")!;
  assert.equal(work.count, 500);
  assert.equal(work.states[0]!.attemptsOf(1), 20);
  assert.equal(work.states[0]!.failureOf(1)!.error.length, 2_000);
  assert.equal(again.queue("idle")!.count, 4);
  await again.close();
});

test("a log of settlements does not grow over many short lives", async () => {
  const world = new BrokerWorld();
  let size = 0;
  for (let life = 0; life < 12; life += 1) {
    const { broker, settlements } = await opened(world);
    const queue = await broker.declareQueue("work");
    if (queue.count === 0) await publish(broker, queue, 1_000);
    const one = new TestConsumer(queue.dispatcher, { prefetch: 10_000, attemptsMax: 1_000 });
    await failAll(world, one);
    await broker.flush();
    size = settlements.sizeBytes;
    await broker.close();
  }
  assert.ok(size < 20_000_000, String(size));
  const again = await world.open();
  assert.equal(again.queue("work")!.states[0]!.attemptsOf(999), 12);
  await again.close();
});

test("a crash at any step of a rewrite leaves what was settled settled, and what was tried counted", async () => {
  for (let turns = 0; turns < 24; turns += 1) {
    const world = new BrokerWorld(turns);
    const { one } = await working(world, 1_001, { prefetch: 10_000, attemptsMax: 1_000 });
    one.take("0").ack();
    for (let round = 1; round <= 3; round += 1) await failAll(world, one);
    await world.quiet();
    for (const delivery of one.takeAll()) nack(delivery, 1_000_000, "y".repeat(2_000));
    void world.clock.advance(10, async () => undefined);
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    world.crash();
    const again = await world.open();
    const state = again.queue("work")!.states[0]!;
    assert.equal(state.isWaiting(0), false, `after ${turns} turns`);
    assert.equal(state.unsettledCount, 1_000);
    assert.ok(
      [4, 5].includes(state.attemptsOf(500)),
      `${state.attemptsOf(500)} attempts after ${turns} turns`,
    );
    await again.close();
  }
});

test("while settlements cannot be stored consuming goes on, it is reported once, tried every second, and made good", async () => {
  const world = new BrokerWorld();
  const { queue, one } = await working(world, 100, { prefetch: 1 });
  let writes = 0;
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "write" && path.includes("settlements")) writes += 1;
    return undefined;
  };
  const freeDisk = fillDisk(world);
  for (let round = 0; round < 60; round += 1) {
    await world.quiet();
    one.ackAll();
    await world.pass(100);
  }
  assert.equal(queue.count, 40);
  assert.deepEqual(
    world.reported.map(({ where }) => where),
    ["storing settlements"],
  );
  assert.ok(writes >= 4 && writes <= 15, `${writes} writes`);
  freeDisk();
  await world.pass(1_500);
  assert.ok((await countAfterCrash(world)) <= 40);
  assert.equal(world.reported.length, 1);
});

test("without further changes, settlements that failed are stored when there is room", async () => {
  const world = new BrokerWorld();
  const { settlements, one } = await working(world, 3);
  await world.pass(20);
  const freeDisk = fillDisk(world);
  one.ackAll();
  await world.pass(5_000);
  freeDisk();
  await world.pass(1_500);
  await world.pass(60_000);
  const written = settlements.highWatermark;
  await world.pass(60_000);
  assert.equal(settlements.highWatermark, written);
  assert.equal(await countAfterCrash(world), 0);
});

test("when the log of settlements breaks for good, that is said once and consuming goes on", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await working(world, 50, { prefetch: 1 });
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "write" && path.includes("logs/settlements"))
      throw Object.assign(new Error("EIO"), { code: "EIO" });
    return undefined;
  };
  for (let round = 0; round < 50; round += 1) {
    await world.quiet();
    one.ackAll();
    await world.pass(50);
  }
  assert.equal(queue.count, 0);
  assert.equal(world.reported.filter(({ where }) => where === "storing settlements").length, 1);
  await broker.close();
});

test("a flush says when settlements could not be stored", async () => {
  const world = new BrokerWorld();
  const { broker, one } = await working(world, 2);
  const freeDisk = fillDisk(world);
  one.ackAll();
  await assert.rejects(broker.flush(), { code: "DISK_FULL" });
  freeDisk();
  await broker.flush();
  assert.equal(await countAfterCrash(world), 0);
});

test("what could not be stored a moment ago is stored by the close", async () => {
  const world = new BrokerWorld();
  const { broker, one } = await working(world, 2);
  const freeDisk = fillDisk(world);
  one.ackAll();
  await world.pass(20);
  freeDisk();
  await broker.close();
  assert.equal(await countAfterCrash(world), 0);
});

test("what is stored of a group before it was moved, and of what was deleted, goes with the next rewrite", async () => {
  const world = new BrokerWorld();
  const { broker } = await opened(world);
  const topic = await broker.declareTopic("events");
  const moved = await broker.declareSubscription("events", "moved");
  const gone = await broker.declareQueue("gone");
  for (let index = 0; index < 300; index += 1) topic.append(message(String(index)));
  await publish(broker, gone, 300);
  const options = { prefetch: 1_000, attemptsMax: 1_000 };
  for (const { dispatcher } of [moved, gone]) {
    const one = new TestConsumer(dispatcher, options);
    for (let round = 0; round < 6; round += 1) await failAll(world, one);
  }
  await broker.seekSubscription("events", "moved", "end");
  await broker.deleteQueue("gone");
  await broker.flush();
  world.crash();

  const { broker: again, settlements } = await opened(world);
  assert.ok(settlements.sizeBytes > 6_000_000, `${settlements.sizeBytes} bytes of what is gone`);
  const other = await again.declareQueue("other");
  await publish(again, other, 500);
  const one = new TestConsumer(other.dispatcher, options);
  for (let round = 0; round < 3; round += 1) await failAll(world, one);
  await world.pass(1_000);
  assert.ok(settlements.sizeBytes < 4_000_000, `${settlements.sizeBytes} bytes are left`);
  await again.close();
});
