import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ack,
  command,
  deadLetter,
  event,
  type HandleResults,
  type Middleware,
  type PublishContext,
  type Receipt,
  reply,
} from "../../src/index.js";
import { deadLettersOf, failsWith, testBus } from "../support/buses.js";

const Placed = event<{ readonly id: string }>("order.placed");
const Work = command<number>("work");

test("middleware runs around publishing and handling, what was registered first outermost", async (t) => {
  const bus = await testBus(t);
  const steps: string[] = [];
  const named = (name: string): Middleware => ({
    async publish(_, next) {
      steps.push(`${name} publishes`);
      await next();
      steps.push(`${name} published`);
    },
    async handle(_, next) {
      steps.push(`${name} handles`);
      await next();
      steps.push(`${name} handled`);
    },
  });
  assert.equal(bus.use(named("outer")).use(named("inner")), bus);
  bus.handle(Work, () => void steps.push("handler"));
  await bus.send(Work, 1);
  await bus.settled();
  assert.deepEqual(steps, [
    "outer publishes",
    "inner publishes",
    "inner published",
    "outer published",
    "outer handles",
    "inner handles",
    "handler",
    "inner handled",
    "outer handled",
  ]);
});

test("every call that hands messages over goes through middleware, once, with what it is about", async (t) => {
  const bus = await testBus(t);
  const seen: PublishContext[] = [];
  const receipts: Receipt[] = [];
  bus.use({
    async publish(context, next) {
      seen.push(context);
      receipts.push(...(await next()));
    },
  });
  const given = [
    await bus.publish(Placed, { id: "1" }, { id: "first", headers: { a: "b" } }),
    ...(await bus.publishMany(Placed, [{ id: "2" }, { id: "3" }])),
    await bus.send(Work, 1),
    ...(await bus.sendMany(Work, [2, 3])),
    await bus.queue("plain").send("text"),
    ...(await bus.queue("plain").sendMany(["x", "y"])),
    await bus.topic("readings").publish("21.5", { subject: "readings.kitchen" }),
    ...(await bus.topic("readings").publishMany(["1", "2"])),
    ...(await (await bus.exchange("fan", { kind: "fanout" }).bind(bus.queue("plain"))).publish("a.b", "x")),
    await bus.producer(Work).send(1),
  ];
  assert.deepEqual(receipts, given);
  assert.deepEqual(
    seen.map(({ operation, kind, destination, messages }) => [
      operation,
      kind,
      destination,
      ...messages.map(({ subject }) => subject),
    ]),
    [
      ["publish", "topic", "order", "order.placed"],
      ["publish", "topic", "order", "order.placed", "order.placed"],
      ["send", "queue", "work", "work"],
      ["send", "queue", "work", "work", "work"],
      ["send", "queue", "plain", "plain"],
      ["send", "queue", "plain", "plain", "plain"],
      ["publish", "topic", "readings", "readings.kitchen"],
      ["publish", "topic", "readings", "readings", "readings"],
      ["publish", "exchange", "fan", "a.b"],
      ["send", "queue", "work", "work"],
    ],
  );
  assert.equal(seen[0]!.type, Placed);
  assert.equal(seen[2]!.type, Work);
  assert.equal(seen[4]!.type, undefined);
  assert.equal(seen[0]!.options.id, "first");
  assert.deepEqual(seen[0]!.messages, [{ subject: "order.placed", value: { id: "1" }, headers: { a: "b" } }]);
  assert.deepEqual(seen[1]!.options, {});
});

