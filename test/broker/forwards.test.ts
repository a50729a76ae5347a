import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { isBrokerError } from "../../src/broker-error.js";
import type { StoredRecord } from "../../src/log/record.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { withCode } from "../support/with-code.js";

/** A queue `in` whose messages are moved to the topic `events` over the bus. */
async function forwarding(world: BrokerWorld, messages: number): Promise<Broker> {
  const broker = await world.open();
  const queue = await broker.declareQueue("in");
  await broker.declareTopic("events");
  await broker.bind({ to: { kind: "topic", name: "events" }, pattern: "moved.#" });
  for (let i = 0; i < messages; i += 1) queue.append(message(String(i)));
  await broker.flush();
  return broker;
}

async function records(broker: Broker, topic = "events"): Promise<StoredRecord[]> {
  const found: StoredRecord[] = [];
  for await (const record of broker.topic(topic)!.read(0, { offset: 0 })) found.push(record);
  return found;
}

const texts = (found: readonly StoredRecord[]): string[] => found.map((record) => record.valueText());

async function waiting(broker: Broker, queue: string): Promise<string[]> {
  const found: StoredRecord[] = [];
  for await (const { record } of broker.queue(queue)!.browse()) found.push(record);
  return texts(found);
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

test("a forward moves what waits and what comes, in order, with key, headers, id and a subject", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  const queue = broker.queue("in")!;
  queue.append(message("a", { subject: "in", key: "k", headers: { colour: "red" } }));
  queue.append(message("b", { subject: "in", id: "given" }));
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  await world.quiet();
  queue.append(message("c", { subject: "in" }));
  await world.quiet();
  const found = await records(broker);
  assert.deepEqual(texts(found), ["a", "b", "c"]);
  const [a, b, c] = found;
  assert.deepEqual([a!.keyText(), a!.header("colour")?.toString()], ["k", "red"]);
  assert.deepEqual(
    found.map((record) => record.header("omnibus-id")?.toString()),
    ["in:0", "given", "in:2"],
  );
  for (const record of [a, b, c]) assert.equal(record!.header("omnibus-subject")?.toString(), "moved.on");
  assert.deepEqual(await waiting(broker, "in"), []);
  assert.equal(queue.dispatcher.counters.settled, 3);
  assert.ok(broker.isIdle);
  await broker.close();
});

test("a forward to an exchange keeps each message's subject, and reaches all that it leads to", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  for (const name of ["one", "two"]) await broker.declareQueue(name);
  await broker.declareExchange("x", { kind: "direct" });
  await broker.bind({ from: "x", to: { kind: "queue", name: "one" }, pattern: "a" });
  await broker.bind({ from: "x", to: { kind: "queue", name: "two" }, pattern: "a" });
  await broker.bind({ from: "x", to: { kind: "queue", name: "two" }, pattern: "b" });
  await broker.declareForward({ queue: "in", exchange: "x" });
  for (const subject of ["a", "b"]) broker.queue("in")!.append(message(subject, { subject }));
  await world.quiet();
  assert.deepEqual([await waiting(broker, "one"), await waiting(broker, "two")], [["a"], ["a", "b"]]);
  await broker.close();
});

test("however often the power fails, each message is moved once, and in order", async () => {
  const total = 1_600;
  let interrupted = 0;
  for (let seed = 1; seed <= 5; seed += 1) {
    const world = new BrokerWorld(seed);
    let broker = await forwarding(world, total);
    await broker.declareQueue("copy");
    await broker.bind({ to: { kind: "queue", name: "copy" }, pattern: "moved.#" });
    await broker.declareForward({ queue: "in", subject: "moved.on" });
    for (let life = 0; life < 4; life += 1) {
      await world.turns(world.random.uint32() % 12);
      if (life % 2 === 0) world.crash(life === 0);
      else await broker.close();
      broker = await world.open();
      const done = broker.topic("events")!.partitions[0]!.highWatermark;
      if (done > 0 && done < total) interrupted += 1;
      const queue = broker.queue("in")!;
      assert.equal(queue.count, total - done, `seed ${seed}, life ${life}`);
      assert.equal(queue.states[0]!.failureOf(done), undefined, "a crash was counted as a try");
    }
    await world.quiet();
    assert.deepEqual(texts(await records(broker)), numbers(total), `seed ${seed}`);
    assert.deepEqual(await waiting(broker, "copy"), numbers(total), `seed ${seed}`);
    assert.deepEqual(await waiting(broker, "in"), []);
    await broker.close();
  }
  assert.ok(interrupted > 1, `only ${interrupted} were interrupted half way`);
});

