import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

test("a queue that nobody uses expires with what is in it, and publishing is no use", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("replies", { expiresAfterMs: 10_000 });
  await world.pass(9_000);
  queue.append(message("a"));
  await world.pass(900);
  assert.equal(broker.queue("replies"), queue);
  await world.pass(200);
  assert.equal(broker.queue("replies"), undefined);
  assert.deepEqual(await world.disk.list("data/logs"), ["catalog", "settlements"]);
  assert.deepEqual(world.reported, []);
  await broker.close();
});

test("a consumer, and a declaration, keep a queue from expiring", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("replies", { expiresAfterMs: 10_000 });
  await world.pass(9_000);
  await broker.declareQueue("replies");
  await world.pass(9_000);
  const one = new TestConsumer(queue.dispatcher);
  await world.pass(100_000);
  assert.equal(broker.queue("replies"), queue);
  one.consumer.close();
  await world.pass(9_000);
  assert.equal(broker.queue("replies"), queue);
  await world.pass(2_000);
  assert.equal(broker.queue("replies"), undefined);
  await broker.close();
});

test("after a restart the time of an unused queue begins anew", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("replies", { expiresAfterMs: 10_000 });
  await world.pass(9_000);
  world.crash();
  await world.pass(60_000);
  const again = await world.open();
  await world.pass(9_000);
  assert.ok(again.queue("replies") !== undefined);
  await world.pass(2_000);
  assert.equal(again.queue("replies"), undefined);
  await again.close();
});

test("a queue that cannot be deleted when it expires is tried again, and the failure is told", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("replies", { expiresAfterMs: 10_000 });
  world.disk.capacityBytes = 0;
  await world.pass(11_000);
  assert.ok(broker.queue("replies") !== undefined);
  assert.equal(world.reported.length, 1);
  assert.match(world.reported[0]!.where, /deleting queue replies, which nobody uses/);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.pass(31_000);
  assert.equal(broker.queue("replies"), undefined);
  await broker.close();
});

test("an auto-delete queue goes when its last consumer has left, and not before the first has come", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { autoDelete: true });
  queue.append(message("a"));
  await world.pass(1_000_000);
  assert.equal(broker.queue("work"), queue);
  const one = new TestConsumer(queue.dispatcher);
  const two = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.consumer.close();
  await world.quiet();
  assert.equal(broker.queue("work"), queue);
  two.consumer.close();
  await world.quiet();
  assert.equal(broker.queue("work"), undefined);
  await broker.close();
});

test("a consumer that takes what is there and goes does not end an auto-delete queue", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { autoDelete: true });
  new TestConsumer(queue.dispatcher, { isBrief: true }).consumer.close();
  await world.quiet();
  assert.equal(broker.queue("work"), queue);
  const brief = new TestConsumer(queue.dispatcher, { isBrief: true });
  new TestConsumer(queue.dispatcher).consumer.close();
  await world.quiet();
  assert.equal(broker.queue("work"), queue, "somebody is there");
  brief.consumer.close();
  await world.quiet();
  assert.equal(broker.queue("work"), undefined);
  await broker.close();
});

test("a consumer that comes back while its auto-delete queue is being deleted finds it, or is told", async () => {
  for (let turns = 0; turns < 10; turns += 1) {
    const world = new BrokerWorld(turns);
    const broker = await world.open();
    const queue = await broker.declareQueue("work", { autoDelete: true });
    new TestConsumer(queue.dispatcher).consumer.close();
    await world.turns(turns);
    const ended: string[] = [];
    try {
      new TestConsumer(queue.dispatcher, { onEnded: ({ code }) => ended.push(code) });
    } catch (error) {
      assert.ok(isBrokerError(error, "CLOSED"));
      ended.push("CLOSED");
    }
    await world.quiet();
    assert.equal(broker.queue("work") === queue, ended.length === 0, `after ${turns} turns`);
    await broker.close();
  }
});

test("closing the broker does not count as its consumers' leaving", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { autoDelete: true });
  new TestConsumer(queue.dispatcher);
  await broker.close();
  const again = await world.open();
  assert.ok(again.queue("work") !== undefined);
  await again.close();
});