test("what is sent live, with an answer, in a transaction or as a request goes through middleware too", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.use({
    async publish({ operation, destination, messages }, next) {
      messages[0]!.headers["tenant"] = "acme";
      const receipts = await next();
      seen.push(`${operation} ${destination} ${receipts.length}`);
    },
  });
  const Ask = command<number, number>("ask");
  const headers: unknown[] = [];
  bus.handle(Ask, (number, { message }) => {
    headers.push(message.headers);
    return reply(number + 1);
  });
  bus.on(Placed, { group: "stock" }, async (_, context) => {
    headers.push(context.message.headers);
    await context.send(Work, 1);
  });
  bus.handle(Work, (_, { message }) => void headers.push(message.headers));
  const live = bus.subscribe("order.placed")[Symbol.asyncIterator]();
  const looked = live.next();
  assert.equal(await bus.publishLive(Placed, { id: "0" }), 1);
  headers.push((await looked).value?.headers);
  assert.equal(await bus.request(Ask, 1), 2);
  await bus.transaction(async (tx) => {
    await tx.publish(Placed, { id: "1" });
    await tx.queue("plain").send("text");
  });
  await bus.settled();
  const [delivery] = await bus.queue("plain").receiveBatch({ max: 1 });
  headers.push(delivery!.message.headers);
  assert.deepEqual(seen, ["publish order 0", "send ask 1", "publish order 0", "send plain 0", "send work 0"]);
  assert.deepEqual(headers, Array(5).fill({ tenant: "acme" }));
});

test("middleware adds, changes and removes headers, of each message its own", async (t) => {
  const bus = await testBus(t);
  bus.use({
    publish({ messages }, next) {
      for (const [index, { headers }] of messages.entries()) {
        headers["number"] = String(index);
        headers["tenant"] = `${headers["tenant"]}!`;
        delete headers["secret"];
      }
      return next();
    },
  });
  const received: unknown[] = [];
  bus.handle(Work, (_, { message }) => void received.push(message.headers));
  const options = { headers: { tenant: "acme", secret: "x" } };
  await bus.send(Work, 1, options);
  await bus.sendMany(Work, [2, 3], options);
  await bus.settled();
  assert.deepEqual(received, [
    { number: "0", tenant: "acme!" },
    { number: "0", tenant: "acme!" },
    { number: "1", tenant: "acme!" },
  ]);
  assert.deepEqual(options, { headers: { tenant: "acme", secret: "x" } });

  await bus.queue("plain").sendMany(["a", "b"]);
  const [first, second] = await bus.queue("plain").receiveBatch({ max: 2 });
  assert.deepEqual(
    [first!.message.headers, second!.message.headers],
    [
      { number: "0", tenant: "undefined!" },
      { number: "1", tenant: "undefined!" },
    ],
  );
});

test("a header that middleware sets is checked like any other", async (t) => {
  const bus = await testBus(t);
  bus.use({
    publish({ messages }, next) {
      messages[0]!.headers["omnibus-id"] = "forged";
      return next();
    },
  });
  await failsWith("INVALID_OPTION", () => bus.send(Work, 1), /reserved/);
});

test("middleware that throws refuses the messages, and nothing of them is stored", async (t) => {
  const bus = await testBus(t);
  const refusal = new Error("this tenant may not publish");
  bus.use({
    publish({ messages }, next) {
      if (messages.some(({ value }) => value === 2)) throw refusal;
      return next();
    },
  });
  const handled: number[] = [];
  bus.handle(Work, (number) => void handled.push(number));
  await assert.rejects(bus.sendMany(Work, [1, 2]), refusal);
  await assert.rejects(bus.send(Work, 2), refusal);
  await bus.send(Work, 3);
  await bus.settled();
  assert.deepEqual(handled, [3]);
});

test("middleware cannot make a failed publish look like a stored one", async (t) => {
  const bus = await testBus(t);
  let heard: unknown;
  bus.use({
    async publish(_, next) {
      await next().catch((error: unknown) => {
        heard = error;
      });
    },
  });
  const big = bus.queue("small", { messageBytesMax: 1 });
  await failsWith("MESSAGE_TOO_LARGE", () => big.send("too long"));
  assert.match(String(heard), /too long|bytes/i);
});

