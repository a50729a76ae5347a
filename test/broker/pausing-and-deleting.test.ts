import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Queue } from "../../src/broker/queue.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

async function publish(broker: Broker, queue: Queue, values: readonly string[]): Promise<void> {
  for (const value of values) queue.append(message(value));
  await broker.flush();
}

async function declared(world: BrokerWorld, values: readonly string[] = []) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  await publish(broker, queue, values);
  return { broker, queue };
}

function logsOf(world: BrokerWorld, word: string): Promise<string[]> {
  return world.disk.list("data/logs").then((names) => names.filter((name) => name.startsWith(word)));
}

test("a paused queue takes messages and hands none out, also after a crash, until it is resumed", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  const held = one.take("a");
  await broker.pauseQueue("work");
  await publish(broker, queue, ["b"]);
  await world.pass(1_000);
  assert.deepEqual(one.values, []);
  assert.equal(broker.isIdle, false, "a is in flight");
  held.ack();
  await world.quiet();
  assert.equal(broker.isIdle, true, "nothing can be handed out");
  assert.equal(broker.statistics().queues[0]!.isPaused, true);
  await broker.flush();
  world.crash();

  const again = await world.open();
  const work = again.queue("work")!;
  const two = new TestConsumer(work.dispatcher);
  await publish(again, work, ["c"]);
  await world.pass(1_000);
  assert.deepEqual(two.values, []);
  await again.resumeQueue("work");
  await world.quiet();
  assert.deepEqual(two.ackAll(), ["b", "c"]);
  await again.close();
  const third = await world.open();
  assert.equal(third.queue("work")!.dispatcher.isPaused, false);
  await third.close();
});

test("a paused group waits while other groups of its topic go on", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders");
  const slow = await broker.declareSubscription("orders", "slow");
  const quick = await broker.declareSubscription("orders", "quick");
  await broker.pauseSubscription("orders", "slow");
  const paused = new TestConsumer(slow.dispatcher);
  const other = new TestConsumer(quick.dispatcher);
  topic.append(message("a"));
  await world.quiet();
  assert.deepEqual(other.ackAll(), ["a"]);
  assert.deepEqual(paused.values, []);
  await broker.flush();
  world.crash();
  const again = await world.open();
  const stored = again.topic("orders")!.subscriptions.get("slow")!;
  const resumed = new TestConsumer(stored.dispatcher);
  await world.quiet();
  assert.deepEqual(resumed.values, []);
  await again.resumeSubscription("orders", "slow");
  await world.quiet();
  assert.deepEqual(resumed.ackAll(), ["a"]);
  await again.close();
});

test("a deleted queue is gone with its messages, bindings and files, and its dead letters stay", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a", "b"]);
  await broker.bind({ pattern: "order.#", to: { kind: "queue", name: "work" } });
  const one = new TestConsumer(queue.dispatcher, { attemptsMax: 1 });
  await world.quiet();
  const [a, b] = one.takeAll();
  await a!.deadLetter("rejected", "no");
  assert.equal(await broker.deleteQueue("work"), true);

  assert.equal(broker.queue("work"), undefined);
  assert.throws(() => b!.ack(), withCode("LEASE_LOST"));
  assert.throws(() => queue.append(message("late")), withCode("QUEUE_NOT_FOUND"));
  assert.deepEqual(broker.publish(message("x", { subject: "order.placed" })), []);
  assert.deepEqual(
    (await logsOf(world, "queue.")).map((name) => name.replace(/^queue\.\d+\./, "")),
    ["dead_work"],
  );
  assert.equal(await broker.deleteQueue("work"), false, "there is none any more");

  const anew = await broker.declareQueue("work", { countMax: 5 });
  assert.equal(anew.count, 0);
  await publish(broker, anew, ["c"]);
  await broker.close();
  const again = await world.open();
  assert.equal(again.queue("work")!.count, 1);
  assert.deepEqual(again.publish(message("x", { subject: "order.placed" })), []);
  assert.equal(again.queue("dead/work")!.count, 1);
  assert.deepEqual(world.reported, []);
  await again.close();
});