test("a forward waits for room where it leads, and goes on in order", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 10);
  const small = await broker.declareQueue("small", { countMax: 3 });
  await broker.bind({ to: { kind: "queue", name: "small" }, pattern: "moved.#" });
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  await world.quiet();
  assert.deepEqual(await waiting(broker, "small"), ["0", "1", "2"]);
  // What could not go to one of them went to none.
  assert.deepEqual(texts(await records(broker)), ["0", "1", "2"]);
  await world.pass(5_000);
  assert.deepEqual(await waiting(broker, "in"), numbers(10).slice(3));
  for (let left = 10; left > 0; left -= 3) {
    small.purge();
    await world.pass(1_000);
  }
  assert.deepEqual(texts(await records(broker)), numbers(10));
  assert.deepEqual(world.reported, []);
  const counters = broker.queue("in")!.dispatcher.counters;
  assert.deepEqual([counters.settled, counters.deadLettered], [10, 0]);
  await broker.close();
});

test("a full disk holds a forward up, is reported once, and loses and doubles nothing", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 20);
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  world.disk.capacityBytes = world.disk.usedBytes;
  await world.pass(3_000);
  assert.deepEqual(texts(await records(broker)), []);
  assert.equal(world.reported.filter(({ where }) => where === "forwarding queue in").length, 1);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.pass(3_000);
  assert.deepEqual(texts(await records(broker)), numbers(20));
  await broker.close();
});

test("what leads nowhere, or is too large, becomes a dead letter and holds nothing up", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  await broker.declareTopic("tiny", { messageBytesMax: 4 });
  await broker.bind({ to: { kind: "topic", name: "tiny" }, pattern: "tiny" });
  const queue = broker.queue("in")!;
  for (const [subject, value] of [
    ["nowhere", "a"],
    ["tiny", "large one"],
    ["moved.on", "b"],
  ] as const)
    queue.append(message(value, { subject }));
  await broker.declareForward({ queue: "in" });
  await world.quiet();
  assert.deepEqual(texts(await records(broker)), ["b"]);
  const dead: string[][] = [];
  for await (const { record, history } of broker.deadLetters.list("in"))
    dead.push([record.valueText(), history[0]!.reason, history[0]!.error]);
  assert.deepEqual(
    dead.map(([value, reason]) => [value, reason]),
    [
      ["a", "unroutable"],
      ["large one", "unroutable"],
    ],
  );
  assert.match(
    dead[0]![2]!,
    /Queue in forwards to the bus, where nothing else is bound that the subject nowhere/,
  );
  assert.match(dead[1]![2]!, /takes at most 4/);
  await broker.close();
});

test("a queue gets nothing back from its own forward, and a circle of several comes to an end", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  await broker.bind({ to: { kind: "queue", name: "in" }, pattern: "#" });
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  broker.queue("in")!.append(message("alone"));
  await world.quiet();
  assert.deepEqual(texts(await records(broker)), ["alone"]);
  assert.deepEqual(await waiting(broker, "in"), []);

  await broker.unbind({ to: { kind: "queue", name: "in" }, pattern: "#" });

  const circle = ["round", "about"] as const;
  for (const name of circle) await broker.declareQueue(name);
  for (const [at, name] of circle.entries()) {
    await broker.bind({ to: { kind: "queue", name }, pattern: name });
    await broker.declareForward({ queue: name, subject: circle[1 - at]! });
  }
  broker.queue("round")!.append(message("dizzy"));
  await world.pass(1_000);
  const dead: string[] = [];
  for await (const { history } of broker.deadLetters.list()) dead.push(history[0]!.error);
  assert.equal(dead.length, 1);
  assert.match(dead[0]!, /16 times/);
  await broker.close();
});

test("a forward whose exchange was deleted waits until it is there again", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  await broker.declareQueue("out");
  const declare = async (): Promise<void> => {
    await broker.declareExchange("x", { kind: "fanout" });
    await broker.bind({ from: "x", to: { kind: "queue", name: "out" } });
  };
  await declare();
  await broker.declareForward({ queue: "in", exchange: "x" });
  await broker.deleteExchange("x");
  broker.queue("in")!.append(message("a"));
  await world.pass(5_000);
  assert.deepEqual(await waiting(broker, "in"), ["a"]);
  assert.equal(world.reported.length, 1);
  assert.ok(isBrokerError(world.reported[0]!.error, "EXCHANGE_NOT_FOUND"));
  await declare();
  await world.pass(1_000);
  assert.deepEqual([await waiting(broker, "in"), await waiting(broker, "out")], [[], ["a"]]);
  await broker.close();
});

test("a forward goes on after a restart, but not where the broker only looks, and ends when it is removed", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  const looking = await world.open({ readOnly: true });
  assert.deepEqual(looking.forwards, [{ queue: "in", exchange: "", subject: "moved.on" }]);
  assert.equal(looking.queue("in")!.dispatcher.consumers.length, 0);
  await looking.close();
  await broker.close();
  const again = await world.open();
  again.queue("in")!.append(message("a"));
  await world.quiet();
  assert.deepEqual(texts(await records(again)), ["a"]);
  await again.removeForward("in");
  await again.removeForward("in");
  again.queue("in")!.append(message("b"));
  await world.quiet();
  assert.deepEqual([await waiting(again, "in"), again.forwards], [["b"], []]);
  await again.close();
  const last = await world.open();
  await world.quiet();
  assert.deepEqual(await waiting(last, "in"), ["b"]);
  await last.declareForward({ queue: "in", subject: "moved.again" });
  await world.quiet();
  assert.deepEqual(texts(await records(last)), ["a", "b"]);
  await last.close();
});

