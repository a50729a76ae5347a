import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsumerOptions } from "../../src/broker/consumer.js";
import type { QueueOptions } from "../../src/broker/limits.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { collect } from "../support/buses.js";
import { nack, TestConsumer, textOf } from "../support/test-consumer.js";

/** `"a1 b1 a2"`: a message for each word; its first letter is the key, `-` for none. */
async function queueWith(world: BrokerWorld, words: string, options: Partial<QueueOptions> = {}) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", options);
  queue.dispatcher.orderByKey();
  const publish = async (more: string): Promise<void> => {
    for (const word of more.split(" ")) queue.append(message(word, { key: keyOf(word) }));
    await broker.flush();
    await world.quiet();
  };
  if (words !== "") await publish(words);
  return { broker, queue, publish };
}

function keyOf(word: string): string | null {
  return word[0] === "-" ? null : word[0]!;
}

/** What {@link queueWith} makes, and a consumer that has what it may have at once. */
async function consuming(
  world: BrokerWorld,
  words: string,
  options: { queue?: Partial<QueueOptions>; consumer?: Partial<ConsumerOptions> } = {},
) {
  const { broker, queue, publish } = await queueWith(world, words, options.queue);
  const one = new TestConsumer(queue.dispatcher, options.consumer);
  await world.quiet();
  return { broker, queue, publish, one };
}

/** Acknowledges these, each of which is the next that comes. */
async function handle(world: BrokerWorld, one: TestConsumer, words: string): Promise<void> {
  for (const word of words.split(" ")) {
    one.take(word).ack();
    await world.quiet();
  }
}

/** `a1` is due in a second: until then `a2` and `a3` pass it, then it takes its turn behind them. */
async function letsOthersPass(world: BrokerWorld, one: TestConsumer): Promise<void> {
  const a2 = one.take("a2");
  await world.pass(1_000);
  assert.deepEqual(one.values, []);
  a2.ack();
  await world.quiet();
  await handle(world, one, "a3 a1");
}

test("one message of a key is out at a time, and other keys go on", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await consuming(world, "a1 a2 b1 a3 b2 -1 -2");
  assert.deepEqual(one.values, ["a1", "b1", "-1", "-2"]);
  one.take("a1").ack();
  await world.quiet();
  assert.deepEqual(one.values, ["b1", "-1", "-2", "a2"]);
  one.take("b1").ack();
  one.ackAll();
  await world.quiet();
  assert.deepEqual(one.values, ["a3", "b2"]);
  one.ackAll();
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a message that is to be tried again keeps its key waiting", async () => {
  const world = new BrokerWorld();
  const { broker, one } = await consuming(world, "a1 a2 b1");
  nack(one.take("a1"), 1_000);
  one.take("b1").ack();
  await world.pass(999);
  assert.deepEqual(one.values, []);
  await world.pass(1);
  await handle(world, one, "a1 a2");
  await broker.close();
});

test("a parked message lets later ones of its key pass, and takes its turn when it is due", async () => {
  const world = new BrokerWorld();
  const { broker, one } = await consuming(world, "a1 a2 a3");
  nack(one.take("a1"), 1_000, "it failed", false);
  await world.quiet();
  await letsOthersPass(world, one);
  await broker.close();
});

test("a blocked key stays blocked over a restart, and a parked message stays aside", async () => {
  for (const keepsTurn of [true, false]) {
    const world = new BrokerWorld();
    const { broker, one } = await consuming(world, "a1 a2");
    nack(one.take("a1"), 60_000, "it failed", keepsTurn);
    one.consumer.close();
    await broker.close();

    const again = await world.open();
    again.queue("work")!.dispatcher.orderByKey();
    const two = new TestConsumer(again.queue("work")!.dispatcher);
    await world.quiet();
    assert.deepEqual(two.values, keepsTurn ? [] : ["a2"]);
    two.ackAll();
    await world.pass(60_000);
    assert.equal(two.take("a1").attempt, 2);
    await again.close();
  }
});

test("a message that was delayed when it was sent does not hold its key up", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, "");
  queue.append(message("a1", { key: "a", readyAtMs: world.clock.nowMs() + 1_000 }));
  queue.append(message("a2", { key: "a" }));
  queue.append(message("a3", { key: "a" }));
  await broker.flush();
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  await letsOthersPass(world, one);
  await broker.close();
});

test("a delayed message that gets the turn of its key before it is due passes it on", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await consuming(world, "a1");
  queue.append(message("a2", { key: "a", readyAtMs: world.clock.nowMs() + 1_000 }));
  queue.append(message("a3", { key: "a" }));
  await broker.flush();
  await world.quiet();
  await handle(world, one, "a1 a3");
  await world.pass(1_000);
  one.take("a2").ack();
  await broker.close();
});

