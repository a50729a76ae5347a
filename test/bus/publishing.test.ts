import assert from "node:assert/strict";
import { test } from "node:test";
import {
  command,
  type EngineFactory,
  event,
  isBrokerError,
  memory,
  openBus,
  type Receipt,
} from "../../src/index.js";
import { collect, deadLettersOf, deferred, diskBus, failsWith, testBus } from "../support/buses.js";

interface Order {
  readonly id: string;
  readonly total: number;
}

const OrderPlaced = event<Order>("order.placed", { key: (order) => order.id });
const OrderPaid = event<Order>("order.paid", { key: (order) => order.id });
const Reserve = command<{ readonly sku: string }>("stock.reserve");

function order(number: number): Order {
  return { id: `o-${number}`, total: number };
}

test("every group gets each event, and one of the handlers of a command gets it", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  for (const group of ["billing", "stock"])
    bus.on(OrderPlaced, { group }, ({ id }) => void seen.push(`${group} ${id}`));
  bus.handle(Reserve, ({ sku }) => void seen.push(`reserved ${sku}`));

  await bus.publish(OrderPlaced, order(1));
  await bus.publish(OrderPlaced, order(2));
  await bus.send(Reserve, { sku: "s" });
  await bus.settled();

  assert.deepEqual(seen.sort(), ["billing o-1", "billing o-2", "reserved s", "stock o-1", "stock o-2"]);
});

test("what is published right after `on` reaches the group, though its declaration has not ended", async (t) => {
  const bus = await diskBus(t);
  const seen: string[] = [];
  const done = deferred();
  bus.on(OrderPlaced, { group: "billing" }, ({ id }) => {
    seen.push(id);
    if (seen.length === 2) done.resolve();
  });
  await Promise.all([
    bus.publish(OrderPlaced, order(1)),
    bus.topic("order").publish(JSON.stringify(order(2)), { subject: "order.placed" }),
  ]);
  await done.promise;
  assert.deepEqual(seen.sort(), ["o-1", "o-2"]);
});