test("middleware that forgets next, or calls it twice, fails the call with a reason", async (t) => {
  const bus = await testBus(t);
  let mode: "forget" | "twice" = "forget";
  bus.use({
    async publish(_, next) {
      if (mode === "forget") return;
      await next();
      await next();
    },
  });
  await assert.rejects(bus.send(Work, 1), /has to call next\(\), or throw; it did not/);
  mode = "twice";
  await assert.rejects(bus.send(Work, 1), /called it twice/);
});

test("middleware that throws without waiting for next leaves no unhandled rejection", async (t) => {
  const bus = await testBus(t);
  bus.use({
    publish(_, next) {
      void next();
      throw new Error("impatient");
    },
  });
  await assert.rejects(bus.queue("small", { messageBytesMax: 1 }).send("too long"), /impatient/);
});

test("handling middleware sees the payload, the message, the attempt and the source", async (t) => {
  const bus = await testBus(t);
  const seen: unknown[] = [];
  bus.use({
    handle({ source, group, name, isBatch, messages, signal }, next) {
      const [{ value, message, attempt } = assert.fail()] = messages;
      seen.push([
        source,
        group,
        name,
        isBatch,
        messages.length,
        value,
        message.subject,
        attempt,
        signal.aborted,
      ]);
      return next();
    },
  });
  bus.on(Placed, { group: "billing:eu" }, () => {});
  bus.handle(Work, { batch: { max: 10 } }, (batch) => batch.map(() => ack()));
  bus.queue("plain").consume(() => {});
  await bus.publish(Placed, { id: "1" });
  await bus.sendMany(Work, [1, 2]);
  await bus.queue("plain").send("text");
  await bus.settled();
  assert.deepEqual(
    seen.map((row) => (row as unknown[]).toSpliced(5, 1)),
    [
      ["order", "billing:eu", "order.placed", false, 1, "order.placed", 1, false],
      ["work", undefined, "work", true, 2, "work", 1, false],
      ["plain", undefined, "plain", false, 1, "plain", 1, false],
    ],
  );
  assert.deepEqual((seen[0] as unknown[])[5], { id: "1" });
});

test("what a handler throws passes through middleware to the retry policy, even when middleware swallows it", async (t) => {
  const bus = await testBus(t);
  const heard: string[] = [];
  bus.use({
    async handle(_, next) {
      await next().catch((error: unknown) => heard.push(String(error)));
    },
  });
  const attempts: number[] = [];
  bus.handle(Work, { retry: { attempts: 2, delay: "1s" } }, (_, { attempt }) => {
    attempts.push(attempt);
    throw new Error("no");
  });
  await bus.send(Work, 1);
  await bus.advance("10s");
  assert.deepEqual(attempts, [1, 2]);
  assert.deepEqual(heard, ["Error: no", "Error: no"]);
  const [letter] = await deadLettersOf(bus);
  assert.match(letter!.error, /no/);
});

test("middleware may decide instead of the handler, with an outcome or by throwing", async (t) => {
  const bus = await testBus(t);
  bus.use({
    async handle({ messages }, next) {
      const [{ value } = assert.fail()] = messages;
      if (value === 1) return deadLetter("not wanted here");
      if (value === 2) throw new Error("the gate is closed");
      await next().catch(() => undefined);
      return value === 3 ? ack() : undefined;
    },
  });
  const handled: number[] = [];
  bus.handle(Work, { retry: { attempts: 1 } }, (number) => {
    handled.push(number);
    throw new Error("the handler failed");
  });
  await bus.sendMany(Work, [1, 2, 3, 4]);
  await bus.settled();
  assert.deepEqual(handled, [3, 4]);
  assert.deepEqual(
    (await deadLettersOf(bus)).map(({ error }) => error),
    ["not wanted here", "Error: the gate is closed", "Error: the handler failed"],
  );
});