for (const way of ["ack", "dead letter", "exhausted", "expired", "lost lease"] as const) {
  test(`a key goes on after its message ended by: ${way}`, async () => {
    const world = new BrokerWorld();
    const { broker, queue } = await queueWith(world, "");
    const expiresAtMs = way === "expired" ? world.clock.nowMs() + 500 : undefined;
    queue.append(message("a1", { key: "a", expiresAtMs }));
    queue.append(message("a2", { key: "a" }));
    await broker.flush();
    const one = new TestConsumer(queue.dispatcher, {
      attemptsMax: way === "exhausted" ? 1 : 5,
      leaseMs: way === "lost lease" ? 1_000 : 30_000,
    });
    await world.quiet();
    const a1 = one.take("a1");
    if (way === "ack") a1.ack();
    else if (way === "dead letter") await a1.deadLetter("rejected", "no");
    else if (way === "exhausted") nack(a1);
    else if (way === "expired") nack(a1, 1_000);
    else {
      await world.pass(1_000);
      one.take("a1").ack();
    }
    if (way !== "lost lease") await world.pass(1_000);
    await world.quiet();
    one.take("a2").ack();
    assert.equal(queue.count, 0);
    await broker.close();
  });
}

test("a key goes on after the message that had its turn, or those in line, were purged", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish, one } = await consuming(world, "a1 a2 b1 b2");
  nack(one.take("a1"), 10_000);
  const b1 = one.take("b1");
  assert.equal(queue.purge(), 3);
  await publish("a3 b3");
  assert.deepEqual(one.values, ["a3"]);
  b1.ack();
  await world.quiet();
  assert.deepEqual(one.values, ["a3", "b3"]);
  await broker.close();
});

test("a purge leaves the key of a message in flight to that message", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish, one } = await consuming(world, "a1 a2");
  const a1 = one.take("a1");
  queue.purge();
  await publish("a3");
  assert.deepEqual(one.values, []);
  a1.ack();
  await world.quiet();
  one.take("a3").ack();
  await broker.close();
});

test("a key goes on when the oldest messages are dropped: one in line, and one that keeps its turn", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish, one } = await consuming(world, "a1 a2 a3", {
    queue: { countMax: 3, overflow: "drop-oldest" },
    consumer: { prefetch: 1 },
  });
  const a1 = one.take("a1");
  await publish("a4");
  assert.equal(queue.dispatcher.counters.dropped, 1);
  nack(a1, 1_000);
  await world.quiet();
  assert.deepEqual(one.values, []);
  await publish("b1");
  assert.equal(queue.dispatcher.counters.dropped, 2);
  const delivered: string[] = [];
  for (let rest = one.ackAll(); rest.length > 0; rest = one.ackAll()) {
    delivered.push(...rest);
    await world.quiet();
  }
  assert.deepEqual(delivered, ["a3", "a4", "b1"]);
  assert.equal(queue.count, 0);
  await broker.close();
});

test("a replayed message of a group waits for its key like any other", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const { dispatcher } = await broker.declareSubscription("order", "mail");
  dispatcher.orderByKey();
  topic.append(message("a1", { key: "a" }));
  await broker.flush();
  const one = new TestConsumer(dispatcher);
  await world.quiet();
  await one.take("a1").deadLetter("rejected", "no");
  topic.append(message("a2", { key: "a" }));
  await broker.flush();
  await world.quiet();
  const a2 = one.take("a2");
  const letters = await collect(broker.deadLetters.list("order/mail"));
  assert.equal(await broker.deadLetters.replay(letters), 1);
  await world.quiet();
  assert.deepEqual(one.values, []);
  a2.ack();
  await world.quiet();
  one.take("a1").ack();
  assert.equal(broker.statistics().topics[0]!.groups[0]!.lag, 0);
  await broker.close();
});

test("so many messages may stand in line, then none further is looked at until the line is shorter", async () => {
  const world = new BrokerWorld();
  const { broker, queue, one } = await consuming(world, "a0", { consumer: { prefetch: 10_000_000 } });
  const a0 = one.take("a0");
  for (let index = 1; index <= 10_000; index += 1) queue.append(message(`a${index}`, { key: "a" }));
  queue.append(message("b1", { key: "b" }));
  await broker.flush();
  await world.quiet();
  assert.deepEqual(one.values, []);
  a0.ack();
  await world.quiet();
  assert.deepEqual(one.values, ["a1", "b1"]);
  one.takeAll();
  await broker.close();
});

test("over many keys and consumers, each key keeps its order and nothing stays behind", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await queueWith(world, "");
  const keys = ["a", "b", "c", "d", "e"];
  for (let index = 0; index < 500; index += 1)
    queue.append(message(String(index), { key: world.random.pick(keys) }));
  await broker.flush();
  const busy = new Map<string, number>();
  const last = new Map<string, number>();
  const consumers = [1, 2, 3].map(
    () =>
      new TestConsumer(queue.dispatcher, { prefetch: 4 }, (delivery) => {
        const key = delivery.record.keyText()!;
        assert.equal(busy.get(key) ?? 0, 0);
        busy.set(key, 1);
      }),
  );
  for (let round = 0; queue.count > 0 && round < 2_000; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    const held = consumers.flatMap(({ waiting }) => waiting);
    if (held.length === 0) continue;
    const delivery = world.random.pick(held);
    for (const { waiting } of consumers) {
      const at = waiting.indexOf(delivery);
      if (at >= 0) waiting.splice(at, 1);
    }
    const key = delivery.record.keyText()!;
    busy.set(key, 0);
    if (world.random.chance(0.2)) {
      nack(delivery);
      continue;
    }
    assert.ok((last.get(key) ?? -1) < Number(textOf(delivery)));
    last.set(key, Number(textOf(delivery)));
    delivery.ack();
  }
  assert.equal(queue.count, 0);
  await broker.close();
});
