import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { type DeadLetterEntry, deadLetterHistory } from "../../src/broker/dead-letter.js";
import type { QueueOptions } from "../../src/broker/limits.js";
import type { Queue } from "../../src/broker/queue.js";
import { isBrokerError } from "../../src/broker-error.js";
import type { StoredRecord } from "../../src/log/record.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

const toQueue = (name: string, subject?: string): Partial<QueueOptions> => ({
  deadLetter: false,
  deadLetterTo: { kind: "queue", name, ...(subject === undefined ? {} : { subject }) },
});

const toExchange = (name: string, subject?: string): Partial<QueueOptions> => ({
  deadLetter: false,
  deadLetterTo: { kind: "exchange", name, ...(subject === undefined ? {} : { subject }) },
});

async function recordsOf(queue: Queue): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for await (const { record } of queue.browse()) records.push(record);
  return records;
}

async function textsIn(broker: Broker, name: string): Promise<string[]> {
  return (await recordsOf(broker.queue(name)!)).map((record) => record.valueText());
}

/** Sends one message to the queue, and has it rejected there. */
async function reject(world: BrokerWorld, queue: Queue, value: string, subject: string): Promise<void> {
  queue.append(message(value, { subject }));
  const consumer = new TestConsumer(queue.dispatcher, { name: "rejecting" });
  await world.quiet();
  await consumer.take(value).deadLetter("rejected", "no");
  consumer.consumer.close();
  await world.quiet();
}

function counts({ dispatcher: { counters } }: Queue): Record<string, number> {
  const { deadLettered, dropped } = counters;
  return { deadLettered, dropped };
}

test("a dead letter is sent to the queue that is named, with its history, and is settled where it was", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const failed = await broker.declareQueue("failed");
  const work = await broker.declareQueue("work", toQueue("failed"));
  await world.pass(5_000);
  await reject(world, work, "a", "order.placed");
  assert.deepEqual([work.count, counts(work)], [0, { deadLettered: 1, dropped: 0 }]);
  const [record, ...others] = await recordsOf(failed);
  assert.equal(others.length, 0);
  assert.equal(record!.valueText(), "a");
  assert.equal(record!.timestampMs, START_MS + 5_000, "its age begins anew");
  assert.equal(record!.header("omnibus-subject")?.toString(), "order.placed");
  assert.equal(record!.header("omnibus-id")?.toString(), "work:0");
  assert.deepEqual(deadLetterHistory(record!), [
    {
      source: "work",
      offset: 0,
      reason: "rejected",
      error: "no",
      attempts: 1,
      firstFailedAtMs: START_MS + 5_000,
      deadAtMs: START_MS + 5_000,
      subject: "order.placed",
      to: { kind: "queue", name: "failed" },
      times: 1,
    },
  ]);
  assert.equal(broker.queue("dead/work"), undefined);
  await broker.close();
});

test("an exchange leads dead letters on by their own subject, or by the one that is given", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  for (const name of ["placed", "all", "given"]) await broker.declareQueue(name);
  await broker.declareTopic("log");
  await broker.declareExchange("dlx", { kind: "topic" });
  for (const [kind, name, pattern] of [
    ["queue", "placed", "order.placed"],
    ["queue", "all", "#"],
    ["queue", "given", "gone.*"],
    ["topic", "log", "#"],
  ] as const)
    await broker.bind({ from: "dlx", to: { kind, name }, pattern });
  const own = await broker.declareQueue("own", toExchange("dlx"));
  const other = await broker.declareQueue("other", toExchange("dlx", "gone.bad"));
  await reject(world, own, "a", "order.placed");
  await reject(world, other, "b", "order.placed");
  assert.deepEqual(
    [await textsIn(broker, "placed"), await textsIn(broker, "all"), await textsIn(broker, "given")],
    [["a"], ["a", "b"], ["b"]],
  );
  assert.equal(broker.topic("log")!.partitions[0]!.highWatermark, 2);
  const [, sent] = await recordsOf(broker.queue("all")!);
  assert.deepEqual(
    sent!.headers().filter(([name]) => name === "omnibus-subject").length,
    1,
    "its former subject is gone",
  );
  assert.equal(sent!.header("omnibus-subject")?.toString(), "gone.bad");
  assert.equal(deadLetterHistory(sent!)[0]!.subject, "order.placed");
  await broker.close();
});

test("the bus itself leads dead letters on", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("failed");
  await broker.bind({ to: { kind: "queue", name: "failed" }, pattern: "failed.#" });
  const work = await broker.declareQueue("work", toExchange("", "failed.work"));
  await reject(world, work, "a", "");
  assert.deepEqual(await textsIn(broker, "failed"), ["a"]);
  await broker.close();
});

test("what leads nowhere is kept by the queue itself, or dropped and counted", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareExchange("nothing-bound");
  await broker.declareQueue("small", { messageBytesMax: 1 });
  for (const target of ["no-such", "nothing-bound"]) {
    for (const kind of ["queue", "exchange"] as const) {
      const deadLetterTo = { kind, name: target };
      const dropping = await broker.declareQueue(`dropping.${kind}.${target}`, {
        deadLetter: false,
        deadLetterTo,
      });
      await reject(world, dropping, "a", "s");
      assert.deepEqual([dropping.count, counts(dropping)], [0, { deadLettered: 0, dropped: 1 }]);
      const keeping = await broker.declareQueue(`keeping.${kind}.${target}`, { deadLetterTo });
      await reject(world, keeping, "a", "s");
      assert.deepEqual(counts(keeping), { deadLettered: 1, dropped: 0 });
      const [letter] = await recordsOf(broker.queue(`dead/keeping.${kind}.${target}`)!);
      assert.equal(deadLetterHistory(letter!)[0]!.to, undefined);
    }
  }
  const large = await broker.declareQueue("large", toQueue("small"));
  await reject(world, large, "too large", "s");
  assert.deepEqual(counts(large), { deadLettered: 0, dropped: 1 });
  await broker.close();
});

