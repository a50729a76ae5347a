import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import {
  bytes,
  command,
  deadLetter,
  drop,
  event,
  isBrokerError,
  type Outcome,
  reply,
  retry,
} from "../../src/index.js";
import { collect, deadLettersOf, deferred, diskBus, failsWith, testBus } from "../support/buses.js";

const Quote = command("quote", {
  schema: z.object({ sku: z.string() }),
  reply: z.object({ price: z.string().transform(Number) }),
});
const Work = command<number, number, number>("work");
const Offers = event<string, string, number>("offers.wanted");
const TEA = { sku: "tea" };

test("a request resolves with what the handler replies, as the schema of replies reads it", async (t) => {
  const bus = await diskBus(t);
  bus.handle(Quote, async ({ sku }) => reply({ price: String(sku.length) }));
  const answer = await bus.request(Quote, TEA);
  assert.deepEqual(answer, { price: 3 });
  const answers = await Promise.all(["a", "bb", "ccc"].map((sku) => bus.request(Quote, { sku })));
  assert.deepEqual(
    answers.map(({ price }) => price),
    [1, 2, 3],
  );
});

test("bodies of a queue, bytes and batches can be replied to as well", async (t) => {
  const bus = await testBus(t);
  const Blob = command("blob", { codec: bytes });
  const own = Buffer.from("xyz");
  bus.handle(Blob, () => reply(own));
  const answer = (await bus.request(Blob, Buffer.from("a"))) as Buffer;
  own.fill("0");
  assert.equal(answer.toString(), "xyz");
  bus.handle(Work, { batch: { max: 10 } }, (batch) => batch.map(({ value }) => reply(value * 2)));
  assert.deepEqual(await Promise.all([1, 2, 3].map((n) => bus.request(Work, n))), [2, 4, 6]);
  bus.queue("raw").consume((message) => reply(message.text().toUpperCase()));
  const Raw = command<string, string, string>("raw", {
    codec: { contentType: "text/plain", encode: (text) => text, decode: (record) => record.valueText() },
  });
  assert.equal(await bus.request(Raw, "hello"), "HELLO");
});

test("a handler that returns nothing answers undefined, unless the command has a schema of replies", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, () => undefined);
  bus.handle(Quote, () => undefined);
  assert.equal(await bus.request(Work, 1), undefined);
  await failsWith("REQUEST_FAILED", () => bus.request(Quote, TEA), /returned no reply/);
});

test("a reply to what was only sent is no failure", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, (n) => reply(n));
  await bus.send(Work, 1);
  await bus.settled();
  assert.equal((await bus.queue("work").statistics()).settled, 1);
  assert.deepEqual(bus.errors, []);
});

test("when nobody handles a command, its request is refused at once, stored nowhere, and the remedy is named", async (t) => {
  const bus = await testBus(t);
  await failsWith(
    "NO_HANDLER",
    () => bus.request(Quote, TEA),
    /answer quote.*Register a handler with bus\.handle/,
  );
  assert.equal((await bus.queue("quote").statistics()).waiting, 0);
  const handling = bus.handle(Quote, () => reply({ price: "1" }));
  assert.deepEqual(await bus.request(Quote, TEA), { price: 1 });
  await handling.close();
  await failsWith("NO_HANDLER", () => bus.request(Quote, TEA));
});

test("while its queue is paused, a request is refused at once, and a paused group is missing", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, (n) => reply(n));
  bus.on(Offers, { group: "a" }, () => reply(1));
  bus.on(Offers, { group: "b" }, () => reply(2));
  await bus.queue("work").pause();
  await bus.topic("offers").group("b").pause();
  await failsWith("NO_HANDLER", () => bus.request(Work, 1), /queue work is paused.*Resume it/);
  assert.deepEqual((await bus.gather(Offers, "tea", { from: ["a", "b"] })).missing, ["b"]);
  await bus.queue("work").resume();
  assert.equal(await bus.request(Work, 1), 1);
});

test("a queue with handlers of other commands only answers at once that it has none", async (t) => {
  const bus = await testBus(t);
  const One = command<number>("one", { queue: "shared" });
  const Two = command<number>("two", { queue: "shared" });
  bus.handle(One, () => undefined);
  await failsWith("REQUEST_FAILED", () => bus.request(Two, 1), /no handler of this process is for 'two'/);
});