test("consumers of a deleted queue are told, and publishers that waited for room too", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { countMax: 1, overflow: "wait" });
  await publish(broker, queue, ["a"]);
  const reasons: string[] = [];
  const lost: string[] = [];
  const one = new TestConsumer(
    queue.dispatcher,
    { onEnded: ({ code, message: text }) => reasons.push(`${code} ${text}`) },
    (delivery) => {
      delivery.onLeaseLost = () => lost.push(delivery.record.valueText());
    },
  );
  await world.quiet();
  const waiting = queue.waitForRoom();
  const refused = assert.rejects(waiting, withCode("QUEUE_NOT_FOUND"));
  await broker.deleteQueue("work");
  await refused;
  assert.deepEqual(reasons, ["QUEUE_NOT_FOUND work was deleted."]);
  assert.deepEqual(lost, ["a"]);
  assert.equal(one.consumer.inFlight, 0);
  await broker.close();
});

test("a queue is kept when it is to be empty or unused and is not, and the error says what is in the way", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  await assert.rejects(broker.deleteQueue("work", { ifEmpty: true }), (error) => {
    assert.ok(isBrokerError(error, "QUEUE_NOT_EMPTY"));
    assert.match(error.message, /holds 1 messages/);
    return true;
  });
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.ackAll();
  await assert.rejects(broker.deleteQueue("work", { ifUnused: true }), withCode("QUEUE_IN_USE"));
  one.consumer.close();
  assert.equal(await broker.deleteQueue("work", { ifEmpty: true, ifUnused: true }), true);
  await broker.close();
});

test("a message that is on its way when a queue is deleted is told so or lost with it, and none is taken after", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world);
  const early = queue.append(message("early")).committed.then(
    () => "stored",
    () => "refused",
  );
  const deleting = broker.deleteQueue("work");
  await Promise.resolve();
  await Promise.resolve();
  await deleting;
  assert.match(await early, /stored|refused/);
  assert.equal((await broker.declareQueue("work")).count, 0);
  await broker.close();
});

test("a crash at any step of deleting a queue leaves it whole or gone, never in between, and no file behind", async () => {
  let whole = 0;
  let gone = 0;
  for (let turns = 0; turns < 40; turns += 1) {
    const world = new BrokerWorld(turns);
    const { broker, queue } = await declared(world, ["a", "b", "c"]);
    await broker.declareTopic("order");
    await broker.bind({ pattern: "order.#", to: { kind: "queue", name: "work" } });
    await broker.bind({ pattern: "order.#", to: { kind: "topic", name: "order" } });
    await broker.flush();
    void queue;
    broker.deleteQueue("work").catch(() => undefined);
    await world.turns(turns);
    world.crash(turns % 2 === 0);
    const again = await world.open();
    const left = again.queue("work");
    const routes = again.publish(message("x", { subject: "order.placed" })).length;
    if (left === undefined) {
      gone += 1;
      assert.equal(routes, 1, `after ${turns} turns`);
      assert.deepEqual(await logsOf(world, "queue."), [], `after ${turns} turns`);
    } else {
      whole += 1;
      assert.equal(routes, 2, `after ${turns} turns`);
      await again.flush();
      assert.equal(left.count, 4, `after ${turns} turns`);
    }
    await again.close();
  }
  assert.ok(whole > 0 && gone > 0, `${whole} whole, ${gone} gone`);
});

test("a queue whose files are damaged can be deleted and declared anew", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  await publish(broker, queue, ["b"]);
  await broker.bind({ pattern: "order.#", to: { kind: "queue", name: "work" } });
  const path = `data/logs/${queue.states[0]!.log.name}/00000000000000000000.log`;
  world.crash();
  const file = await world.disk.open(path, "write");
  await file.write(Buffer.from("damage"), 20);
  await file.sync();

  const again = await world.open();
  await assert.rejects(again.deleteQueue("work", { ifEmpty: true }), withCode("LOG_CORRUPT"));
  assert.equal(await again.deleteQueue("work"), true);
  assert.deepEqual(again.publish(message("x", { subject: "order.placed" })), []);
  const anew = await again.declareQueue("work");
  assert.equal(anew.count, 0);
  await again.close();
  const third = await world.open();
  assert.equal(third.queue("work")!.count, 0);
  assert.equal(world.reported.length, 1);
  await third.close();
});

