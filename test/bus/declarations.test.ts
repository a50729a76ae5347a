// What is declared wrongly, or differs from what is there: who hears of it, how often, and what is left.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BrokerErrorCode,
  command,
  event,
  type GroupOptions,
  openBus,
  type QueueOptions,
  type ReadOptions,
  type ReceiveBatchOptions,
  type ReceiveOptions,
  type TopicOptions,
} from "../../src/index.js";
import { collect, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Work = command<number>("work");
const Placed = event<number>("order.placed");

const WRONG_HANDLER_OPTIONS: readonly (readonly [object, RegExp])[] = [
  [{ concurrency: 0 }, /concurrency is 0/],
  [{ concurrency: 1.5 }, /concurrency is 1.5/],
  [{ concurrency: "4" }, /concurrency is "4"/],
  [{ concurrency: Number.NaN }, /concurrency is NaN/],
  [{ concurrency: Number.POSITIVE_INFINITY }, /concurrency is Infinity/],
  [{ prefetch: 0 }, /prefetch is 0/],
  [{ concurrency: 10, prefetch: 9 }, /prefetch is 9; give at least 10/],
  [{ lease: 0 }, /lease is 0.*at least 1 ms/],
  [{ lease: "0s" }, /lease is "0s"/],
  [{ lease: -1 }, /lease is -1/],
  [{ lease: "5 minutes" }, /lease is "5 minutes"/],
  [{ timeout: 0 }, /timeout is 0/],
  [{ timeout: Number.POSITIVE_INFINITY }, /timeout is Infinity/],
  [{ timeout: {} }, /timeout is an object/],
  [{ timeout: 10n }, /timeout is 10/],
  [{ orderBy: "subject" }, /orderBy is "subject"; give one of none, key/],
  [{ onRetry: true }, /onRetry is true/],
  [{ batch: {} }, /batch\.max is undefined/],
  [{ batch: { max: 0 } }, /batch\.max is 0/],
  [{ batch: { max: 10, wait: "x" } }, /batch\.wait is "x"/],
  [{ batch: { size: 10 } }, /no option size of batch/],
  [{ batch: 10 }, /list of batch is 10/],
  [{ batch: { max: 200 }, prefetch: 100 }, /prefetch is 100; give at least 200/],
  [{ concurency: 5 }, /no option concurency/],
  [{ retry: { attempts: 0 } }, /retry\.attempts is 0/],
  [{ retry: 3 }, /list of retry is 3/],
];

test("every option of a handler that is out of its range is named, and nothing is registered or declared", async (t) => {
  const bus = await testBus(t);
  for (const [options, message] of WRONG_HANDLER_OPTIONS) {
    await failsWith("INVALID_OPTION", () => bus.handle(Work, options as object, () => undefined), message);
    const group = { group: "g", ...options };
    await failsWith("INVALID_OPTION", () => bus.on(Placed, group, () => undefined), message);
  }
  const any = (value: unknown) => value as never;
  await failsWith(
    "INVALID_OPTION",
    () => bus.on(Placed, any(undefined), () => undefined),
    /group is undefined/,
  );
  await failsWith("INVALID_OPTION", () => bus.on(Placed, any({ group: "" }), () => undefined), /group is ""/);
  await failsWith(
    "INVALID_OPTION",
    () => bus.on(Placed, any({ group: "g", from: "end" }), () => undefined),
    /from is "end"/,
  );
  await failsWith(
    "INVALID_OPTION",
    () => bus.on(Placed, any({ group: "g" }), any(undefined)),
    /handler of order.placed/,
  );
  await failsWith("INVALID_OPTION", () => bus.handle(Work, any("fast"), () => undefined), /"fast"/);
  await failsWith("INVALID_OPTION", () => bus.handle(Work, any({})), /handler of work is an object/);
  assert.deepEqual(bus.statistics().queues, []);
  assert.deepEqual(bus.statistics().topics, []);
  bus.handle(Work, any(undefined), () => undefined);
  bus.on(Placed, { group: "g" }, () => undefined);
  await bus.settled();
  assert.deepEqual(bus.errors, []);
});

const WRONG_QUEUE_OPTIONS: readonly (readonly [unknown, BrokerErrorCode, RegExp])[] = [
  [{ messageBytesMax: 0 }, "INVALID_OPTION", /messageBytesMax/],
  [{ messageBytesMax: 65 * 1024 * 1024 }, "INVALID_OPTION", /messageBytesMax/],
  [{ countMax: -1 }, "INVALID_OPTION", /countMax/],
  [{ bytesMax: 1.5 }, "INVALID_OPTION", /bytesMax/],
  [{ ageMax: "old" }, "INVALID_OPTION", /ageMax is "old"/],
  [{ ageMax: 0 }, "INVALID_OPTION", /ageMax is 0/],
  [{ inFlightMax: 0 }, "INVALID_OPTION", /inFlightMax/],
  [{ overflow: "explode" }, "INVALID_OPTION", /overflow/],
  [{ attemptsMax: 0 }, "INVALID_OPTION", /attemptsMax/],
  [{ deadLetter: "yes" }, "INVALID_OPTION", /deadLetter/],
  [{ durability: "eternal" }, "INVALID_OPTION", /durability/],
  [{ bind: "order.#" }, "INVALID_OPTION", /bind is "order.#"/],
  [{ bind: ["order.*", "a.>.b"] }, "INVALID_SUBJECT", /a\.>\.b/],
];

test("every option of a queue that is out of its range is named, and the queue is not made", async (t) => {
  const bus = await testBus(t);
  for (const [options, code, message] of WRONG_QUEUE_OPTIONS)
    await failsWith(code, () => bus.queue("q", options as QueueOptions).send("a"), message);
  await failsWith(
    "INVALID_OPTION",
    () => bus.queue("q", { maxCount: 5 } as QueueOptions),
    /no option maxCount/,
  );
  for (const name of ["", "a/b", "a b", "-a", "x".repeat(766), 5 as unknown as string])
    await failsWith("INVALID_NAME", () => bus.queue(name).declare());
  assert.deepEqual(bus.statistics().queues, []);
});

const WRONG_TOPIC_OPTIONS: readonly (readonly [unknown, RegExp])[] = [
  [{ partitions: 0 }, /partitions/],
  [{ partitions: 1025 }, /partitions/],
  [{ messageBytesMax: "1" }, /messageBytesMax/],
  [{ retention: { age: "x" } }, /retention\.age is "x"/],
  [{ retention: { age: 0 } }, /retention\.age is 0/],
  [{ retention: { bytes: 0 } }, /retention\.bytes is 0/],
  [{ retention: { count: -5 } }, /retention\.count is -5/],
  [{ retention: { days: 5 } }, /no option days of retention/],
  [{ retention: "7d" }, /list of retention is "7d"/],
  [{ compact: 1 }, /compact/],
  [{ durability: "none" }, /durability/],
];

test("every option of a topic that is out of its range is named, and the topic is not made", async (t) => {
  const bus = await testBus(t);
  for (const [options, message] of WRONG_TOPIC_OPTIONS)
    await failsWith("INVALID_OPTION", () => bus.topic("t", options as TopicOptions).declare(), message);
  await failsWith(
    "INVALID_OPTION",
    () => bus.topic("t", { partition: 5 } as TopicOptions),
    /no option partition/,
  );
  await failsWith("INVALID_NAME", () => bus.topic("a/b").declare());
  assert.deepEqual(bus.statistics().topics, []);
});

test("options of receiving, reading and browsing are checked, and named", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  const topic = bus.topic("t");
  const group = topic.group("g");
  const receive = (options: unknown, message: RegExp) =>
    Promise.all(
      [queue, group].map((source) =>
        failsWith("INVALID_OPTION", () => collect(source.receive(options as ReceiveOptions)), message),
      ),
    );
  const batch = (options: unknown, message: RegExp) =>
    Promise.all(
      [queue, group].map((source) =>
        failsWith("INVALID_OPTION", () => source.receiveBatch(options as ReceiveBatchOptions), message),
      ),
    );
  await receive({ prefetch: 0 }, /prefetch is 0/);
  await receive({ prefetch: 0.5 }, /prefetch is 0.5/);
  await receive({ lease: 0 }, /lease is 0/);
  await receive({ max: 5 }, /no option max/);
  await batch({}, /max is undefined/);
  await batch(undefined, /max is undefined/);
  await batch({ max: 0 }, /max is 0/);
  await batch({ max: 1, wait: -1 }, /wait is -1/);
  await batch({ max: 1, lease: "0ms" }, /lease is "0ms"/);
  const read = (options: unknown, message: RegExp) =>
    failsWith("INVALID_OPTION", () => collect(topic.read(options as ReadOptions)), message);
  await read({ from: -1 }, /from is -1/);
  await read({ from: Number.NaN }, /from is NaN/);
  await read({ from: "start" }, /from is "start"/);
  await read({ from: new Date(Number.NaN) }, /from/);
  await read({ limit: 0 }, /limit is 0/);
  await read({ follow: true }, /no option follow/);
  await failsWith("INVALID_OPTION", () => collect(queue.browse({ limit: -1 })), /limit is -1/);
  await failsWith("INVALID_OPTION", () => topic.group("g", { begin: 0 } as GroupOptions), /no option begin/);
  await failsWith("INVALID_OPTION", () => topic.group("g", { from: "end" as "new" }).declare(), /from/);
  await failsWith("INVALID_NAME", () => topic.group("a/b").declare());
  await failsWith("INVALID_SUBJECT", () => topic.publish("a", { subject: "a.*" }));
  assert.deepEqual(bus.statistics().queues, []);
});

