import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Delivery } from "../../src/broker/delivery.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { collect } from "../support/buses.js";
import { systemError } from "../support/simulated-disk.js";
import { nack, TestConsumer, textOf } from "../support/test-consumer.js";

const SEEDS = 80;
const WINDOW_MS = 60_000;

async function declared(world: BrokerWorld) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { inboxMs: WINDOW_MS });
  return { broker, queue };
}

/** A consumer that was handed `a`, whose id is 1. */
async function handedOut(world: BrokerWorld) {
  const { broker, queue } = await declared(world);
  queue.append(message("a", { id: "1" }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  return { broker, queue, one };
}

test("a message with an id that was handled is settled without being handed out", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await handedOut(world);
  one.take("a").ack();
  await world.quiet();
  for (const value of ["b", "c"]) queue.append(message(value, { id: "1" }));
  queue.append(message("d", { id: "2" }));
  queue.append(message("e"));
  queue.append(message("f"));
  await world.quiet();
  assert.deepEqual(one.ackAll(), ["d", "e", "f"]);
  await world.quiet();
  assert.equal(queue.count, 0);
  assert.equal(queue.dispatcher.inFlight, 0);
  assert.deepEqual([queue.dispatcher.counters.duplicates, queue.dispatcher.counters.settled], [2, 4]);
  await broker.close();
});

test("a message waits while another one with its id is being handled", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  for (const value of ["a", "b", "c"]) queue.append(message(value, { id: value === "c" ? "2" : "1" }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.pass(5_000);
  const [a] = one.takeAll().filter((delivery) => textOf(delivery) === "a");
  assert.deepEqual(
    one.all.map((delivery) => textOf(delivery)),
    ["a", "c"],
  );
  nack(a!, 10_000);
  await world.pass(1_000);
  one.take("b").ack();
  await world.pass(20_000);
  assert.equal(queue.count, 1);
  assert.deepEqual(one.values, []);
  await broker.close();
});

test("an ack is noted when it is stored, and a message whose ack could not be comes again", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await handedOut(world);
  world.disk.capacityBytes = 0;
  one.take("a").ack();
  assert.equal(queue.unsettledCount, 1);
  await world.quiet();
  assert.equal(queue.unsettledCount, 1);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.pass(1_000);
  const again = one.take("a");
  assert.equal(again.attempt, 1);
  again.ack();
  await world.quiet();
  assert.equal(queue.unsettledCount, 0);
  assert.ok(world.reported.some(({ where }) => /settling message 0 of work/.test(where)));
  await broker.close();
});

test("an ack that the storage failed on is not known before the next start, and its message does not come until then", async () => {
  for (const isInJournal of [true, false]) {
    const world = new BrokerWorld();
    const { one } = await handedOut(world);
    const broken = isInJournal ? "/inbox." : "/journal/";
    world.disk.onOperation = ({ kind, path }) => {
      if (kind === "write" && path.includes(broken)) throw systemError("EIO", path);
      return undefined;
    };
    one.take("a").ack();
    await world.pass(60_000);
    assert.deepEqual(one.values, []);
    assert.ok(world.reported.some(({ error }) => isBrokerError(error, "STORAGE_FAILED")));
    world.disk.onOperation = () => undefined;
    world.crash();
    const again = await declared(world);
    assert.equal(again.queue.unsettledCount, isInJournal ? 0 : 1);
    await again.broker.close();
  }
});

test("a group remembers what it handled over all partitions, and other groups do not", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order", { partitions: 4 });
  const billing = await broker.declareSubscription("order", "billing", { inboxMs: WINDOW_MS });
  const mail = await broker.declareSubscription("order", "mail");
  for (const key of ["a", "b", "c", "d"]) topic.append(message(key, { id: "1", key }));
  await broker.flush();
  const one = new TestConsumer(billing.dispatcher);
  const two = new TestConsumer(mail.dispatcher);
  await world.quiet();
  assert.equal(one.ackAll().length, 1);
  await world.pass(1_000);
  assert.equal(one.all.length, 1);
  assert.equal(billing.lag, 0);
  assert.equal(two.ackAll().length, 4);
  await broker.close();
});

test("what was dropped by a limit, dead-lettered or given back was not handled", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await handedOut(world);
  one.take("a").release();
  await world.quiet();
  await one.take("a").deadLetter("rejected", "no");
  await broker.deadLetters.replay(await collect(broker.deadLetters.list()));
  await world.quiet();
  one.take("a").ack();
  await world.quiet();
  queue.append(message("again", { id: "1" }));
  await world.quiet();
  assert.deepEqual(one.values, []);
  await broker.close();
});

test("an id is forgotten when the window is over", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const one = new TestConsumer(queue.dispatcher);
  for (const value of ["a", "b", "c"]) {
    queue.append(message(value, { id: "1" }));
    await world.quiet();
    one.ackAll();
    await world.pass(WINDOW_MS / 2);
  }
  assert.deepEqual(one.all.map(textOf), ["a", "c"]);
  await broker.close();
});

test("after a crash at any moment an id is remembered if and only if its message is settled, with its outputs", async () => {
  let cut = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const world = new BrokerWorld(seed);
    const { broker, queue } = await declared(world);
    const out = await broker.declareQueue("out");
    const ids = Array.from({ length: 10 }, (_, index) => String(index));
    for (const id of ids) queue.append(message(id, { id }));
    await broker.flush();
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    if (world.random.chance(0.7)) world.stopDiskAfter(world.random.below(40));
    for (const delivery of one.takeAll()) {
      if (world.random.chance(0.5)) delivery.ack();
      else commit(broker, delivery, () => [out.append(message(textOf(delivery)))]);
      if (world.random.chance(0.4)) await world.turns(world.random.below(4));
    }
    await world.turns(world.random.below(6));
    world.crash(world.random.chance(0.5));
    const again = await declared(world);
    const waiting: string[] = [];
    for await (const { record } of again.queue.browse()) waiting.push(record.valueText());
    const { ids: remembered } = again.queue.dispatcher.inbox!;
    for (const id of ids) {
      const isSettled = !waiting.includes(id);
      assert.equal(remembered.find(id) !== undefined, isSettled, `seed ${seed}: ${id}`);
    }
    for await (const { record } of again.broker.queue("out")!.browse())
      assert.ok(!waiting.includes(record.valueText()), `seed ${seed}`);
    if (waiting.length > 0 && waiting.length < ids.length) cut += 1;
    await again.broker.close();
  }
  assert.ok(cut > SEEDS / 20, `only ${cut} crashes came between`);
});

function commit(broker: Broker, delivery: Delivery, append: Parameters<Broker["commit"]>[1]): void {
  broker.commit([delivery], append).catch(() => undefined);
}