test("an exclusive queue is used by its session alone, and goes with it", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const mine = broker.openSession("mine");
  const other = broker.openSession("other");
  const queue = await broker.declareQueue("inbox", { exclusive: true }, mine);
  assert.equal(await broker.declareQueue("inbox", { exclusive: true }, mine), queue);
  const strangers = [
    () => broker.declareQueue("inbox", {}, other),
    () => broker.declareQueue("inbox"),
    () => broker.deleteQueue("inbox", {}, other),
    () => broker.pauseQueue("inbox", other),
  ];
  for (const use of strangers)
    await assert.rejects(use(), (error) => {
      assert.ok(isBrokerError(error, "QUEUE_EXCLUSIVE"));
      assert.match(error.message, /exclusive to the session mine/);
      return true;
    });
  queue.append(message("a"));
  await other.close();
  assert.equal(broker.queue("inbox"), queue);
  await mine.close();
  assert.equal(broker.queue("inbox"), undefined);
  await assert.rejects(broker.declareQueue("inbox", { exclusive: true }, mine), withCode("CLOSED"));
  await broker.declareQueue("inbox", {}, other);
  await broker.close();
});

test("an exclusive queue needs a session, and a queue that is there is not made exclusive", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await assert.rejects(broker.declareQueue("inbox", { exclusive: true }), withCode("INVALID_OPTION"));
  await broker.declareQueue("inbox");
  const session = broker.openSession("mine");
  await assert.rejects(
    broker.declareQueue("inbox", { exclusive: true }, session),
    withCode("QUEUE_MISMATCH"),
  );
  await broker.close();
});

test("exclusive queues are gone after a close and after a crash, with their bindings and files", async () => {
  for (const end of ["close", "crash", "power"] as const) {
    const world = new BrokerWorld();
    const broker = await world.open();
    const session = broker.openSession("mine");
    const queue = await broker.declareQueue("inbox", { exclusive: true }, session);
    await broker.declareQueue("stays");
    await broker.bind({ pattern: "order.#", to: { kind: "queue", name: "inbox" } });
    queue.append(message("a"));
    await broker.flush();
    if (end === "close") await broker.close();
    else world.crash(end === "power");
    const looking = await world.open({ readOnly: true }).catch(() => undefined);
    await looking?.close();
    const again = await world.open();
    assert.equal(again.queue("inbox"), undefined, end);
    assert.deepEqual(again.publish(message("x", { subject: "order.placed" })), []);
    const logs = await world.disk.list("data/logs");
    assert.deepEqual(
      logs.map((name) => name.replace(/\.\d+\./, ".")),
      ["catalog", "queue.stays", "settlements"],
    );
    assert.deepEqual(world.reported, []);
    await again.close();
  }
});

test("an exclusive queue whose declaration ends after its session does goes at once", async () => {
  for (let turns = 0; turns < 8; turns += 1) {
    const world = new BrokerWorld(turns);
    const broker = await world.open();
    const session = broker.openSession("mine");
    const declaring = broker.declareQueue("inbox", { exclusive: true }, session).catch(() => undefined);
    await world.turns(turns);
    await session.close();
    await declaring;
    await world.quiet();
    assert.equal(broker.queue("inbox"), undefined, `after ${turns} turns`);
    await broker.close();
  }
});

test("a queue that was declared before these options were known opens, and stays", async () => {
  const world = new BrokerWorld();
  const { broker, store } = await world.openStore();
  const log = await store.openLog("catalog", { durability: "synced" });
  const options = { countMax: 7, durability: "synced" };
  const old = JSON.stringify({ kind: "queue", id: 900, name: "old", options });
  await log.append(1, "queue/old", old, NO_HEADERS).committed;
  await broker.close();
  const again = await world.open();
  const queue = again.queue("old");
  assert.equal(queue?.options.autoDelete, false);
  assert.equal(queue?.options.countMax, 7);
  await again.declareQueue("old", { exclusive: false });
  await again.close();
});
