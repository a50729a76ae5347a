import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerWorld, message } from "../support/broker-world.js";
import { limited } from "../support/limited-queue.js";
import { TestConsumer } from "../support/test-consumer.js";
import { withCode } from "../support/with-code.js";

test("wait: publishers are let in one for one, in their order", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await limited(world, { countMax: 2, overflow: "wait" });
  const sent: string[] = [];
  const publish = async (value: string): Promise<void> => {
    if (queue.mustWait) await queue.waitForRoom();
    await queue.append(message(value)).committed;
    sent.push(value);
  };
  const publishers = ["a", "b", "c", "d", "e"].map(publish);
  await world.quiet();
  assert.deepEqual(sent, ["a", "b"]);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.take("a").ack();
  await world.quiet();
  assert.deepEqual(sent, ["a", "b", "c"]);
  one.ackAll();
  await world.quiet();
  assert.deepEqual(sent, ["a", "b", "c", "d", "e"]);
  await Promise.all(publishers);
  one.ackAll();
  await world.quiet();
  assert.deepEqual(
    one.all.map(({ record }) => record.valueText()),
    ["a", "b", "c", "d", "e"],
  );
  await broker.close();
});

test("wait: many publishers and few places never see QUEUE_FULL, and keep their order", async () => {
  const world = new BrokerWorld();
  const { broker, queue } = await limited(world, { countMax: 3, overflow: "wait" });
  const publish = async (value: string): Promise<void> => {
    if (queue.mustWait) await queue.waitForRoom();
    await queue.append(message(value)).committed;
  };
  const values = Array.from({ length: 200 }, (_, index) => String(index));
  const publishers = Promise.all(values.map(publish));
  let most = 0;
  const one = new TestConsumer(queue.dispatcher, {}, (delivery) => {
    most = Math.max(most, queue.count);
    delivery.ack();
  });
  await publishers;
  await world.quiet();
  assert.deepEqual(one.values, values);
  assert.ok(most <= 3, `${most} at once`);
  await broker.close();
});

test("wait: nobody overtakes those who wait, and who appends without waiting is refused", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "wait" });
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "test" });
  await publish("a");
  const admitted: string[] = [];
  const waiting = queue.waitForRoom().then(() => {
    admitted.push("b");
    queue.append(message("b"));
  });
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.take("a").ack();
  assert.equal(queue.mustWait, true);
  assert.throws(() => broker.publish(message("thief")), withCode("QUEUE_FULL"));
  await waiting;
  await world.quiet();
  one.take("b").ack();
  await broker.close();
});

test("wait: a place that is not used in time goes to the next", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "wait" });
  await publish("a");
  await assert.doesNotReject(async () => {
    const unused = queue.waitForRoom();
    const next = queue.waitForRoom().then(() => queue.append(message("b")));
    const one = new TestConsumer(queue.dispatcher, {}, (delivery) => delivery.ack());
    await unused;
    await next;
    await world.quiet();
    assert.deepEqual(one.values, ["a", "b"]);
  });
  await broker.close();
});

test("wait: by bytes, not all are let in for one free byte", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { bytesMax: 100, overflow: "wait" });
  await publish("x".repeat(100));
  const publishers = ["a", "b", "c", "d"].map(async (letter) => {
    await queue.waitForRoom();
    queue.append(message(letter.repeat(60)));
  });
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.takeAll()[0]!.ack();
  await world.quiet();
  assert.deepEqual(
    one.values.map((value) => value[0]),
    ["a", "b"],
  );
  one.ackAll();
  await world.quiet();
  await Promise.all(publishers);
  assert.deepEqual(
    one.values.map((value) => value[0]),
    ["c", "d"],
  );
  await broker.close();
});

test("wait: a publisher that gives up is out of the line, and leaves nothing at its signal", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "wait" });
  await publish("a");
  const abort = new AbortController();
  let listeners = 0;
  const add = abort.signal.addEventListener.bind(abort.signal);
  const remove = abort.signal.removeEventListener.bind(abort.signal);
  abort.signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  abort.signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...args);
  };
  const patient = queue.waitForRoom(abort.signal);
  const impatient = new AbortController();
  const givesUp = queue.waitForRoom(impatient.signal);
  const last = queue.waitForRoom();
  impatient.abort(new Error("enough"));
  await assert.rejects(givesUp, /enough/);
  const one = new TestConsumer(queue.dispatcher);
  await world.quiet();
  one.take("a").ack();
  await patient;
  assert.equal(listeners, 0);
  queue.append(message("b"));
  await world.quiet();
  one.take("b").ack();
  await last;
  const aborted = new AbortController();
  aborted.abort(new Error("before"));
  await assert.rejects(queue.waitForRoom(aborted.signal), /before/);
  await broker.close();
});

test("wait: a failed commit, a purge and a dropped message let publishers in as well", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "wait" });
  world.disk.capacityBytes = world.disk.usedBytes;
  const failing = queue.append(message("x")).committed;
  let isIn = false;
  const waiting = queue.waitForRoom().then(() => {
    isIn = true;
  });
  await assert.rejects(failing, withCode("DISK_FULL"));
  await world.quiet();
  assert.equal(isIn, true);
  await waiting;
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await publish("a");
  const second = queue.waitForRoom();
  assert.equal(queue.purge(), 1);
  await second;
  await broker.close();
});

test("wait: closing the broker ends every wait", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "wait" });
  await publish("a");
  const waiting = queue.waitForRoom();
  const closing = broker.close();
  await assert.rejects(waiting, withCode("CLOSED"));
  await assert.rejects(queue.waitForRoom(), withCode("CLOSED"));
  await closing;
});

test("wait: so many may wait, then TOO_MANY_PENDING", async () => {
  const world = new BrokerWorld();
  const { broker, queue, publish } = await limited(world, { countMax: 1, overflow: "wait" });
  await publish("a");
  const waits: Promise<unknown>[] = [];
  for (let index = 0; index < 10_000; index += 1) waits.push(queue.waitForRoom().catch((error) => error));
  await assert.rejects(queue.waitForRoom(), withCode("TOO_MANY_PENDING"));
  await broker.close();
  assert.equal((await Promise.all(waits)).every(withCode("CLOSED")), true);
});
