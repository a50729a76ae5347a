import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { Burials } from "../../src/broker/burials.js";
import type { DeadLetter } from "../../src/broker/dead-letters.js";
import { DispatcherCounters } from "../../src/broker/dispatcher-counters.js";
import type { QueueOptions } from "../../src/broker/limits.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";
import { systemError } from "../support/simulated-disk.js";
import { nack, TestConsumer } from "../support/test-consumer.js";

async function queueWith(world: BrokerWorld, values: readonly string[], options: Partial<QueueOptions> = {}) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", options);
  for (const value of values) queue.append(message(value, { key: `key of ${value}` }));
  await broker.flush();
  return { broker, queue };
}

async function lettersOf(broker: Broker, source?: string): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of broker.deadLetters.list(source)) letters.push(letter);
  return letters;
}

function textsOf(letters: readonly DeadLetter[]): string[] {
  return letters.map(({ record }) => record.valueText());
}

test("a dead letter says where it comes from, why, and what happened before, and keeps the message", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, []);
  queue.append(message("a", { key: "k", subject: "order.placed", id: "id-1", headers: { trace: "t" } }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  nack(one.take("a"), 0, "first");
  await world.pass(500);
  await one.take("a").deadLetter("rejected", "second");
  assert.equal(queue.count, 0);
  const [letter, ...others] = await lettersOf(broker, "work");
  assert.equal(others.length, 0);
  assert.deepEqual(letter!.history, [
    {
      source: "work",
      offset: 0,
      reason: "rejected",
      error: "second",
      attempts: 2,
      firstFailedAtMs: START_MS,
      deadAtMs: START_MS + 500,
      subject: "order.placed",
      times: 1,
    },
  ]);
  const { record } = letter!;
  assert.equal(record.valueText(), "a");
  assert.equal(record.keyText(), "k");
  assert.equal(record.timestampMs, START_MS);
  assert.equal(record.header("omnibus-id")?.toString(), "id-1");
  assert.equal(record.header("omnibus-subject")?.toString(), "order.placed");
  assert.equal(record.header("trace")?.toString(), "t");
  await broker.close();
});

test("a message without an id or a stored subject gets those of the place where it was", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  const headers = Buffer.from([0]);
  queue.append({ subject: "work", key: null, value: "a", headers, expiresAtMs: 0, timestampMs: START_MS });
  const topic = await broker.declareTopic("order", { partitions: 2 });
  const group = await broker.declareSubscription("order", "mail");
  topic.append({ subject: "order", key: "k", value: "b", headers, expiresAtMs: 0, timestampMs: START_MS });
  await broker.flush();
  for (const { dispatcher } of [queue, group]) {
    const one = new TestConsumer(dispatcher);
    await world.quiet();
    await one.takeAll()[0]!.deadLetter("rejected", "no");
  }
  const [ofQueue] = await lettersOf(broker, "work");
  assert.equal(ofQueue!.record.header("omnibus-id")?.toString(), "work:0");
  assert.equal(ofQueue!.record.header("omnibus-subject")?.toString(), "work");
  const [ofGroup] = await lettersOf(broker, "order/mail");
  const { partition } = ofGroup!.history[0]!;
  assert.equal(ofGroup!.record.header("omnibus-id")?.toString(), `order/${partition}:0`);
  assert.equal(ofGroup!.record.header("omnibus-subject")?.toString(), "order");
  await broker.close();
});

test("a replayed message goes back to its queue as if it were new, and dies again with its whole history", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  await one.take("a").deadLetter("rejected", "first");
  assert.equal(await broker.deadLetters.replay(await lettersOf(broker)), 1);
  assert.deepEqual(await lettersOf(broker), []);
  await world.quiet();
  const again = one.take("a");
  assert.equal(again.attempt, 1);
  assert.equal(again.record.keyText(), "key of a");
  assert.equal(again.record.header("omnibus-id")?.toString(), "work:0");
  await again.deadLetter("invalid-payload", "second");
  const [letter] = await lettersOf(broker);
  assert.deepEqual(
    letter!.history.map(({ reason, error, offset }) => [reason, error, offset]),
    [
      ["rejected", "first", 0],
      ["invalid-payload", "second", 1],
    ],
  );
  assert.equal(letter!.record.header("omnibus-id")?.toString(), "work:0");
  await broker.close();
});

test("the last twenty deaths are remembered, and a long error is cut", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher);
  for (let death = 1; death <= 22; death += 1) {
    await world.quiet();
    await one.take("a").deadLetter("rejected", `${death} ${"x".repeat(10_000)}`);
    if (death < 22) await broker.deadLetters.replay(await lettersOf(broker));
  }
  const [letter] = await lettersOf(broker);
  assert.equal(letter!.history.length, 20);
  assert.match(letter!.history[0]!.error, /^3 x/);
  assert.equal(letter!.history[19]!.error.length, 2_000);
  await broker.close();
});

