import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import {
  type Bus,
  command,
  type EmbeddedCapabilities,
  event,
  isBrokerError,
  type ProducerOptions,
  type Receipt,
} from "../../src/index.js";
import { collect, deferred, diskBus, failsWith, testBus } from "../support/buses.js";

const Reading = event<number>("reading.taken");
const Job = command<number>("job.run");

/** What is in the log of a topic, in order. */
async function storedIn(bus: Bus<EmbeddedCapabilities>, topic: string): Promise<unknown[]> {
  return (await collect(bus.topic(topic).read())).map((message) => message.json());
}

test("send resolves with the receipt of a message that is stored, of events, commands and bodies", async (t) => {
  const bus = await diskBus(t);
  const receipt = await bus.producer(Reading).send(21, { id: "r-1", headers: { room: "5" } });
  assert.equal(receipt.id, "r-1");
  const [stored] = await collect(bus.topic("reading").read());
  assert.deepEqual([stored?.value, stored?.id, stored?.headers], [21, "r-1", { room: "5" }]);
  assert.equal((await bus.producer(Job).send(1)).id, "job.run:0");
  assert.equal((await bus.producer("bodies").send("text")).destination, "bodies");
  const limited = bus.queue("limited", { messageBytesMax: 3 }).producer();
  await failsWith("MESSAGE_TOO_LARGE", () => limited.send("text"));
  const topic = bus.topic("bodies").producer({ subject: "bodies.raw" });
  await topic.send("text", { contentType: "text/plain" });
  const [body] = await collect(bus.topic("bodies").read());
  assert.deepEqual([body?.subject, body?.value], ["bodies.raw", "text"]);
});

test("messages are stored in the order in which the producer took them", async (t) => {
  const bus = await diskBus(t);
  const producer = bus.producer(Reading, { batchMax: 7 });
  const sent: Promise<Receipt>[] = [];
  for (let number = 0; number < 100; number += 1) {
    if (number % 3 === 0) sent.push(producer.send(number));
    else producer.enqueue(number);
  }
  await producer.flush();
  assert.deepEqual(
    await storedIn(bus, "reading"),
    Array.from({ length: 100 }, (_, number) => number),
  );
  assert.deepEqual(
    (await Promise.all(sent)).map(({ offset }) => offset),
    Array.from({ length: 34 }, (_, index) => index * 3),
  );
});

test("enqueue answers a callback, or who asks for the receipt, at once or later", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading);
  const heard: unknown[] = [];
  producer.enqueue(1, (error, receipt) => heard.push([error, receipt?.offset]));
  producer.enqueue(2, { id: "r-2" }, (error, receipt) => heard.push([error, receipt?.id]));
  const third = producer.enqueue(3);
  const soon = third.receipt;
  const fourth = producer.enqueue(4, { key: "k" });
  await producer.flush();
  assert.deepEqual(heard, [
    [undefined, 0],
    [undefined, "r-2"],
  ]);
  assert.equal((await soon).offset, 2);
  assert.equal((await third.receipt).offset, 2);
  assert.equal((await fourth.receipt).offset, 3);
});

test("what is wrong with a message is thrown by enqueue and rejected by send, and takes no place", async (t) => {
  const bus = await testBus(t);
  const Checked = event("checked.sent", { schema: z.object({ id: z.string() }) });
  const producer = bus.producer(Checked, { pendingMax: 1 });
  for (let round = 0; round < 3; round += 1) {
    await failsWith("INVALID_PAYLOAD", () => producer.enqueue({ id: 5 } as never), /checked\.sent/);
    await failsWith("INVALID_PAYLOAD", () => producer.send({} as never), /checked\.sent/);
    await failsWith("INVALID_OPTION", () => producer.send({ id: "1" }, { id: "" }), /id/);
  }
  await producer.send({ id: "1" });
  const { pending, acknowledged } = producer.statistics;
  assert.deepEqual([pending, acknowledged], [0, 1]);
});

