import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerWorld, message } from "../support/broker-world.js";
import { limited } from "../support/limited-queue.js";
import { nack, TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

async function deadOf(broker: {
  queue(name: string): { browse(): AsyncIterable<{ record: { valueText(): string } }> } | undefined;
}) {
  const values: string[] = [];
  for await (const { record } of broker.queue("dead/work")?.browse() ?? []) values.push(record.valueText());
  return values;
}

test("a message larger than allowed is refused and leaves no trace", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await limited(world, { messageBytesMax: 10 });
  assert.throws(() => queue.append(message("x".repeat(11))), withCode("MESSAGE_TOO_LARGE"));
  assert.throws(() => queue.append(message("é".repeat(6))), withCode("MESSAGE_TOO_LARGE"));
  queue.append(message("x".repeat(10)));
  assert.equal(queue.count, 1);
  assert.equal(queue.bodyBytes, 10);
  await broker.close();
});

test("a message larger than all messages together may be is refused, whatever the policy", async () => {
  for (const overflow of ["reject", "wait", "drop-oldest", "dead-letter-oldest"] as const) {
    const world = new BrokerWorld();
    const { broker, queue } = await limited(world, { bytesMax: 100, overflow });
    assert.throws(() => queue.append(message("x".repeat(101))), withCode("MESSAGE_TOO_LARGE"));
    assert.equal(queue.count, 0);
    await broker.close();
  }
});

test("reject: a full queue refuses, counting what is not committed yet, until something is settled", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await limited(world, { countMax: 2 });
  queue.append(message("a"));
  queue.append(message("b"));
  assert.throws(() => queue.append(message("c")), withCode("QUEUE_FULL"));
  await broker.flush();
  assert.throws(() => queue.append(message("c")), withCode("QUEUE_FULL"));
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  assert.throws(() => queue.append(message("c")), withCode("QUEUE_FULL"));
  one.take("a").ack();
  queue.append(message("c"));
  assert.throws(() => queue.append(message("d")), withCode("QUEUE_FULL"));
  await broker.close();
});

test("reject: bytes are counted exactly, over settling, purging, dropping and a restart", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { bytesMax: 100 });
  await publish("a".repeat(40), "b".repeat(40));
  assert.throws(() => queue.append(message("c".repeat(21))), withCode("QUEUE_FULL"));
  await publish("c".repeat(20));
  assert.equal(queue.bodyBytes, 100);
  const one = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await world.quiet();
  one.takeAll()[0]!.ack();
  await world.quiet();
  assert.equal(queue.bodyBytes, 60);
  assert.equal(queue.purge(), 0);
  one.consumer.close();
  const half = new TestConsumer(queue.dispatcher, { prefetch: 1 });
  await world.quiet();
  assert.equal(queue.purge(), 1);
  assert.equal(queue.bodyBytes, 40);
  half.consumer.close();
  await broker.close();

  const again = await world.open();
  const reopened = again.queue("work")!;
  assert.equal(reopened.bodyBytes, 40);
  reopened.append(message("d".repeat(60)));
  assert.throws(() => reopened.append(message("e")), withCode("QUEUE_FULL"));
  await again.flush();
  world.crash();
  const third = await world.open();
  assert.equal(third.queue("work")!.bodyBytes, 100);
  await third.close();
});

test("a commit that fails makes its room free again", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 2, bytesMax: 20 });
  await publish("a");
  world.disk.capacityBytes = world.disk.usedBytes;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const refused = queue.append(message("0123456789"));
    assert.throws(() => queue.append(message("c")), withCode("QUEUE_FULL"));
    await assert.rejects(refused.committed, withCode("DISK_FULL"));
    assert.deepEqual([queue.count, queue.bodyBytes, queue.published], [1, 1, 1]);
  }
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.quiet();
  await publish("b");
  assert.deepEqual([queue.count, queue.bodyBytes, queue.published], [2, 2, 2]);
  await broker.close();
});

test("drop-oldest: the oldest messages go once the new ones are stored", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish, waiting } = await limited(world, { countMax: 3, overflow: "drop-oldest" });
  await publish("a", "b", "c", "d", "e");
  assert.deepEqual(await waiting(), ["c", "d", "e"]);
  assert.equal(queue.dispatcher.counters.dropped, 2);
  world.disk.capacityBytes = world.disk.usedBytes;
  await assert.rejects(queue.append(message("f")).committed, withCode("DISK_FULL"));
  assert.deepEqual(await waiting(), ["c", "d", "e"]);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await broker.close();
  const again = await world.open();
  assert.equal(again.queue("work")!.count, 3);
  await again.close();
});