test("a deleted group is forgotten: made anew it begins anew, and other groups go on", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders");
  const group = await broker.declareSubscription("orders", "billing");
  const other = await broker.declareSubscription("orders", "mail");
  topic.append(message("a"));
  await broker.flush();
  const one = new TestConsumer(group.dispatcher);
  await world.quiet();
  const delivery = one.take("a");
  assert.equal(await broker.deleteSubscription("orders", "billing"), true);
  assert.equal(await broker.deleteSubscription("orders", "billing"), false);
  assert.throws(() => delivery.ack(), withCode("LEASE_LOST"));
  topic.append(message("b"));
  await broker.flush();
  await broker.close();

  const again = await world.open();
  assert.deepEqual([...again.topic("orders")!.subscriptions.keys()], ["mail"]);
  assert.equal(other.lag, 2);
  const anew = await again.declareSubscription("orders", "billing", { from: "beginning" });
  assert.equal(anew.lag, 2);
  await again.close();
});

test("a deleted topic is gone with its groups and bindings, and made anew it is empty", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("orders", { partitions: 3 });
  await broker.bind({ pattern: "order.#", to: { kind: "topic", name: "orders" } });
  await broker.declareQueue("audit");
  await broker.bind({ pattern: "order.#", to: { kind: "queue", name: "audit" } });
  const group = await broker.declareSubscription("orders", "billing");
  const ended: string[] = [];
  const one = new TestConsumer(group.dispatcher, { onEnded: ({ code }) => ended.push(code) });
  broker.publish(message("a", { subject: "order.placed" }));
  await world.quiet();
  nack(one.take("a"), 60_000);
  assert.equal(await broker.deleteTopic("orders"), true);
  assert.deepEqual(ended, ["TOPIC_NOT_FOUND"]);
  assert.throws(() => topic.append(message("late")), withCode("TOPIC_NOT_FOUND"));
  assert.equal(broker.publish(message("b", { subject: "order.placed" })).length, 1);
  assert.deepEqual(await logsOf(world, "topic."), []);
  assert.equal(await broker.deleteTopic("orders"), false);
  await broker.flush();
  world.crash(true);

  const again = await world.open();
  assert.equal(again.topic("orders"), undefined);
  assert.equal(again.queue("audit")!.count, 2);
  const anew = await again.declareTopic("orders");
  assert.equal(anew.partitionCount, 1);
  assert.equal((await again.declareSubscription("orders", "billing", { from: "beginning" })).lag, 0);
  assert.deepEqual(world.reported, []);
  await again.close();
});

test("a group or binding that is declared while its topic or queue is deleted goes with it", async () => {
  for (let turns = 0; turns < 12; turns += 1) {
    const world = new BrokerWorld(turns);
    const broker = await world.open();
    await broker.declareTopic("orders");
    await broker.declareQueue("work");
    const late = [
      broker.declareSubscription("orders", "billing"),
      broker.bind({ pattern: "order.#", to: { kind: "topic", name: "orders" } }),
      broker.bind({ pattern: "order.#", to: { kind: "queue", name: "work" } }),
    ];
    for (const promise of late) promise.catch(() => undefined);
    await world.turns(turns);
    await Promise.all([broker.deleteTopic("orders"), broker.deleteQueue("work")]);
    await Promise.allSettled(late);
    assert.deepEqual(broker.publish(message("x", { subject: "order.placed" })), [], `after ${turns} turns`);
    await broker.close();
    const again = await world.open();
    assert.deepEqual(again.publish(message("x", { subject: "order.placed" })), [], `after ${turns} turns`);
    assert.deepEqual(world.reported, []);
    await again.close();
  }
});

