import assert from "node:assert/strict";
import { test } from "node:test";
import type { Appended } from "../../src/broker/appended.js";
import type { Queue } from "../../src/broker/queue.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { TestConsumer } from "../support/test-consumer.js";

const SEEDS = 80;
const WINDOW_MS = 60_000;

async function declared(world: BrokerWorld, options: { durability?: "synced" | "written" | "memory" } = {}) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { deduplicateMs: WINDOW_MS, ...options });
  return { broker, queue };
}

async function bodies(queue: Queue): Promise<string[]> {
  const found: string[] = [];
  for await (const { record } of queue.browse()) found.push(record.valueText());
  return found;
}

function place({ destination, partition, offset, firstSentMs }: Appended) {
  return { destination, partition, offset, firstSentMs };
}

test("the second message of one id is not stored, and its publisher is told where the first one is", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  queue.append(message("x"));
  const first = queue.append(message("a", { id: "1", timestampMs: 123 }));
  await first.committed;
  const second = queue.append(message("b", { id: "1" }));
  await second.committed;
  assert.deepEqual(place(second), { ...place(first), firstSentMs: 123 });
  assert.equal(first.firstSentMs, undefined);
  assert.deepEqual(await bodies(queue), ["x", "a"]);
  assert.equal(queue.deduplication!.duplicates, 1);
  await broker.close();
});

test("messages without an id, and with different ones, are all stored", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  for (const id of [undefined, undefined, "1", "2"]) queue.append(message(String(id), { id }));
  await broker.flush();
  assert.deepEqual(await bodies(queue), ["undefined", "undefined", "1", "2"]);
  await broker.close();
});

test("a duplicate of a message that is being committed waits for that, and fails with it", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const first = queue.append(message("a", { id: "1", timestampMs: 5 }));
  const second = queue.append(message("b", { id: "1" }));
  await second.committed;
  assert.deepEqual(place(second), { ...place(first), firstSentMs: 5 });
  world.disk.capacityBytes = 0;
  const failing = queue.append(message("c", { id: "2" }));
  const duplicate = queue.append(message("d", { id: "2" }));
  for (const { committed } of [failing, duplicate])
    await assert.rejects(committed, (error) => isBrokerError(error, "DISK_FULL"));
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  const again = queue.append(message("e", { id: "2" }));
  await again.committed;
  assert.equal(again.firstSentMs, undefined);
  assert.deepEqual(await bodies(queue), ["a", "e"]);
  await broker.close();
});

test("an id is forgotten when the window is over, and counts from the message that was stored", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await queue.append(message("a", { id: "1" })).committed;
  await world.pass(WINDOW_MS - 1);
  await queue.append(message("b", { id: "1" })).committed;
  await world.pass(1);
  await queue.append(message("c", { id: "1" })).committed;
  assert.deepEqual(await bodies(queue), ["a", "c"]);
  await broker.close();
});

test("so many ids are remembered at most, and the log of ids is cut", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { deduplicateMs: WINDOW_MS, deduplicateIdsMax: 3 });
  for (const id of ["1", "2", "3", "4"]) await queue.append(message(id, { id })).committed;
  assert.equal(queue.deduplication!.ids.size, 3);
  await queue.append(message("again", { id: "2" })).committed;
  await queue.append(message("again", { id: "1" })).committed;
  assert.deepEqual(await bodies(queue), ["1", "2", "3", "4", "again"]);
  const { log } = queue.deduplication!.ids;
  for (let round = 0; round < 40; round += 1) {
    for (let one = 0; one < 200; one += 1)
      queue.append(message("", { id: `${round} ${one} ${"x".repeat(200)}` }));
    await broker.flush();
  }
  assert.ok(log.sizeBytes > 1_500_000);
  await broker.maintain();
  assert.ok(log.sizeBytes < 1_100_000, String(log.sizeBytes));
  await broker.close();
});