test("options of a message are checked, and named", async (t) => {
  const bus = await testBus(t);
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ delay: "soon" }, /delay is "soon"/],
    [{ delay: -1 }, /delay is -1/],
    [{ delay: 1e300 }, /delay is 1e\+300/],
    [{ delay: 5n }, /delay is 5/],
    [{ deliverAt: "2026-01-01" }, /deliverAt/],
    [{ deliverAt: new Date(Number.NaN) }, /deliverAt/],
    [{ delay: "1s", deliverAt: new Date() }, /not both/],
    [{ expiresIn: "never" }, /expiresIn is "never"/],
    [{ id: 5 }, /id/],
    [{ id: "x".repeat(257) }, /id/],
    [{ key: 5 }, /key/],
  ];
  for (const [options, message] of wrong) {
    await failsWith("INVALID_OPTION", () => bus.send(Work, 1, options), message);
    await failsWith("INVALID_OPTION", () => bus.publish(Placed, 1, options), message);
    await failsWith("INVALID_OPTION", () => bus.queue("q").send("a", options), message);
    await failsWith("INVALID_OPTION", () => bus.topic("t").publish("a", options), message);
  }
  assert.deepEqual(bus.statistics().queues, []);
  assert.deepEqual(bus.statistics().topics, []);
});