test("drop-oldest: what is in flight is passed over, and what waits for another try is not", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish, waiting } = await limited(world, { countMax: 4, overflow: "drop-oldest" });
  await publish("a", "b", "c", "d");
  const one = new TestConsumer(queue.dispatcher, { prefetch: 3 });
  await world.quiet();
  const a = one.take("a");
  nack(one.take("b"), 60_000);
  await world.quiet();
  await publish("e", "f");
  assert.deepEqual(one.values, ["c", "d"]);
  assert.deepEqual(await waiting(), ["a", "c", "d", "f"]);
  assert.equal(queue.count, 4);
  assert.equal(broker.statistics().queues[0]!.delayed, 0);
  a.ack();
  await broker.close();
});

test("drop-oldest: what is not in memory is dropped when it was read", async () => {
  const world = new BrokerWorld();
  const broker = await world.open({ tailCacheBytes: 1 });
  const queue = await broker.declareQueue("work", { countMax: 2, overflow: "drop-oldest" });
  for (const value of ["a", "b", "c", "d", "e"]) {
    queue.append(message(value));
    await broker.flush();
    await world.quiet();
  }
  assert.equal(queue.count, 2);
  assert.equal(queue.dispatcher.counters.dropped, 3);
  await broker.close();
});

test("dead-letter-oldest: what is committed while the broker closes waits there, and nothing is reported", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "dead-letter-oldest" });
  await publish("a");
  for (const value of ["b", "c"]) queue.append(message(value));
  await broker.close();
  assert.deepEqual(world.reported, []);
  const again = await world.open();
  assert.equal(again.queue("work")!.count, 3);
  again.queue("work")!.append(message("d"));
  await again.flush();
  await world.quiet();
  assert.equal(again.queue("work")!.count, 1);
  assert.deepEqual(await deadOf(again), ["a", "b", "c"]);
  await again.close();
});

test("drop-oldest: with everything in flight nothing is dropped", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 2, overflow: "drop-oldest" });
  await publish("a", "b");
  const one = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await world.quiet();
  await publish("c", "d", "e");
  assert.equal(queue.count, 2);
  assert.equal(queue.dispatcher.counters.dropped, 3);
  one.ackAll();
  assert.equal(queue.count, 0);
  await broker.close();
});

test("drop-oldest: by bytes, as many as needed", async () => {
  const world = new BrokerWorld();
  const { broker, publish, waiting } = await limited(world, { bytesMax: 10, overflow: "drop-oldest" });
  await publish("aaaa", "bbbb", "cc");
  await publish("ddddd");
  assert.deepEqual(await waiting(), ["cc", "ddddd"]);
  await broker.close();
});

test("drop-oldest: messages that have to be read from disk first are dropped as well", async () => {
  const world = new BrokerWorld();
  const first = await limited(world, { countMax: 300, overflow: "drop-oldest" });
  const body = "x".repeat(1_000);
  for (let index = 0; index < 300; index += 1) first.queue.append(message(`${index} ${body}`));
  await first.broker.flush();
  await first.broker.close();
  const broker = await world.open({ tailCacheBytes: 1 });
  const queue = broker.queue("work")!;
  for (let index = 300; index < 600; index += 1) queue.append(message(`${index} ${body}`));
  await broker.flush();
  await world.quiet();
  assert.equal(queue.count, 300);
  assert.equal((await queue.browse().next()).value.record.offset, 300);
  await broker.close();
});

test("dead-letter-oldest: the oldest go to the dead letters, and no more of them than needed", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish, waiting } = await limited(world, {
    countMax: 3,
    overflow: "dead-letter-oldest",
  });
  await publish("a", "b", "c", "d", "e");
  assert.deepEqual(await waiting(), ["c", "d", "e"]);
  assert.deepEqual(await deadOf(broker), ["a", "b"]);
  assert.equal(queue.dispatcher.counters.deadLettered, 2);
  await broker.close();
});