test("ids are remembered after a restart, with the place of their messages, also when those are gone", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  queue.append(message("x"));
  const first = queue.append(message("a", { id: "1", timestampMs: 7 }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.ackAll();
  await broker.close();
  const again = await world.open();
  const second = again.queue("work")!.append(message("b", { id: "1" }));
  await second.committed;
  assert.deepEqual(place(second), { ...place(first), firstSentMs: 7 });
  assert.equal(again.queue("work")!.unsettledCount, 0);
  await world.pass(WINDOW_MS);
  await again.close();
  const third = await world.open();
  assert.equal(third.queue("work")!.deduplication!.ids.size, 0);
  await third.close();
});

test("what an atomic step takes back is not remembered", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  queue.append(message("0", { id: "0" }));
  const attempt = () =>
    broker.atomically(() => {
      queue.append(message("a", { id: "1" }));
      throw new Error("no");
    });
  assert.throws(attempt, /no/);
  queue.append(message("b", { id: "2" }));
  const again = queue.append(message("c", { id: "1" }));
  assert.throws(attempt, /no/);
  await broker.flush();
  assert.equal(again.firstSentMs, undefined);
  assert.deepEqual(await bodies(queue), ["0", "b", "c"]);
  assert.equal(queue.append(message("d", { id: "2" })).offset, 1);
  assert.equal(queue.append(message("d", { id: "1" })).offset, 2);
  await broker.close();
});

test("a duplicate is taken by a queue that is full", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { deduplicateMs: WINDOW_MS, countMax: 1 });
  await queue.append(message("a", { id: "1" })).committed;
  assert.notEqual(queue.append(message("b", { id: "1" })).firstSentMs, undefined);
  queue.assertAccepts(message("b", { id: "1" }));
  assert.throws(
    () => queue.append(message("b", { id: "2" })),
    (error) => isBrokerError(error, "QUEUE_FULL"),
  );
  await broker.close();
});

test("what a topic has, everything that is bound beside it has: a duplicate is stored nowhere", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const order = await broker.declareTopic("order", { partitions: 3, deduplicateMs: WINDOW_MS });
  await broker.bind({ to: { kind: "topic", name: "order" }, pattern: "order.#" });
  const [first] = broker.publish(message("a", { id: "1", subject: "order.placed", key: "k" }));
  const queue = await broker.declareQueue("all");
  await broker.bind({ to: { kind: "queue", name: "all" }, pattern: "#" });
  const again = broker.publish(message("b", { id: "1", subject: "order.placed", key: "other" }));
  assert.deepEqual(
    again.map(({ destination, partition, offset }) => [destination, partition, offset]),
    [["order", first!.partition, first!.offset]],
  );
  broker.publish(message("c", { id: "2", subject: "order.placed" }));
  broker.publish(message("d", { id: "2", subject: "order.placed" }));
  await broker.flush();
  assert.deepEqual(await bodies(queue), ["c"]);
  const kept = order.partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
  assert.equal(kept, 2);
  await broker.close();
});

test("a queue with de-duplication passes a duplicate over, and others that are bound have it", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const plain = await broker.declareQueue("plain");
  for (const name of ["work", "plain"]) await broker.bind({ to: { kind: "queue", name }, pattern: "#" });
  for (const body of ["a", "b"]) broker.publish(message(body, { id: "1" }));
  await broker.flush();
  assert.deepEqual(await bodies(queue), ["a"]);
  assert.deepEqual(await bodies(plain), ["a", "b"]);
  await broker.close();
});

test("a queue with priorities finds a duplicate at whatever level it is", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { deduplicateMs: WINDOW_MS, priorities: 3 });
  const first = queue.append(message("a", { id: "1", priority: 2 }));
  await first.committed;
  const second = queue.append(message("b", { id: "1" }));
  assert.deepEqual([second.partition, second.offset], [2, 0]);
  assert.deepEqual(await bodies(queue), ["a"]);
  await broker.close();
});

test("a queue in memory forgets its ids with its messages", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, { durability: "memory" });
  for (const body of ["a", "b"]) queue.append(message(body, { id: "1" }));
  await broker.flush();
  assert.deepEqual(await bodies(queue), ["a"]);
  await broker.close();
  const again = await declared(world);
  await again.queue.append(message("c", { id: "1" })).committed;
  assert.deepEqual(await bodies(again.queue), ["c"]);
  await again.broker.close();
});

test("a dead letter that is replayed is no duplicate", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  await queue.append(message("a", { id: "1" })).committed;
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  await one.take("a").deadLetter("rejected", "no");
  const letters = [];
  for await (const letter of broker.deadLetters.list()) letters.push(letter);
  assert.equal(await broker.deadLetters.replay(letters), 1);
  await world.quiet();
  one.take("a").ack();
  await broker.close();
});