test("a request that is not answered in time is told so, and is not begun on any more", async (t) => {
  for (const isBatch of [false, true]) {
    const bus = await testBus(t);
    const gate = deferred();
    const begun: number[] = [];
    const work = async (n: number) => {
      begun.push(n);
      await gate.promise;
      return reply(n);
    };
    if (isBatch) bus.handle(Work, { batch: { max: 1 } }, (batch) => batch.map(({ value }) => work(value)));
    else bus.handle(Work, work);
    const both = Promise.allSettled([1, 2].map((n) => bus.request(Work, n, { timeout: "2s" })));
    const patient = bus.request(Work, 3);
    await bus.advance("2s");
    for (const result of await both) {
      assert.ok(result.status === "rejected" && isBrokerError(result.reason, "REQUEST_TIMEOUT"));
      assert.match(result.reason.message, /work came within 2000 ms.*option timeout/);
    }
    gate.resolve();
    assert.equal(await patient, 3);
    await bus.settled();
    assert.deepEqual(begun, [1, 3]);
    assert.deepEqual(
      (await deadLettersOf(bus)).map(({ reason }) => reason),
      ["expired"],
    );
  }
});

const FAILURES: readonly (readonly [string, () => Outcome<never>, RegExp])[] = [
  ["deadLetter", () => deadLetter("no such article"), /no such article/],
  ["drop", () => drop(), /dropped/],
  [
    "throwing, after the last attempt",
    () => {
      throw new RangeError("too many");
    },
    /RangeError: too many/,
  ],
  ["retry, after the last attempt", () => retry({ reason: "not yet" }), /not yet/],
];

for (const [how, handler, message] of FAILURES) {
  test(`a handler that gives up by ${how} fails the request with its reason`, async (t) => {
    const bus = await testBus(t);
    let calls = 0;
    bus.handle(Work, { retry: { attempts: 3, delay: 0 } }, () => {
      calls += 1;
      return handler();
    });
    await failsWith("REQUEST_FAILED", () => bus.request(Work, 1), message);
    assert.equal(calls, how.includes("attempt") ? 3 : 1);
  });
}

test("a handler that succeeds on a later attempt answers the request", async (t) => {
  const bus = await testBus(t);
  let calls = 0;
  bus.handle(Work, { retry: { delay: 0 } }, () => {
    calls += 1;
    if (calls < 3) throw new Error("not yet");
    return reply(calls);
  });
  assert.equal(await bus.request(Work, 1), 3);
});

test("what a handler sends with its reply is stored before who asked is answered, or neither happens", async (t) => {
  const bus = await testBus(t);
  const Next = command<number>("next");
  bus.handle(Quote, { retry: { attempts: 1 } }, async ({ sku }, ctx) => {
    await ctx.send(Next, sku.length);
    if (sku === "bad") return reply({ price: 5 as never });
    return sku === "gone" ? drop() : reply({ price: "7" });
  });
  assert.deepEqual(await bus.request(Quote, TEA), { price: 7 });
  assert.deepEqual(bus.valuesOf(Next), [3]);
  await failsWith("REQUEST_FAILED", () => bus.request(Quote, { sku: "bad" }), /does not fit its schema/);
  await failsWith("REQUEST_FAILED", () => bus.request(Quote, { sku: "gone" }), /dropped/);
  assert.deepEqual(bus.valuesOf(Next), [3, 4]);
  bus.handle(Work, { batch: { max: 2, wait: 10 } }, (batch, ctx) =>
    batch.map(async (item) => {
      await ctx.for(item).send(Next, item.value);
      return reply(-item.value);
    }),
  );
  assert.deepEqual(await Promise.all([10, 20].map((n) => bus.request(Work, n))), [-10, -20]);
  assert.deepEqual(bus.valuesOf(Next), [3, 4, 10, 20]);
});

test("a reply that does not fit its schema is a dead letter, and fails the request", async (t) => {
  const bus = await testBus(t);
  const checks = [z.number(), z.number().refine(async (n) => n > 0)];
  for (const [index, schema] of checks.entries()) {
    const Bad = command(`bad-${index}`, { reply: schema });
    bus.handle(Bad, () => reply("five" as never));
    await failsWith("REQUEST_FAILED", () => bus.request(Bad, 1), /does not fit its schema/);
    await bus.settled();
  }
  assert.deepEqual(
    (await deadLettersOf(bus)).map(({ reason }) => reason),
    ["invalid-payload", "invalid-payload"],
  );
});

test("the signal and the close of the bus end the wait", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, () => new Promise<void>(() => undefined));
  const abort = new AbortController();
  const aborted = bus.request(Work, 1, { signal: abort.signal });
  await bus.settled().catch(() => undefined);
  abort.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  const waiting = failsWith("CLOSED", () => bus.request(Work, 2));
  await bus.queue("work").statistics();
  void bus.close();
  await waiting;
});