test("dead-letter-oldest: by bytes, no more of them than needed", async () => {
  const world = new BrokerWorld();
  const { broker, publish, waiting } = await limited(world, { bytesMax: 10, overflow: "dead-letter-oldest" });
  await publish("aaaa", "bbbb", "cc");
  await publish("ddd");
  assert.deepEqual(await waiting(), ["bbbb", "cc", "ddd"]);
  assert.deepEqual(await deadOf(broker), ["aaaa"]);
  await broker.close();
});

test("dead-letter-oldest: a burst of more than may be on their way at once gets there in turns", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 10, overflow: "dead-letter-oldest" });
  await publish(...Array.from({ length: 2_000 }, (_, index) => String(index)));
  await world.quiet();
  assert.equal(queue.count, 10);
  assert.equal((await deadOf(broker)).length, 1_990);
  await broker.close();
});

test("age: waiting messages that are too old expire, with or without a consumer, and younger ones stay", async () => {
  for (const tailCacheBytes of [undefined, 1]) {
    const world = new BrokerWorld();
    const broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    const queue = await broker.declareQueue("work", { ageMaxMs: 60_000 });
    for (let index = 0; index < 700; index += 1)
      queue.append(message(`${index} ${"x".repeat(500)}`, { timestampMs: world.clock.nowMs() }));
    await broker.flush();
    await world.pass(45_000);
    queue.append(message("young", { timestampMs: world.clock.nowMs() }));
    await broker.flush();
    await world.pass(45_000);
    assert.equal(queue.count, 1);
    assert.equal(queue.dispatcher.counters.expired, 700);
    assert.equal((await deadOf(broker)).length, 700);
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    assert.deepEqual(one.values, ["young"]);
    await broker.close();
  }
});

test("age: a message in flight is left to its consumer, and expires when it comes back", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { ageMaxMs: 10_000 });
  await publish("a", "b");
  const one = new TestConsumer(queue.dispatcher, { leaseMs: 1_000_000 });
  await world.quiet();
  const [a, b] = one.takeAll();
  await world.pass(60_000);
  assert.equal(queue.count, 2);
  a!.ack();
  nack(b!);
  await world.quiet();
  assert.deepEqual(one.values, []);
  assert.deepEqual(await deadOf(broker), ["b"]);
  await broker.close();
});

test("age: what cannot be dead-lettered is tried again later, not without pause", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { ageMaxMs: 1_000 });
  await publish("a");
  world.disk.capacityBytes = world.disk.usedBytes;
  await world.pass(60_000);
  assert.equal(queue.count, 1);
  const reports = world.reported.filter(({ where }) => where.startsWith("dead-lettering"));
  assert.ok(reports.length <= 3, `${reports.length} reports`);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.pass(60_000);
  assert.equal(queue.count, 0);
  await broker.close();
});

test("where messages in flight do not count, the limits are of those that wait", async () => {
  for (const limit of [{ countMax: 1 }, { bytesMax: 1 }]) {
    for (const overflow of ["drop-oldest", "reject"] as const) {
      const world = new BrokerWorld();
      const options = { ...limit, overflow, countsInFlight: false };
      const { broker, queue, publish, waiting } = await limited(world, options);
      const consumer = new TestConsumer(queue.dispatcher, { prefetch: 1 });
      await publish("a");
      const delivery = consumer.take("a");
      await publish("b");
      if (overflow === "reject") assert.throws(() => queue.append(message("c")), withCode("QUEUE_FULL"));
      else await publish("c");
      assert.deepEqual(await waiting(), ["a", overflow === "reject" ? "b" : "c"]);
      delivery.ack();
      await world.quiet();
      consumer.take(overflow === "reject" ? "b" : "c");
      await broker.close();
    }
  }
});

test("where messages in flight do not count, what comes back makes the oldest go", async () => {
  const world = new BrokerWorld();
  const options = { countMax: 2, overflow: "drop-oldest", countsInFlight: false } as const;
  const { broker, queue, publish, waiting } = await limited(world, options);
  const consumer = new TestConsumer(queue.dispatcher, { prefetch: 2 });
  await publish("a", "b");
  const taken = consumer.takeAll();
  consumer.consumer.setPrefetch(0);
  await publish("c", "d");
  assert.deepEqual(await waiting(), ["a", "b", "c", "d"]);
  for (const delivery of taken) delivery.release();
  assert.deepEqual(await waiting(), ["c", "d"]);
  await broker.close();
});