test("middleware of a batch hears of every message, and may answer for each", async (t) => {
  const bus = await testBus(t);
  const heard: string[] = [];
  bus.use({
    async handle(_, next) {
      const results: HandleResults = await next();
      for (const result of results)
        heard.push(result.status === "fulfilled" ? result.value.kind : String(result.reason));
      return results.map((result, index) =>
        index === 0 ? { status: "fulfilled", value: deadLetter("the first one") } : result,
      );
    },
  });
  bus.handle(Work, { batch: { max: 3 }, retry: { attempts: 1 } }, (batch) =>
    batch.map(({ value }) => {
      if (value === 2) throw new Error("bad two");
      return ack();
    }),
  );
  await bus.sendMany(Work, [1, 2, 3]);
  await bus.settled();
  assert.deepEqual(heard, ["ack", "Error: bad two", "ack"]);
  assert.deepEqual(
    (await deadLettersOf(bus)).map(({ error }) => error),
    ["the first one", "Error: bad two"],
  );
});

test("a handle middleware that answers nonsense, or neither calls next nor answers, fails the message", async (t) => {
  const bus = await testBus(t);
  const answers: unknown[] = [undefined, "ack", [], [{ status: "fulfilled", value: 1 }]];
  bus.use({ handle: ({ messages }) => answers[messages[0]!.value as number] as undefined });
  bus.handle(Work, { retry: { attempts: 1 } }, () => assert.fail("the handler was called"));
  await bus.sendMany(Work, [0, 1, 2, 3]);
  await bus.settled();
  const errors = (await deadLettersOf(bus)).map(({ error }) => error);
  assert.equal(errors.length, 4);
  assert.match(errors[0]!, /has to call next/);
  for (const error of errors.slice(1)) assert.match(error, /has to return nothing, an outcome, or 1 results/);
});

test("a handler that returns no outcome fails under middleware as without", async (t) => {
  const bus = await testBus(t);
  bus.use({ handle: (_, next) => next() });
  bus.handle(Work, { retry: { attempts: 1 } }, () => "done" as never);
  await bus.send(Work, 1);
  await bus.settled();
  const [letter] = await deadLettersOf(bus);
  assert.match(letter!.error, /it returned a string/);
});

test("the signal that middleware sees is the handler's: the timeout aborts it", async (t) => {
  const bus = await testBus(t);
  const signals: AbortSignal[] = [];
  bus.use({
    handle({ signal }, next) {
      signals.push(signal);
      return next();
    },
  });
  bus.handle(Work, { timeout: "1s", retry: { attempts: 1 } }, async (_, { signal }) => {
    signals.push(signal);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  });
  await bus.send(Work, 1);
  await bus.advance("2s");
  assert.equal(signals.length, 2);
  assert.equal(signals[0], signals[1]);
  assert.equal(signals[0]!.aborted, true);
});

test("middleware counts from when it is registered, for handlers that are there already too", async (t) => {
  const bus = await testBus(t);
  let handled = 0;
  bus.handle(Work, () => {});
  await bus.send(Work, 1);
  await bus.settled();
  bus.use({
    handle(_, next) {
      handled += 1;
      return next();
    },
  });
  await bus.send(Work, 2);
  await bus.settled();
  assert.equal(handled, 1);
});

test("an instance of a class is middleware, with itself as this", async (t) => {
  class Counter implements Middleware {
    published = 0;

    publish(context: PublishContext, next: () => Promise<readonly Receipt[]>): Promise<unknown> {
      this.published += context.messages.length;
      return next();
    }
  }
  const bus = await testBus(t);
  const counter = new Counter();
  bus.use(counter);
  await bus.sendMany(Work, [1, 2, 3]);
  assert.equal(counter.published, 3);
});

test("what is no middleware is refused, and so is any on a closed bus", async (t) => {
  const bus = await testBus(t);
  for (const wrong of [null, undefined, {}, "log", { publish: 1 }, { handle: "x", publish() {} }])
    await failsWith("INVALID_OPTION", () => bus.use(wrong as unknown as Middleware));
  await bus.close();
  await failsWith("CLOSED", () => bus.use({ publish: (_, next) => next() }));
});