test("a replay of a group's dead letter reaches this group alone, also after a restart", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const mail = await broker.declareSubscription("order", "mail");
  const bill = await broker.declareSubscription("order", "bill");
  topic.append(message("a"));
  await broker.flush();
  const mailer = new TestConsumer(mail.dispatcher);
  const biller = new TestConsumer(bill.dispatcher);
  await world.quiet();
  biller.ackAll();
  await mailer.take("a").deadLetter("rejected", "no");
  mailer.consumer.close();
  assert.equal(await broker.deadLetters.replay(await lettersOf(broker)), 1);
  await world.quiet();
  assert.deepEqual(biller.values, []);
  await broker.close();

  const again = await world.open();
  const third = new TestConsumer(again.topic("order")!.subscriptions.get("mail")!.dispatcher);
  const fourth = new TestConsumer(again.topic("order")!.subscriptions.get("bill")!.dispatcher);
  await world.quiet();
  assert.equal(third.take("a").attempt, 1);
  assert.deepEqual(fourth.values, []);
  await again.close();
});

test("a dead letter goes back once, however often it is asked for and by whomever", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  for (const delivery of one.takeAll()) await delivery.deadLetter("rejected", "no");
  const letters = await lettersOf(broker);
  const counts = await Promise.all([
    broker.deadLetters.replay([...letters, ...letters]),
    broker.deadLetters.replay(letters),
    broker.deadLetters.discard(letters),
  ]);
  assert.deepEqual(counts, [2, 0, 0]);
  await world.quiet();
  assert.deepEqual(one.values, ["a", "b"]);
  await broker.close();
});

test("a discarded dead letter is gone for good", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  for (const delivery of one.takeAll()) await delivery.deadLetter("rejected", "no");
  const letters = await lettersOf(broker);
  assert.equal(await broker.deadLetters.discard([letters[1]!]), 1);
  world.crash();
  const again = await world.open();
  assert.deepEqual(textsOf(await lettersOf(again)), ["a", "c"]);
  await again.close();
});

test("who consumes dead letters is not given those that were discarded or replayed before", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b", "c", "d", "e"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  for (const delivery of one.takeAll()) await delivery.deadLetter("rejected", "no");
  one.consumer.close();
  const letters = await lettersOf(broker);
  await broker.deadLetters.discard([letters[0]!, letters[3]!]);
  await broker.deadLetters.replay([letters[1]!]);
  await world.pass(1_000);
  const [, dead] = broker.statistics().queues;
  assert.deepEqual([dead!.waiting, dead!.published, dead!.settled, dead!.dropped], [2, 5, 1, 2]);
  const two = new TestConsumer(broker.queue("dead/work")!.dispatcher);
  await world.quiet();
  assert.deepEqual(two.ackAll(), ["c", "e"]);
  await world.pass(1_000);
  assert.equal(broker.statistics().queues[1]!.waiting, 0);
  await broker.close();
});

test("many and large dead letters are replayed in steps that fit", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, []);
  const body = "x".repeat(1_000_000);
  for (let index = 0; index < 80; index += 1) {
    queue.append(message(`${index} ${body}`));
    if (index % 20 === 19) await broker.flush();
  }
  const one = new TestConsumer(queue.dispatcher, { prefetch: 20 });
  await world.quiet();
  for (let buried = one.takeAll(); buried.length > 0; buried = one.takeAll()) {
    await Promise.all(buried.map((delivery) => delivery.deadLetter("rejected", "no")));
    await world.quiet();
  }
  const letters = await lettersOf(broker);
  assert.equal(letters.length, 80);
  assert.equal(await broker.deadLetters.replay(letters), 80);
  assert.equal(queue.count, 80);
  await broker.close();
});

test("a queue without dead letters drops what cannot be handled, and counts it", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b"], { deadLetter: false });
  const one = new TestConsumer(queue.dispatcher, { attemptsMax: 1 });
  await world.quiet();
  await one.take("a").deadLetter("rejected", "no");
  nack(one.take("b"));
  await world.quiet();
  assert.equal(queue.count, 0);
  assert.equal(queue.dispatcher.counters.dropped, 2);
  assert.equal(queue.dispatcher.counters.deadLettered, 0);
  assert.equal(broker.queue("dead/work"), undefined);
  await broker.close();
});

test("a message whose dead letter cannot be stored stays, and is tried again when there is room", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher, { attemptsMax: 1 });
  await world.quiet();
  const a = one.take("a");
  world.disk.capacityBytes = world.disk.usedBytes;
  await assert.rejects(a.deadLetter("rejected", "no"), (error) => isBrokerError(error, "DISK_FULL"));
  assert.equal(queue.count, 1);
  assert.equal(queue.dispatcher.inFlight, 0);
  await world.pass(3_000);
  assert.equal(queue.count, 1);
  assert.ok(world.reported.some(({ where }) => where === "dead-lettering message 0 of work"));
  assert.deepEqual(await lettersOf(broker), []);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.pass(2_000);
  assert.equal(queue.count, 0);
  const [letter] = await lettersOf(broker);
  assert.equal(letter!.record.valueText(), "a");
  assert.equal(letter!.history[0]!.error, "no");
  await broker.close();
});