/** An engine that takes its time to declare a group. */
const slow: EngineFactory = {
  open: async (onError) => {
    const engine = await memory().open(onError);
    const declareSubscription: typeof engine.broker.declareSubscription = async (...group) => {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      return await engine.broker.declareSubscription(...group);
    };
    const broker = new Proxy(engine.broker, {
      get(target, name) {
        if (name === "declareSubscription") return declareSubscription;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    return { ...engine, broker };
  },
};

test("publishing waits for groups that are being declared, however long that takes, the first time and later", async () => {
  const bus = await openBus(slow);
  const seen: string[] = [];
  for (const group of ["first", "second"]) {
    bus.on(OrderPlaced, { group }, ({ id }) => void seen.push(`${group} ${id}`));
    await Promise.all([
      bus.publish(OrderPlaced, order(1)),
      bus.publishMany(OrderPlaced, [order(2)]),
      bus.topic("order").publish(JSON.stringify(order(3)), { subject: "order.placed" }),
    ]);
    while (seen.filter((one) => one.startsWith(group)).length < 3)
      await new Promise((resolve) => setImmediate(resolve));
  }
  await bus.close();
});

test("two handlers of one group share its events by type, and a later one gets what waited for it", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  const placed = bus.on(OrderPlaced, { group: "billing" }, ({ id }) => void seen.push(`placed ${id}`));
  const paid = bus.on(OrderPaid, { group: "billing" }, ({ id }) => void seen.push(`paid ${id}`));
  await bus.publish(OrderPaid, order(1));
  await bus.publish(OrderPlaced, order(2));
  await bus.settled();
  assert.deepEqual(seen.sort(), ["paid o-1", "placed o-2"]);

  await paid.close();
  seen.length = 0;
  await bus.publish(OrderPaid, order(3));
  await bus.publish(OrderPlaced, order(4));
  await bus.settled();
  assert.deepEqual(seen, ["placed o-4"]);
  assert.match(String(bus.errors[0]?.error), /NO_HANDLER|no handler for them/);

  bus.on(OrderPaid, { group: "billing" }, ({ id }) => void seen.push(`paid again ${id}`));
  await bus.advance("10s");
  assert.deepEqual(seen, ["placed o-4", "paid again o-3"]);
  assert.deepEqual(await deadLettersOf(bus), []);
  await placed.close();
});

test("a receipt names the place, and its id is the message's in every attempt, dead letter and replay", async (t) => {
  const bus = await testBus(t);
  const ids: string[] = [];
  bus.on(
    OrderPlaced,
    { group: "g", retry: { attempts: 3, delay: "1s", jitter: 0 } },
    (_value, { message }) => {
      ids.push(message.id);
      throw new Error("no");
    },
  );
  bus.handle(Reserve, { retry: { attempts: 1 } }, (_value, { message }) => {
    ids.push(message.id);
    throw new Error("no");
  });
  const published = await bus.publish(OrderPlaced, order(1));
  const sent = await bus.send(Reserve, { sku: "a" });
  assert.deepEqual(JSON.parse(JSON.stringify(published)), {
    id: "order/0:0",
    destination: "order",
    partition: 0,
    offset: 0,
    timestampMs: bus.clock.nowMs(),
  });
  assert.equal(sent.id, "stock.reserve:0");
  assert.equal(sent.partition, undefined);

  await bus.advance("10s");
  assert.deepEqual(ids.sort(), [published.id, published.id, published.id, sent.id]);
  assert.deepEqual((await deadLettersOf(bus)).map(({ id }) => id).sort(), [published.id, sent.id]);

  ids.length = 0;
  assert.equal(await bus.deadLetters.replay({}), 2);
  await bus.advance("10s");
  assert.deepEqual(ids.sort(), [published.id, published.id, published.id, sent.id]);
  assert.deepEqual((await deadLettersOf(bus)).map(({ id }) => id).sort(), [published.id, sent.id]);
});

test("an id that was given is the message's, in the receipt too", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.handle(Reserve, (_value, { message }) => void seen.push(message.id));
  const receipt = await bus.send(Reserve, { sku: "a" }, { id: "r-1" });
  await bus.settled();
  assert.equal(receipt.id, "r-1");
  assert.deepEqual(seen, ["r-1"]);
  await failsWith("INVALID_OPTION", () => bus.send(Reserve, { sku: "a" }, { id: "" }), /id/);
  await failsWith(
    "INVALID_OPTION",
    () => bus.sendMany(Reserve, [{ sku: "a" }, { sku: "b" }], { id: "x" }),
    /id/,
  );
});

test("publishMany and sendMany keep the order and give a receipt each", async (t) => {
  const bus = await diskBus(t);
  const orders = Array.from({ length: 1_000 }, (_, number) => order(number));
  const receipts = await bus.publishMany(OrderPlaced, orders);
  assert.deepEqual(
    receipts.map(({ offset }) => offset),
    orders.map((_, index) => index),
  );
  const stored = await collect(bus.topic("order").read());
  assert.deepEqual(
    stored.map((message) => message.json<Order>().id),
    orders.map(({ id }) => id),
  );
  assert.deepEqual(await bus.publishMany(OrderPlaced, []), []);
  const sent = await bus.sendMany(Reserve, [{ sku: "a" }, { sku: "b" }]);
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    [0, 1],
  );
});

test("of sendMany all are taken or none", async (t) => {
  const bus = await testBus(t);
  const Large = command<string>("large");
  await bus.queue("large", { messageBytesMax: 10, countMax: 4 }).declare();
  await failsWith("MESSAGE_TOO_LARGE", () => bus.sendMany(Large, ["a", "b", "x".repeat(20)]));
  await failsWith("QUEUE_FULL", () => bus.sendMany(Large, ["a", "b", "c", "d", "e"]));
  await failsWith("MESSAGE_TOO_LARGE", () => bus.queue("large").sendMany(["a", "x".repeat(20)]));
  assert.deepEqual(await collect(bus.queue("large").browse()), []);
  await bus.sendMany(Large, ["a", "b", "c", "d"]);
  assert.equal((await bus.queue("large").statistics()).waiting, 4);

  const Wide = event<string>("wide.a", { key: (text) => text });
  await bus.topic("wide", { partitions: 4, messageBytesMax: 10 }).declare();
  await failsWith("MESSAGE_TOO_LARGE", () => bus.publishMany(Wide, ["a", "b", "c", "x".repeat(20)]));
  const { partitions } = await bus.topic("wide").statistics();
  assert.deepEqual(
    partitions.map(({ highWatermark }) => highWatermark),
    [0, 0, 0, 0],
  );
});

test("what was refused with others does not count against the limits of its queue", async (t) => {
  const bus = await testBus(t);
  const queue = await bus.queue("audit", { bytesMax: 100, bind: ["order.#"] }).declare();
  const Noted = event<string>("order.noted");
  for (let round = 0; round < 3; round += 1) {
    await failsWith("QUEUE_FULL", () => queue.sendMany(["x".repeat(60), "x".repeat(60)]));
    await failsWith("QUEUE_FULL", () => bus.publishMany(Noted, ["x".repeat(48), "x".repeat(58)]));
  }
  await bus.publish(Noted, "x".repeat(48));
  await queue.send("x".repeat(50));
  assert.equal((await collect(queue.browse())).length, 2);
  assert.equal((await collect(bus.topic("order").read())).length, 1);
});