test("the place of a message is right, also after a restart, when something before it could not be stored", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  world.disk.capacityBytes = 0;
  let first: Appended | undefined;
  // While the first commit is under way.
  world.disk.onOperation = () => {
    first ??= queue.append(message("a", { id: "1" }));
    return undefined;
  };
  const lost = queue.append(message("x"));
  await assert.rejects(lost.committed, (error) => isBrokerError(error, "DISK_FULL"));
  assert.equal(queue.deduplication!.ids.find("1")!.place!.offset, 1);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await first!.committed;
  assert.equal(first!.offset, 0);
  assert.equal(queue.append(message("b", { id: "1" })).offset, 0);
  await broker.flush();
  world.crash();
  const again = await world.open();
  assert.equal(again.queue("work")!.append(message("b", { id: "1" })).offset, 0);
  await again.close();
});

for (const isTaken of [false, true]) {
  const when = isTaken ? "is being committed" : "waits for its commit";
  test(`a step with a duplicate of a message that ${when} fails when that does`, async () => {
    const world = new BrokerWorld();
    const { broker, queue } = await declared(world);
    const input = await broker.declareQueue("input");
    input.append(message("in"));
    await broker.flush();
    const one = new TestConsumer(input.dispatcher);
    await world.quiet();
    const delivery = one.take("in");
    let step: Promise<void> | undefined;
    const settle = (): void => {
      step ??= broker.commit([delivery], () => [queue.append(message("b", { id: "1" }))]);
      step.catch(() => undefined);
    };
    world.disk.onOperation = ({ kind, path }) => {
      settle();
      if (kind === "write" && /work/.test(path)) throw Object.assign(new Error("full"), { code: "ENOSPC" });
      return undefined;
    };
    const first = queue.append(message("a", { id: "1" }));
    if (!isTaken) settle();
    await assert.rejects(first.committed, (error) => isBrokerError(error, "DISK_FULL"));
    await assert.rejects(step!, (error) => isBrokerError(error, "DISK_FULL"));
    await world.quiet();
    world.crash();
    const again = await world.open();
    assert.equal(again.queue("input")!.unsettledCount, 1);
    assert.equal(again.queue("work")!.unsettledCount, 0);
    await again.close();
  });
}

test("after a crash at any moment each id has one message at most, and those that were promised have it", async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const world = new BrokerWorld(seed);
    const durability = world.random.pick(["synced", "written"] as const);
    const promised = new Set<string>();
    for (let life = 0; life < 3; life += 1) {
      const { queue } = await declared(world, { durability });
      if (world.random.chance(0.7)) world.stopDiskAfter(world.random.below(40));
      await publishSome(world, queue, promised);
      world.crash(durability === "synced" && world.random.chance(0.5));
    }
    const { broker, queue } = await declared(world, { durability });
    const stored = (await bodies(queue)).filter((body) => body !== "none");
    assert.equal(new Set(stored).size, stored.length, `seed ${seed}: ${stored}`);
    for (const id of promised) assert.ok(stored.includes(id), `seed ${seed}: ${id} was promised`);
    for await (const { record } of queue.browse()) {
      const id = record.valueText();
      if (id === "none") continue;
      const duplicate = queue.append(message("again", { id }));
      assert.notEqual(duplicate.firstSentMs, undefined, `seed ${seed}: ${id} was forgotten`);
      assert.equal(duplicate.offset, record.offset, `seed ${seed}: the place of ${id}`);
    }
    await broker.close();
  }
});

async function publishSome(world: BrokerWorld, queue: Queue, promised: Set<string>): Promise<void> {
  for (let step = 0; step < 12; step += 1) {
    const id = String(world.random.below(10));
    queue.append(message(id, { id })).committed.then(
      () => promised.add(id),
      () => undefined,
    );
    if (world.random.chance(0.3)) queue.append(message("none"));
    if (world.random.chance(0.3)) await world.turns(world.random.below(4));
  }
  await world.turns(world.random.below(5));
}

test("an id of a step that was taken back is not remembered, though its batch was committed with others", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order", { deduplicateMs: 60_000 });
  const first = topic.append(message("first", { id: "1" }));
  assert.throws(() => {
    broker.atomically(() => {
      topic.append(message("second", { id: "2" }));
      throw new Error("no");
    });
  });
  await first.committed;
  const second = topic.append(message("second", { id: "2" }));
  assert.equal(second.firstSentMs, undefined);
  await second.committed;
  assert.deepEqual([first.offset, second.offset, topic.partitions[0]!.highWatermark], [0, 1, 2]);
  await broker.close();
});