test("what was declared differently is a mismatch that names the option, and the same is not", async (t) => {
  const bus = await testBus(t);
  await bus.queue("q", { countMax: 5, ageMax: "1h" }).declare();
  await bus.queue("q", { ageMax: 3_600_000 }).declare();
  await bus.queue("q").declare();
  await failsWith("QUEUE_MISMATCH", () => bus.queue("q", { countMax: 6 }).send("a"), /countMax 5.*6/);
  await bus.topic("t", { partitions: 2 }).declare();
  await failsWith("TOPIC_MISMATCH", () => bus.topic("t", { partitions: 3 }).publish("a"), /partitions 2.*3/);
  assert.equal((await bus.queue("q").statistics()).published, 0);
});

test("declarations at the same time become one", async (t) => {
  const bus = await testBus(t);
  await Promise.all([1, 2, 3].map(() => bus.queue("q").send("a")));
  const answers = await Promise.allSettled([1, 2].map((countMax) => bus.queue("r", { countMax }).declare()));
  assert.deepEqual(answers.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(bus.statistics().queues.length, 2);
});

test("a handler whose declaration fails is told of once by `ready` and once by onError, and may be tried again", async (t) => {
  const directory = await temporaryDirectory(t);
  const heard: string[] = [];
  const unhandled: unknown[] = [];
  const listen = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", listen);
  t.after(() => process.off("unhandledRejection", listen));
  const bus = await openBus(directory, { onError: (error, where) => heard.push(`${where}: ${error}`) });
  try {
    const Bad = event<number>("order.placed", { topic: "order" });
    const handling = bus.on(Bad, { group: "no/name" }, () => undefined);
    await failsWith("INVALID_NAME", () => handling.ready, /no\/name/);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(heard.length, 1);
    assert.match(heard[0]!, /starting the handler of order\.placed.*no\/name/);
    await handling.close();
    const again = bus.on(Bad, { group: "no/name" }, () => undefined);
    await failsWith("INVALID_NAME", () => again.ready);
    await bus.on(Bad, { group: "name" }, () => undefined).ready;
    assert.deepEqual(unhandled, []);
    assert.equal(heard.length, 2);
    await bus.publish(Bad, 1);
  } finally {
    await bus.close();
  }
});

test("what onError throws or rejects with harms nothing", async (t) => {
  const directory = await temporaryDirectory(t);
  const unhandled: unknown[] = [];
  const listen = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", listen);
  const written: string[] = [];
  const { error: original } = console;
  console.error = (text: string) => written.push(text);
  t.after(() => {
    process.off("unhandledRejection", listen);
    console.error = original;
  });
  const answers = [
    () => {
      throw new Error("onError threw");
    },
    () => Promise.reject(new Error("onError rejected")),
  ];
  const bus = await openBus(directory, { onError: () => answers.shift()?.() });
  try {
    for (const group of ["a/b", "c/d"]) {
      const { ready } = bus.on(Placed, { group }, () => undefined);
      await failsWith("INVALID_NAME", () => ready);
    }
    await bus.publish(Placed, 1);
  } finally {
    await bus.close();
  }
  assert.deepEqual(unhandled, []);
  assert.match(written.join("\n"), /a\/b[\s\S]*onError threw[\s\S]*c\/d[\s\S]*onError rejected/);
});

test("what was declared and stored is there again after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  const Keyed = event<number>("order.placed", { key: String });
  await withBus(directory, async (bus) => {
    await bus.topic("order", { partitions: 4 }).declare();
    await bus.queue("audit", { bind: ["order.#"], countMax: 100 }).declare();
    await bus.on(Keyed, { group: "g" }, () => undefined).ready;
    await bus.drain();
    await bus.publishMany(Keyed, [1, 2, 3]);
    await bus.send(Work, 1, { delay: "1h" });
  });
  await withBus(directory, async (bus) => {
    await failsWith("QUEUE_MISMATCH", () => bus.queue("audit", { countMax: 99 }).declare());
    assert.equal((await bus.topic("order").statistics()).partitions.length, 4);
    assert.equal((await bus.topic("order").group("g").statistics()).lag, 3);
    assert.equal((await collect(bus.queue("audit").browse())).length, 3);
    await bus.publish(Keyed, 4);
    assert.equal((await collect(bus.queue("audit").browse())).length, 4);
    const waiting = await bus.queue("work").receiveBatch({ max: 1 });
    assert.deepEqual(waiting, []);
  });
});

test("openBus says what it wants", async () => {
  const open = (target: unknown, options?: unknown) => () => openBus(target as string, options as object);
  await failsWith("INVALID_OPTION", open(""), /directory/);
  await failsWith("INVALID_OPTION", open(undefined), /path of a data directory/);
  await failsWith("INVALID_OPTION", open({}), /path of a data directory/);
  await failsWith("INVALID_OPTION", open("/tmp", { onerror: 1 }), /no option onerror/);
  await failsWith("INVALID_OPTION", open("/tmp", { onError: "log" }), /onError is "log"/);
});