test("calls that are not awaited keep their order, and the value that each was given", async (t) => {
  const bus = await diskBus(t);
  const value = { id: "", total: 0 };
  const pending: Promise<Receipt>[] = [];
  for (let number = 0; number < 50; number += 1) {
    value.total = number;
    pending.push(bus.publish(OrderPlaced, value));
  }
  await Promise.all(pending);
  const stored = await collect(bus.topic("order").read());
  assert.deepEqual(
    stored.map((message) => message.json<Order>().total),
    pending.map((_, index) => index),
  );
});

test("events of one key share a partition, and the key is the type's unless the caller gives another", async (t) => {
  const bus = await testBus(t);
  await bus.topic("order", { partitions: 8 }).declare();
  const receipts = await bus.publishMany(
    OrderPlaced,
    Array.from({ length: 40 }, (_, number) => order(number % 4)),
  );
  const places = new Map<number, Set<number | undefined>>();
  for (const [index, { partition }] of receipts.entries()) {
    const partitions = places.get(index % 4) ?? new Set();
    places.set(index % 4, partitions.add(partition));
  }
  for (const partitions of places.values()) assert.equal(partitions.size, 1);
  const { partition } = await bus.publish(OrderPlaced, order(0), { key: "o-1" });
  assert.deepEqual([...places.get(1)!], [partition]);
  const keys = (await collect(bus.topic("order").read({ partition: partition! }))).map(({ key }) => key);
  assert.ok(keys.includes("o-1"));
});

test("a delayed message comes at its time, and one that expired before goes to the dead letters", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  await bus.send(Reserve, { sku: "in 10 s" }, { delay: "10s" });
  await bus.send(Reserve, { sku: "at" }, { deliverAt: new Date(bus.clock.nowMs() + 5_000) });
  await bus.send(Reserve, { sku: "past" }, { deliverAt: new Date(0) });
  await bus.send(Reserve, { sku: "short" }, { expiresIn: "1s" });
  await bus.send(Reserve, { sku: "late" }, { delay: "3s", expiresIn: "2s" });
  await bus.advance("2s");
  bus.handle(Reserve, ({ sku }) => void seen.push(sku));
  await bus.settled();
  assert.deepEqual(seen, ["past"]);
  await bus.advance("4s");
  assert.deepEqual(seen, ["past", "at"]);
  await bus.advance("10s");
  assert.deepEqual(seen, ["past", "at", "in 10 s"]);
  const dead = await deadLettersOf(bus);
  assert.deepEqual(dead.map(({ reason, message }) => [reason, message.json<{ sku: string }>().sku]).sort(), [
    ["expired", "late"],
    ["expired", "short"],
  ]);
});

test("a queue that is bound to a pattern gets the events, beside the groups", async (t) => {
  const bus = await testBus(t);
  await bus.queue("audit", { bind: ["order.*", "#.paid"] }).declare();
  await bus.queue("all", { bind: [">"] }).declare();
  const seen: string[] = [];
  bus.on(OrderPaid, { group: "g" }, ({ id }) => void seen.push(id));
  const receipt = await bus.publish(OrderPaid, order(1));
  await bus.publish(OrderPlaced, order(2));
  await bus.settled();
  assert.equal(receipt.destination, "order");
  assert.deepEqual(seen, ["o-1"]);
  for (const name of ["audit", "all"]) {
    const messages = await collect(bus.queue(name).browse());
    assert.deepEqual(
      messages.map(({ subject }) => subject),
      ["order.paid", "order.placed"],
    );
  }
});

test("an event is refused as a whole when a queue that is bound to it is full", async (t) => {
  const bus = await testBus(t);
  await bus.queue("audit", { bind: ["order.#"], countMax: 1 }).declare();
  await bus.publish(OrderPlaced, order(1));
  await failsWith("QUEUE_FULL", () => bus.publish(OrderPlaced, order(2)), /audit/);
  assert.equal((await collect(bus.topic("order").read())).length, 1);
});