test("a schema that takes its time is waited for, and what it refuses is told", async (t) => {
  const bus = await testBus(t);
  const schema = z.number().refine(async (value) => value > 0, "is not positive");
  const producer = bus.producer(event("slow.checked", { schema }));
  const heard: unknown[] = [];
  const refused = producer.enqueue(-1, (error) => heard.push(isBrokerError(error, "INVALID_PAYLOAD")));
  await failsWith("INVALID_PAYLOAD", () => refused.receipt);
  await failsWith("INVALID_PAYLOAD", () => producer.send(-2));
  assert.equal((await producer.send(1)).offset, 0);
  assert.deepEqual(heard, [true]);
});

test("when pendingMax messages are under way, enqueue throws and send waits for its turn", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { pendingMax: 2, linger: "1h" });
  producer.enqueue(1);
  producer.enqueue(2);
  await failsWith("TOO_MANY_PENDING", () => producer.enqueue(3), /2 messages have no receipt.*pendingMax/);
  const waiting = [producer.send(3), producer.send(4)];
  await failsWith("TOO_MANY_PENDING", () => producer.enqueue(5));
  assert.deepEqual([producer.statistics.pending, producer.statistics.waiting], [2, 2]);
  assert.deepEqual(bus.statistics().topics, []);
  await producer.flush();
  await bus.settled();
  await producer.flush();
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ offset }) => offset),
    [2, 3],
  );
  assert.deepEqual(await storedIn(bus, "reading"), [1, 2, 3, 4]);
});

test("no more than 10,000 calls wait for a place", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { pendingMax: 1, linger: "1h" });
  producer.enqueue(0);
  const waiting = Array.from({ length: 10_000 }, () => producer.send(1));
  for (const one of waiting) one.catch(() => undefined);
  await failsWith("TOO_MANY_PENDING", () => producer.send(1), /10000 calls wait/);
  const closed = producer.close();
  for (const one of waiting.slice(0, 3)) await failsWith("CLOSED", () => one);
  await closed;
});

test("a signal ends the wait for a place and the wait for the receipt", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { pendingMax: 1, linger: "1h" });
  const abort = new AbortController();
  const first = producer.send(1, { signal: abort.signal });
  const second = producer.send(2, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(first, /enough/);
  await assert.rejects(second, /enough/);
  await assert.rejects(producer.send(3, { signal: abort.signal }), /enough/);
  const { pending, waiting } = producer.statistics;
  assert.deepEqual([pending, waiting], [0, 0]);
  await Promise.all([producer.send(4), bus.advance("1h")]);
  assert.deepEqual(await storedIn(bus, "reading"), [4], "what was given up before its turn is not stored");
});

test("messages linger for others, until the time is over, the batch is full, or they are flushed", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { linger: "10ms", batchMax: 3 });
  producer.enqueue(1);
  await bus.advance(9);
  assert.equal(producer.statistics.acknowledged, 0);
  await bus.advance(1);
  assert.equal(producer.statistics.acknowledged, 1);
  for (const number of [2, 3, 4]) producer.enqueue(number);
  await bus.settled();
  assert.equal(producer.statistics.acknowledged, 4);
  producer.enqueue(5);
  await producer.flush();
  assert.equal(producer.statistics.acknowledged, 5);
  await producer.flush();
});

test("messages of one turn share few commits", async (t) => {
  const bus = await diskBus(t);
  const producer = bus.producer(Reading);
  await producer.send(0);
  const before = bus.statistics().storage.commits;
  for (let number = 1; number <= 1_000; number += 1) producer.enqueue(number);
  await producer.flush();
  assert.ok(bus.statistics().storage.commits - before <= 5, "commits are shared");
  assert.equal(producer.statistics.acknowledged, 1_001);
});