test("a message whose dead letter was being stored when storage failed is with nobody until the next start knows where it is", async () => {
  for (const isInJournal of [true, false]) {
    const world = new BrokerWorld();
    const { queue } = await queueWith(world, ["dead before", "a"]);
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    await one.take("dead before").deadLetter("rejected", "no");
    const broken = isInJournal ? "dead_work" : "/journal/";
    world.disk.onOperation = ({ kind, path }) => {
      if (kind === "write" && path.includes(broken)) throw systemError("EIO", path);
      return undefined;
    };
    const isFailed = (error: unknown): boolean => isBrokerError(error, "STORAGE_FAILED");
    await assert.rejects(one.take("a").deadLetter("rejected", "no"), isFailed);
    await world.pass(60_000);
    assert.deepEqual(one.values, []);
    world.disk.onOperation = () => undefined;
    world.crash();
    const again = await world.open();
    assert.equal(textsOf(await lettersOf(again)).includes("a"), isInJournal);
    assert.equal(again.queue("work")!.count, isInJournal ? 0 : 1);
    await again.close();
  }
});

test("a dead letter appears in the same step in which its message is settled, whenever the process dies", async () => {
  for (let turns = 0; turns < 30; turns += 1) {
    const world = new BrokerWorld(turns);
    const { queue } = await queueWith(world, ["a"]);
    const one = new TestConsumer(queue.dispatcher);
    await world.quiet();
    const burial = one.take("a").deadLetter("rejected", "no");
    burial.catch(() => undefined);
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    world.crash(turns % 2 === 0);
    const again = await world.open();
    const dead = (await lettersOf(again)).length;
    assert.equal(dead + again.queue("work")!.count, 1, `after ${turns} turns`);
    await again.close();
  }
});

test("closing waits for what is on its way to the dead letters", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  const burials = one.takeAll().map((delivery) => delivery.deadLetter("rejected", "no"));
  await broker.close();
  await Promise.all(burials);
  assert.deepEqual(world.reported, []);
  const again = await world.open();
  assert.deepEqual(textsOf(await lettersOf(again)), ["a", "b"]);
  assert.equal(again.queue("work")!.count, 0);
  await again.close();
});

test("a message with a header that only looks like a history is buried, listed and replayed", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, []);
  const headers = Buffer.concat([
    Buffer.from([2, 2 * 19]),
    Buffer.from("omnibus-dead-letter"),
    Buffer.from([2 * 4]),
    Buffer.from("{no}"),
  ]);
  queue.append({ subject: "work", key: null, value: "a", headers, expiresAtMs: 0, timestampMs: START_MS });
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  await one.take("a").deadLetter("rejected", "no");
  const letters = await lettersOf(broker);
  assert.equal(letters[0]!.history.length, 1);
  assert.equal(await broker.deadLetters.replay(letters), 1);
  await broker.close();
});

test("dead letters of a queue that is not there are kept, and replaying them says why not", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const orphans = await broker.declareQueue("orphans");
  Object.assign(orphans, { deadLettersOf: "gone" });
  const topic = await broker.declareTopic("gon");
  assert.ok(topic);
  await broker.declareSubscription("gon", "gone");
  orphans.append(message("a"));
  await broker.flush();
  const letters = await lettersOf(broker, "gone");
  assert.equal(letters.length, 1);
  await assert.rejects(broker.deadLetters.replay(letters), (error) =>
    isBrokerError(error, "QUEUE_NOT_FOUND"),
  );
  assert.equal((await lettersOf(broker, "gone")).length, 1);
  await broker.close();
});

test("many messages expire at once without being on their way to the dead letters all together", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, []);
  const expiresAtMs = world.clock.nowMs() + 1;
  for (let index = 0; index < 3_000; index += 1) queue.append(message(String(index), { expiresAtMs }));
  queue.append(message("live"));
  await broker.flush();
  await world.pass(10);
  let most = 0;
  const one = new TestConsumer(queue.dispatcher);
  for (let turn = 0; turn < 500 && queue.count > 1; turn += 1) {
    most = Math.max(most, queue.dispatcher.burials.count);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(most <= 256, `${most} at once`);
  await world.quiet();
  assert.deepEqual(one.values, ["live"]);
  assert.equal(queue.dispatcher.counters.expired, 3_000);
  assert.equal(queue.dispatcher.counters.deadLettered, 3_000);
  assert.equal((await lettersOf(broker)).length, 3_000);
  await broker.close();
});

test("a crash while a waiting message is on its way to the dead letters is no try of it", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  queue.append(message("a"));
  await broker.flush();
  const [state] = queue.states;
  const burials = new Burials({
    name: "work",
    clock: world.clock,
    counters: new DispatcherCounters(),
    moveToDeadLetters: () => new Promise(() => undefined),
    onEnded: () => undefined,
    onError: () => undefined,
  });
  void burials.buryWaiting(state!.takeOldest()!, state!, "overflow", "there were too many");
  await broker.flush();
  world.crash();
  const again = await world.open();
  const consumer = new TestConsumer(again.queue("work")!.dispatcher);
  await world.quiet();
  assert.equal(consumer.take("a").attempt, 1);
  await again.close();
});