test("publishers wait for room where the queue makes them, each until its turn or its signal", async (t) => {
  const bus = await testBus(t);
  await bus.queue("stock.reserve", { countMax: 2, overflow: "wait" }).declare();
  const abort = new AbortController();
  const given = bus.send(Reserve, { sku: "given up" }, { signal: abort.signal });
  await given;
  const sending = bus.sendMany(
    Reserve,
    ["b", "c", "d", "e"].map((sku) => ({ sku })),
  );
  const alone = bus.send(Reserve, { sku: "f" });
  const aborted = bus.send(Reserve, { sku: "never" }, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  const seen: string[] = [];
  bus.handle(Reserve, ({ sku }) => void seen.push(sku));
  assert.equal((await sending).length, 4);
  await alone;
  await bus.settled();
  assert.deepEqual(seen.sort(), ["b", "c", "d", "e", "f", "given up"]);
});

test("a signal that has aborted stops a call before it does anything, and one that aborts later ends the wait", async (t) => {
  const bus = await testBus(t);
  const signal = AbortSignal.abort(new Error("stop"));
  const many = [{ sku: "a" }];
  await assert.rejects(bus.send(Reserve, many[0]!, { signal }), /stop/);
  await assert.rejects(bus.sendMany(Reserve, many, { signal }), /stop/);
  await assert.rejects(bus.publish(OrderPlaced, order(1), { signal }), /stop/);
  await assert.rejects(bus.queue("q").send("a", { signal }), /stop/);
  await assert.rejects(bus.topic("t").publish("a", { signal }), /stop/);
  assert.deepEqual(bus.statistics().queues, []);
  assert.deepEqual(bus.statistics().topics, []);

  const abort = new AbortController();
  const sending = bus.send(Reserve, { sku: "a" }, { signal: abort.signal });
  abort.abort(new Error("stop"));
  await assert.rejects(sending, /stop/);
});

test("many waits on one signal raise no warning of a leak", async (t) => {
  const bus = await testBus(t);
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on("warning", listen);
  t.after(() => process.off("warning", listen));
  const { signal } = new AbortController();
  await Promise.all(
    Array.from({ length: 100 }, (_, number) => bus.send(Reserve, { sku: String(number) }, { signal })),
  );
  for (let number = 0; number < 20; number += 1) bus.subscribe("#", { signal });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});

test("callers without types are told which verb a message is for, before and after it was used rightly", async (t) => {
  const bus = await testBus(t);
  const anything = (value: unknown) => value as never;
  for (let round = 0; round < 2; round += 1) {
    await failsWith(
      "INVALID_OPTION",
      () => bus.publish(anything(Reserve), anything({})),
      /send commands with send/,
    );
    await failsWith(
      "INVALID_OPTION",
      () => bus.send(anything(OrderPlaced), anything({})),
      /publish events with/,
    );
    await failsWith("INVALID_OPTION", () => bus.publishMany(anything(Reserve), []), /send commands/);
    await failsWith("INVALID_OPTION", () => bus.sendMany(anything(OrderPlaced), []), /publish events/);
    await failsWith("INVALID_OPTION", () => bus.publish(anything(undefined), anything({})), /event\(\)/);
    await failsWith(
      "INVALID_OPTION",
      () => bus.on(anything(Reserve), { group: "g" }, () => undefined),
      /command/,
    );
    await failsWith("INVALID_OPTION", () => bus.handle(anything(OrderPlaced), () => undefined), /event/);
    await bus.send(Reserve, { sku: "a" });
    await bus.publish(OrderPlaced, order(1));
  }
});

test("an unhandled command in a shared queue is dead-lettered with its reason, once a handler of the queue is there", async (t) => {
  const bus = await testBus(t);
  const A = command<number>("a", { queue: "work" });
  const B = command<number>("b", { queue: "work" });
  const seen: number[] = [];
  await bus.send(B, 1);
  bus.handle(A, (value) => void seen.push(value));
  await bus.send(A, 2);
  await bus.queue("work").send("3");
  await bus.settled();
  assert.deepEqual(seen, [2]);
  const dead = await deadLettersOf(bus);
  assert.deepEqual(dead.map(({ reason, subject }) => [reason, subject]).sort(), [
    ["unknown-type", "b"],
    ["unknown-type", "work"],
  ]);
  assert.match(dead[0]!.error, /no handler/);
});

test("errors are BrokerErrors, so that programs can tell them apart", async (t) => {
  const bus = await testBus(t);
  const error = await bus
    .send(Reserve, { sku: "a" }, { delay: "soon" as "1s" })
    .catch((thrown: unknown) => thrown);
  assert.ok(isBrokerError(error, "INVALID_OPTION"));
  assert.equal(error.context["option"], "delay");
});