test("answers are seen by no live subscription, and what is asked is recorded like any command", async (t) => {
  const bus = await testBus(t);
  const all = bus.subscribe("#");
  bus.handle(Work, (n) => reply(n + 1));
  assert.equal(await bus.request(Work, 1, { headers: { a: "b" }, key: "k" }), 2);
  await bus.settled();
  all.close();
  assert.deepEqual(await collect(all), []);
  assert.deepEqual(bus.valuesOf(Work), [1]);
});

test("requestAll tells of each what became of it, in order, and never rejects", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { concurrency: 4, retry: { attempts: 1 } }, (n) => {
    if (n === 2) throw new Error("two is bad");
    return n === 3 ? new Promise<never>(() => undefined) : reply(n * 10);
  });
  const asked = bus.requestAll(Work, [1, 2, 3, 4], { timeout: "5s" });
  await bus.advance("5s");
  const results = await asked;
  assert.deepEqual(
    results.map((result) =>
      result.status === "fulfilled" ? result.value : isBrokerError(result.reason) && result.reason.code,
    ),
    [10, "REQUEST_FAILED", "REQUEST_TIMEOUT", 40],
  );
  assert.deepEqual(await bus.requestAll(Work, []), []);
  const [none] = await bus.requestAll(Quote, [TEA]);
  assert.ok(none?.status === "rejected" && isBrokerError(none.reason, "NO_HANDLER"));
});

test("gather resolves with the replies of every group that is there, as soon as all have answered", async (t) => {
  const bus = await testBus(t);
  bus.on(Offers, { group: "a" }, (sku) => reply(sku.length));
  bus.on(Offers, { group: "b" }, async () => reply(7));
  bus.on(Offers, { group: "silent" }, () => undefined);
  bus.on(Offers, { group: "broken" }, () => deadLetter("sold out"));
  const Other = event<string>("offers.other");
  bus.on(Other, { group: "not-asked" }, () => undefined);
  const { replies, failures, missing } = await bus.gather(Offers, "tea");
  assert.deepEqual(
    [...replies].sort((x, y) => x.value - y.value),
    [
      { from: "a", value: 3 },
      { from: "b", value: 7 },
    ],
  );
  assert.deepEqual(
    failures.map(({ from, error }) => [from, isBrokerError(error) && error.code]),
    [["broken", "REQUEST_FAILED"]],
  );
  assert.deepEqual(missing, []);
});

test("gather ends with the first n, and with the time, naming who is missing", async (t) => {
  const bus = await testBus(t);
  bus.on(Offers, { group: "quick" }, () => reply(1));
  bus.on(Offers, { group: "slow" }, () => new Promise<never>(() => undefined));
  const first = await bus.gather(Offers, "tea", { first: 1 });
  assert.deepEqual(first, { replies: [{ from: "quick", value: 1 }], failures: [], missing: ["slow"] });
  const late = bus.gather(Offers, "tea", { from: ["quick", "slow", "unknown"], timeout: "3s" });
  await bus.advance("3s");
  assert.deepEqual(await late, {
    replies: [{ from: "quick", value: 1 }],
    failures: [],
    missing: ["slow", "unknown"],
  });
  assert.deepEqual((await bus.gather(Offers, "tea", { from: ["quick", "unknown"] })).missing, ["unknown"]);
});

test("gathering from nobody is refused at once and publishes nothing", async (t) => {
  const bus = await testBus(t);
  await failsWith("NO_HANDLER", () => bus.gather(Offers, "tea"), /offers\.wanted: no group of topic offers/);
  bus.on(Offers, { group: "a" }, () => reply(1));
  await failsWith("NO_HANDLER", () => bus.gather(Offers, "tea", { from: ["b"] }), /none of b/);
  assert.deepEqual(bus.recorded, []);
});

test("what is wrong with a request is named", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, (n) => reply(n));
  bus.on(Offers, { group: "a" }, () => reply(1));
  await failsWith("INVALID_OPTION", () => bus.request(Work, 1, { timeout: 0 }), /timeout is 0/);
  await failsWith("INVALID_OPTION", () => bus.request(Work, 1, { delay: "1s" } as object), /no option delay/);
  await failsWith("INVALID_OPTION", () => bus.gather(Offers, "a", { first: 0 }), /first is 0/);
  await failsWith("INVALID_OPTION", () => bus.gather(Offers, "a", { from: [] }), /from is a list/);
  bus.handle(Quote, () => reply({ price: "1" }));
  await failsWith("INVALID_PAYLOAD", () => bus.request(Quote, { sku: 1 as never }));
  await failsWith("INVALID_SCHEMA", () => command("x", { reply: {} as never }), /the reply to x/);
});