test("so many messages go in a second as the rate limit says", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { rateLimit: { messagesPerSecond: 10 } });
  for (let number = 0; number < 30; number += 1) producer.enqueue(number);
  await bus.settled();
  assert.equal(producer.statistics.acknowledged, 1, "the first goes at once");
  const times: number[] = [];
  for (let tenth = 0; tenth < 20; tenth += 1) {
    await bus.advance(100);
    times.push(producer.statistics.acknowledged);
  }
  assert.deepEqual(
    times,
    Array.from({ length: 20 }, (_, tenth) => tenth + 2),
  );
});

test("so many bits go in a second as the rate limit says, and the slower of two limits holds", async (t) => {
  const bus = await testBus(t);
  const bits = bus.queue("bits").producer({ rateLimit: { bitsPerSecond: 8_000 } });
  for (let number = 0; number < 4; number += 1) bits.enqueue("x".repeat(500));
  const both = bus.queue("both").producer({ rateLimit: { bitsPerSecond: 8_000, messagesPerSecond: 1 } });
  for (let number = 0; number < 4; number += 1) both.enqueue(new Uint8Array(500));
  await bus.advance("1s");
  assert.equal(bits.statistics.acknowledged, 3);
  assert.equal(both.statistics.acknowledged, 2);
  await bus.advance("1s");
  assert.equal(bits.statistics.acknowledged, 4);
  assert.equal(both.statistics.acknowledged, 3);
});

test("a limit that was not used up is not saved for later", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { rateLimit: { messagesPerSecond: 100 } });
  await producer.send(0);
  await bus.advance("1h");
  for (let number = 0; number < 1_000; number += 1) producer.enqueue(number);
  await bus.settled();
  assert.equal(producer.statistics.acknowledged - 1, 1);
  await bus.advance("1s");
  assert.equal(producer.statistics.acknowledged - 1, 101);
});

test("a receipt that takes too long is an error, and says whether the message may be stored", async (t) => {
  const bus = await testBus(t);
  const full = bus.queue("full", { countMax: 1, overflow: "wait" });
  await full.send("first");
  const producer = full.producer({ ackTimeout: "5s" });
  const late = producer.send("second");
  const later = producer.enqueue("third");
  late.catch(() => undefined);
  await bus.advance("4s");
  assert.equal(producer.statistics.pending, 2);
  await bus.advance("1s");
  await assert.rejects(
    late,
    (error) => isBrokerError(error, "ACK_TIMEOUT") && error.context["isHandedOver"] === false,
  );
  await failsWith("ACK_TIMEOUT", () => later.receipt, /5000 ms.*not stored/);
  assert.equal(producer.statistics.failed, 2);
  const fourth = producer.send("fourth");
  await full.purge();
  await fourth;
  assert.deepEqual(
    (await collect(full.browse())).map((message) => message.text()),
    ["fourth"],
    "what was given up is not stored when there is room",
  );
});

test("a queue that makes its publishers wait is filled as it empties", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("small", { countMax: 2, overflow: "wait" });
  const producer = queue.producer();
  for (const body of ["1", "2", "3", "4", "5"]) producer.enqueue(body);
  await bus.settled();
  assert.equal(producer.statistics.acknowledged, 2);
  const seen: string[] = [];
  queue.consume((message) => void seen.push(message.text()));
  await producer.flush();
  await bus.settled();
  assert.deepEqual(seen, ["1", "2", "3", "4", "5"]);
});

test("one message that is refused harms no other", async (t) => {
  const bus = await testBus(t);
  const producer = bus.queue("limited", { messageBytesMax: 3 }).producer();
  const sent = ["one", "three", "two"].map((body) => producer.send(body));
  const answers = await Promise.allSettled(sent);
  assert.deepEqual(
    answers.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
});

test("what is to be retained is, in its turn, and only where that is possible", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading);
  producer.enqueue(1);
  producer.enqueue(2, { retain: true });
  producer.enqueue(3);
  await producer.send(4, { retain: true });
  const wrong = producer.send(5, { retain: "yes" } as object);
  const after = producer.send(6);
  await failsWith("INVALID_OPTION", () => wrong, /retain/);
  assert.equal((await after).offset, 4);
  assert.deepEqual(await storedIn(bus, "reading"), [1, 2, 3, 4, 6]);
  assert.deepEqual(
    (await collect(bus.retained("reading.#"))).map(({ value }) => value),
    [4],
  );
  await failsWith("INVALID_OPTION", () => bus.producer(Job).send(1, { retain: true } as object), /queue/);
});