test("expired messages, those of a full queue, and those tried too often are sent there as well", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const failed = await broker.declareQueue("failed", { priorities: 2 });
  const work = await broker.declareQueue("work", {
    ...toQueue("failed"),
    ageMaxMs: 1_000,
    countMax: 1,
    overflow: "dead-letter-oldest",
    attemptsMax: 1,
  });
  for (const value of ["overflow", "old"]) work.append(message(value, { priority: 1 }));
  await world.pass(3_000);
  work.append(message("tried", { timestampMs: START_MS + 3_000 }));
  await world.quiet();
  const consumer = new TestConsumer(work.dispatcher, { attemptsMax: 1 });
  await world.quiet();
  nack(consumer.take("tried"));
  await world.quiet();
  const records = await recordsOf(failed);
  assert.deepEqual(
    records.map((record) => `${record.valueText()} ${deadLetterHistory(record)[0]!.reason}`),
    ["overflow overflow", "old expired", "tried attempts-exhausted"],
  );
  assert.deepEqual(
    failed.states.map((state) => state.unsettledCount),
    [1, 2],
    "priorities are kept",
  );
  await broker.close();
});

test("a message that expires from queue to queue comes to no queue a second time, unless somebody has rejected it", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const later = await broker.declareQueue("later", { ...toQueue("work"), ageMaxMs: 1_000 });
  const work = await broker.declareQueue("work", { ...toQueue("later"), ageMaxMs: 1_000 });
  work.append(message("a"));
  await world.pass(5_000);
  assert.deepEqual(
    [counts(work), counts(later)],
    [
      { deadLettered: 1, dropped: 0 },
      { deadLettered: 0, dropped: 1 },
    ],
  );
  const consumer = new TestConsumer(work.dispatcher);
  work.append(message("b", { timestampMs: START_MS + 5_000 }));
  for (let round = 1; round <= 25; round += 1) {
    await world.quiet();
    const delivery = consumer.take("b");
    const [latest] = deadLetterHistory(delivery.record).toReversed() as (DeadLetterEntry | undefined)[];
    assert.equal(latest?.times ?? 0, round - 1, "counted on although the history is cut");
    await delivery.deadLetter("rejected", "not yet");
    await world.pass(2_500);
  }
  const { record } = consumer.take("b");
  const history = deadLetterHistory(record);
  assert.equal(history.length, 20);
  assert.deepEqual(
    history.slice(-2).map(({ source, reason, times }) => [source, reason, times]),
    [
      ["work", "rejected", 25],
      ["later", "expired", 25],
    ],
  );
  await broker.close();
});

test("while the destination is full a dead letter stays where it was, and moves when there is room", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const failed = await broker.declareQueue("failed", { countMax: 1 });
  const work = await broker.declareQueue("work", { ...toQueue("failed"), ageMaxMs: 500 });
  failed.append(message("first"));
  work.append(message("a"));
  await world.pass(5_000);
  assert.deepEqual([work.count, await textsIn(broker, "failed")], [1, ["first"]]);
  assert.ok(world.reported.every(({ error }) => isBrokerError(error, "QUEUE_FULL")));
  new TestConsumer(failed.dispatcher, { prefetch: 1 }, (delivery) => delivery.ack());
  await world.pass(35_000);
  assert.deepEqual([work.count, failed.published], [0, 2]);
  await broker.close();
});

test("a dead letter is sent in the step in which its message is settled, whenever the process dies", async () => {
  for (let operations = 0; operations < 24; operations += 1) {
    const world = new BrokerWorld(operations + 1);
    const broker = await world.open();
    await broker.declareExchange("dlx", { kind: "fanout" });
    for (const name of ["one", "two"]) {
      await broker.declareQueue(name);
      await broker.bind({ from: "dlx", to: { kind: "queue", name } });
    }
    const work = await broker.declareQueue("work", toExchange("dlx"));
    work.append(message("a"));
    const consumer = new TestConsumer(work.dispatcher);
    await world.pass(100);
    world.stopDiskAfter(operations);
    consumer
      .take("a")
      .deadLetter("rejected", "no")
      .catch(() => undefined);
    await world.pass(100);
    world.crash(operations % 2 === 0);
    const again = await world.open();
    const [inWork, inOne, inTwo] = ["work", "one", "two"].map((name) => again.queue(name)!.count);
    assert.equal(inOne, inTwo, `after ${operations} operations`);
    assert.equal(inWork! + inOne!, 1, `after ${operations} operations`);
    await again.close();
  }
});

test("where dead letters go is kept over a restart, is compared, and has to make sense", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("work", toExchange("dlx", "a.b"));
  await broker.close();
  const again = await world.open();
  await again.declareQueue("work", {
    deadLetterTo: { subject: "a.b", name: "dlx", kind: "exchange" },
  });
  await assert.rejects(again.declareQueue("work", toExchange("dlx")), (error) =>
    isBrokerError(error, "QUEUE_MISMATCH"),
  );
  for (const wrong of [
    "dlx",
    null,
    {},
    { kind: "topic", name: "a" },
    { kind: "queue" },
    { kind: "queue", name: "a", x: 1 },
  ])
    await assert.rejects(again.declareQueue("bad", { deadLetterTo: wrong as never }), (error) =>
      isBrokerError(error, "INVALID_OPTION"),
    );
  await again.close();
});