test("what a queue, topic and group remember of ids, and their returned messages, go with them", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const options = { inboxMs: 60_000 };
  const queue = await broker.declareQueue("work", { ...options, deduplicateMs: 60_000, priorities: 3 });
  const topic = await broker.declareTopic("orders", { deduplicateMs: 60_000 });
  const group = await broker.declareSubscription("orders", "billing", options);
  queue.append(message("a", { id: "1" }));
  topic.append(message("b", { id: "2" }));
  const consumers = [queue.dispatcher, group.dispatcher].map((one) => new TestConsumer(one));
  await world.quiet();
  for (const one of consumers) await one.takeAll()[0]!.deadLetter("rejected", "no");
  const letters = [];
  for await (const letter of broker.deadLetters.list()) letters.push(letter);
  assert.equal(await broker.deadLetters.replay(letters), 2);
  assert.ok((await world.disk.list("data/logs")).some((name) => name.startsWith("returns.")));
  await broker.deleteQueue("work");
  await broker.deleteTopic("orders");
  assert.deepEqual((await world.disk.list("data/logs")).map((name) => name.replace(/\.\d+\./, ".")).sort(), [
    "catalog",
    "queue.dead_orders_billing",
    "queue.dead_work",
    "settlements",
  ]);
  assert.deepEqual(world.reported, []);
  await broker.close();
});

test("a queue that cannot be deleted because the disk is full stays as it was", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, ["a"]);
  await broker.bind({ pattern: "order.#", to: { kind: "queue", name: "work" } });
  world.disk.capacityBytes = 0;
  await assert.rejects(broker.deleteQueue("work"), withCode("DISK_FULL"));
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  assert.equal(broker.queue("work"), queue);
  assert.equal(broker.publish(message("b", { subject: "order.placed" })).length, 1);
  await broker.flush();
  assert.equal(queue.count, 2);
  assert.equal(await broker.deleteQueue("work"), true);
  await broker.close();
});

test("a queue in which all is settled keeps next to nothing on disk, and goes on", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await declared(world, Array(100).fill("x".repeat(10_000)));
  const one = new TestConsumer(queue.dispatcher, { prefetch: 1_000 });
  const { log } = queue.states[0]!;
  await world.quiet();
  const last = one.takeAll();
  for (const delivery of last.slice(1)) delivery.ack();
  await broker.flush();
  await broker.maintain();
  assert.ok(log.sizeBytes > 900_000, "one message is not settled");
  last[0]!.ack();
  await broker.flush();
  await broker.maintain();
  assert.equal(log.sizeBytes, 0);
  assert.equal(log.highWatermark, 100);
  await publish(broker, queue, ["next"]);
  await world.quiet();
  one.take("next").ack();
  await broker.flush();
  await broker.maintain();
  assert.ok(log.sizeBytes > 0, "so little is not worth another file");
  await publish(broker, queue, ["last"]);
  world.crash(true);
  const again = await world.open();
  const work = again.queue("work")!;
  assert.ok(work.count >= 1 && work.count <= 2);
  const two = new TestConsumer(work.dispatcher);
  await world.quiet();
  assert.equal(two.ackAll().at(-1), "last");
  await again.close();
});

test("files whose definition the catalog has lost with its end are not deleted, and no other queue gets them", async () => {
  const world = new BrokerWorld();
  await declared(world, ["a"]);
  world.crash();
  // A disk that forgot what it had synced: only damage does that.
  const [path] = (await world.disk.list("data/logs/catalog")).filter((name) => name.endsWith(".log"));
  const file = await world.disk.open(`data/logs/catalog/${path}`, "write");
  await file.truncate(0);
  await file.sync();
  const again = await world.open();
  assert.equal(again.queue("work"), undefined);
  const anew = await again.declareQueue("work");
  assert.equal(anew.count, 0);
  assert.equal((await logsOf(world, "queue.")).length, 2);
  await again.close();
});