test("a queue that was deleted is made again by what is sent to it", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Job);
  await producer.send(1);
  await bus.queue("job.run").delete();
  await producer.send(2);
  assert.deepEqual(
    (await collect(bus.queue("job.run").browse())).map(({ value }) => value),
    [2],
  );
});

test("a queue that cannot be made is told to each message", async (t) => {
  const bus = await testBus(t);
  await bus.queue("jobs", { countMax: 5 }).declare();
  const producer = bus.queue("jobs", { countMax: 6 }).producer();
  const sent = [producer.send("1"), producer.send("2")];
  for (const one of sent) await failsWith("QUEUE_MISMATCH", () => one);
  assert.equal(producer.statistics.pending, 0);
});

test("a failure that nobody asked to hear goes to onError, and a callback that throws does too", async (t) => {
  const bus = await testBus(t);
  const producer = bus.queue("limited", { messageBytesMax: 3 }).producer({ name: "loader" });
  producer.enqueue("too long");
  producer.enqueue("ok", () => {
    throw new Error("careless");
  });
  producer.enqueue("too long", () => undefined);
  await producer.flush();
  assert.deepEqual(
    bus.errors.map(({ error, where }) => [(error as Error).message.slice(0, 8), where]),
    [
      [(bus.errors[0]!.error as Error).message.slice(0, 8), "producer loader"],
      ["careless", "producer loader"],
    ],
  );
  assert.ok(isBrokerError(bus.errors[0]!.error, "MESSAGE_TOO_LARGE"));
});

test("closing a producer hands over what it has; then it takes nothing more", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { linger: "1h", name: "sensors" });
  producer.enqueue(1);
  const second = producer.send(2);
  const closed = producer.close();
  await failsWith("CLOSED", () => producer.enqueue(3), /Producer sensors is closed/);
  await failsWith("CLOSED", () => producer.send(3));
  await closed;
  assert.equal((await second).offset, 1);
  assert.deepEqual(await storedIn(bus, "reading"), [1, 2]);
  await producer.close();
});

test("a call that has just got its place is told when the producer was closed meanwhile", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { pendingMax: 1 });
  const closed: Promise<void>[] = [];
  producer.enqueue(1, () => closed.push(Promise.resolve().then(() => producer.close())));
  await failsWith("CLOSED", () => producer.send(2));
  await closed[0];
  assert.deepEqual(await storedIn(bus, "reading"), [1]);
});

test("a message is handed over whenever it comes, also when the one before has just been refused", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("full", { countMax: 1 });
  await queue.send("first");
  for (let later = 0; later < 30; later += 1) {
    const producer = queue.producer();
    const refused = failsWith("QUEUE_FULL", () => producer.send("a"));
    for (let tick = 0; tick < later; tick += 1) await undefined;
    await Promise.all([refused, failsWith("QUEUE_FULL", () => producer.send("b"))]);
  }
});

test("closing the bus hands over what producers have, what their handlers send included", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { linger: "1h" });
  const gate = deferred();
  const began = deferred();
  bus.handle(Job, async (number) => {
    began.resolve();
    await gate.promise;
    producer.enqueue(number);
  });
  await bus.send(Job, 2);
  await began.promise;
  const first = producer.enqueue(1);
  const closed = bus.close();
  gate.resolve();
  await closed;
  assert.equal((await first.receipt).offset, 0);
  assert.equal(producer.statistics.acknowledged, 2);
  await failsWith("CLOSED", () => producer.enqueue(3));
});