test("a forward needs its queue and its exchange, and is one", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 0);
  await broker.declareExchange("x");
  await assert.rejects(broker.declareForward({ queue: "none" }), withCode("QUEUE_NOT_FOUND"));
  await assert.rejects(broker.declareForward({ queue: "dead/in" }), withCode("INVALID_NAME"));
  await assert.rejects(broker.declareForward({ queue: "in", exchange: "y" }), withCode("EXCHANGE_NOT_FOUND"));
  await assert.rejects(broker.declareForward({ queue: "in", subject: "a.*" }), withCode("INVALID_SUBJECT"));
  assert.deepEqual(broker.forwards, []);
  await Promise.all([
    broker.declareForward({ queue: "in", exchange: "x", subject: "s" }),
    broker.declareForward({ queue: "in", exchange: "x", subject: "s" }),
  ]);
  assert.equal(broker.queue("in")!.dispatcher.consumers.length, 1);
  await broker.declareForward({ queue: "in" });
  await assert.rejects(
    broker.declareForward({ queue: "in", exchange: "", subject: "t" }),
    withCode("FORWARD_MISMATCH", /forward of queue in .*exchange "x", subject "s".*exchange "", subject "t"/),
  );
  await broker.close();
});

test("a queue that is deleted takes its forward with it", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 300);
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  await world.turns(3);
  await broker.deleteQueue("in");
  assert.deepEqual(broker.forwards, []);
  const found = texts(await records(broker));
  assert.deepEqual(found, numbers(300).slice(0, found.length));
  await broker.declareQueue("in");
  broker.queue("in")!.append(message("stays"));
  await world.quiet();
  assert.deepEqual(await waiting(broker, "in"), ["stays"]);
  await broker.close();
  const again = await world.open();
  assert.deepEqual(again.forwards, []);
  await again.close();
});

test("a forward that waits is no consumer that leaves: its queue stays, whatever deletes queues that are left", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("in", { autoDelete: true });
  const small = await broker.declareQueue("small", { countMax: 1 });
  await broker.bind({ to: { kind: "queue", name: "small" }, pattern: "s" });
  for (const value of ["a", "b"]) queue.append(message(value));
  await broker.declareForward({ queue: "in", subject: "s" });
  await world.pass(10_000);
  assert.deepEqual([await waiting(broker, "in"), await waiting(broker, "small")], [["b"], ["a"]]);
  small.purge();
  await world.pass(1_000);
  assert.deepEqual([await waiting(broker, "in"), await waiting(broker, "small")], [[], ["b"]]);
  await broker.close();
});

test("a forward to a topic that knows an id already settles the message and stores it nowhere", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("in");
  await broker.declareTopic("events", { deduplicateMs: 60_000 });
  await broker.bind({ to: { kind: "topic", name: "events" }, pattern: "moved" });
  for (const [value, id] of [
    ["a", "1"],
    ["b", "2"],
    ["a again", "1"],
  ] as const)
    queue.append(message(value, { id }));
  await broker.declareForward({ queue: "in", subject: "moved" });
  await world.quiet();
  queue.append(message("b again", { id: "2" }));
  await world.quiet();
  assert.deepEqual(texts(await records(broker)), ["a", "b"]);
  assert.deepEqual([await waiting(broker, "in"), queue.dispatcher.counters.deadLettered], [[], 0]);
  await broker.close();
  const again = await world.open();
  assert.deepEqual(await waiting(again, "in"), []);
  await again.close();
});

test("a queue that is paused is not forwarded, and goes on when it is resumed", async () => {
  const world = new BrokerWorld();
  const broker = await forwarding(world, 3);
  await broker.pauseQueue("in");
  await broker.declareForward({ queue: "in", subject: "moved.on" });
  await world.pass(5_000);
  assert.deepEqual(await waiting(broker, "in"), numbers(3));
  await broker.resumeQueue("in");
  await world.quiet();
  assert.deepEqual(texts(await records(broker)), numbers(3));
  await broker.close();
});

test("a forward that is declared while its queue is deleted is refused, or goes with it", async () => {
  for (const order of [0, 1]) {
    const world = new BrokerWorld();
    const broker = await forwarding(world, 1);
    const declare = (): Promise<unknown> => broker.declareForward({ queue: "in", subject: "moved.on" });
    const remove = (): Promise<unknown> => broker.deleteQueue("in");
    const both = order === 0 ? [declare(), remove()] : [remove(), declare()];
    const [, last] = await Promise.allSettled(both);
    if (order === 1) assert.ok(last!.status === "rejected" && isBrokerError(last!.reason, "QUEUE_NOT_FOUND"));
    assert.deepEqual(broker.forwards, []);
    await broker.close();
    const again = await world.open();
    assert.deepEqual(again.forwards, []);
    await again.close();
  }
});