test("draining ends handlers, and does not wait for a producer whose queue they would have to empty", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("small", { countMax: 1, overflow: "wait" });
  const producer = queue.producer();
  for (const body of ["1", "2", "3"]) producer.enqueue(body);
  await bus.settled();
  const began = deferred();
  const gate = deferred();
  queue.consume(async () => {
    began.resolve();
    await gate.promise;
  });
  await began.promise;
  const drained = bus.drain();
  gate.resolve();
  await drained;
  assert.ok(producer.statistics.pending > 0, "it has messages that there is no room for");
  await queue.purge();
  await bus.settled();
  await queue.purge();
  await producer.flush();
  assert.equal(producer.statistics.acknowledged, 3);
});

test("what a closed bus could not hand over any more is told so", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading, { rateLimit: { messagesPerSecond: 0.001 }, pendingMax: 3 });
  const sent = [1, 2, 3, 4].map((number) => producer.send(number));
  for (const one of sent) one.catch(() => undefined);
  await bus.close();
  const answers = await Promise.allSettled(sent);
  assert.deepEqual(
    answers.map(({ status }) => status),
    ["fulfilled", "rejected", "rejected", "rejected"],
  );
  for (const one of sent.slice(1)) await failsWith("CLOSED", () => one);
});

test("a producer that goes out of scope is closed", async (t) => {
  const bus = await testBus(t);
  {
    await using producer = bus.producer(Reading, { linger: "1h" });
    producer.enqueue(1);
  }
  assert.deepEqual(await storedIn(bus, "reading"), [1]);
});

test("middleware runs around what a producer sends", async (t) => {
  const bus = await testBus(t);
  bus.use({
    publish(context, next) {
      const [message] = context.messages;
      if (message?.value === 13) throw new Error("unlucky");
      message!.headers["seen"] = context.destination;
      return next();
    },
  });
  const producer = bus.producer(Reading);
  await producer.send(1, { headers: { own: "1" } });
  const second = producer.enqueue(2);
  const refused = producer.enqueue(13);
  await assert.rejects(refused.receipt, /unlucky/);
  await assert.rejects(producer.send(13), /unlucky/);
  await failsWith("INVALID_PAYLOAD", () => producer.enqueue(undefined as never));
  await second.receipt;
  const stored = await collect(bus.topic("reading").read());
  assert.deepEqual(
    stored.map(({ value, headers }) => [value, headers]),
    [
      [1, { own: "1", seen: "reading" }],
      [2, { seen: "reading" }],
    ],
  );
  assert.equal(producer.statistics.pending, 0);
});

test("a test bus records what producers send", async (t) => {
  const bus = await testBus(t);
  const producer = bus.producer(Reading);
  producer.enqueue(1);
  await producer.send(2);
  assert.deepEqual(bus.valuesOf(Reading), [1, 2]);
  assert.equal(bus.recorded[1]?.receipt.offset, 1);
});

test("wrong options are refused, by name", async (t) => {
  const bus = await testBus(t);
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ pendingMax: 0 }, /pendingMax/],
    [{ batchMax: 1.5 }, /batchMax/],
    [{ linger: "soon" }, /linger/],
    [{ ackTimeout: 0 }, /ackTimeout/],
    [{ rateLimit: {} }, /messagesPerSecond/],
    [{ rateLimit: 5 }, /rateLimit/],
    [{ rateLimit: { bitsPerSecond: 0 } }, /bitsPerSecond/],
    [{ rateLimit: { perSecond: 5 } }, /no option perSecond/],
    [{ name: "" }, /name/],
    [{ pendingmax: 5 }, /no option pendingmax/],
  ];
  for (const [options, message] of wrong) {
    await failsWith("INVALID_OPTION", () => bus.producer(Reading, options as ProducerOptions), message);
    await failsWith("INVALID_OPTION", () => bus.producer("queue", options as ProducerOptions), message);
  }
  await failsWith("INVALID_OPTION", () => bus.producer(undefined as never), /event/);
  await failsWith("INVALID_OPTION", () => bus.producer({} as never), /event/);
});
