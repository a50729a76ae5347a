import assert from "node:assert/strict";
import { test } from "node:test";
import { command, type DeadLetterFilter, deadLetter, event, type QueueOptions } from "../../src/index.js";
import type { TestBus } from "../../src/testing/index.js";
import { collect, deadLettersOf, failsWith, testBus } from "../support/buses.js";

const Placed = event<number>("order.placed");
const Paid = event<number>("order.paid");
const Work = command<number>("work");
const ONCE = { retry: { attempts: 1 } } as const;

/** Five dead letters of several sources, reasons and times; `heal` lets the handlers succeed. */
async function withDeadLetters(bus: TestBus): Promise<{ heal: () => void; seen: string[] }> {
  let isIll = true;
  const seen: string[] = [];
  const handler = (name: string) => (value: number) => {
    seen.push(`${name} ${value}`);
    if (isIll) throw new Error(`${name} of ${value} is ill`);
  };
  bus.on(Placed, { group: "billing", ...ONCE }, handler("billing"));
  bus.on(Placed, { group: "stock" }, (value) => void seen.push(`stock ${value}`));
  bus.on(Paid, { group: "billing", ...ONCE }, handler("paid"));
  bus.handle(Work, ONCE, (value) => {
    if (isIll && value === 3) return deadLetter("never wanted");
    return handler("work")(value);
  });
  await bus.publish(Placed, 1);
  await bus.publish(Paid, 2);
  await bus.advance("1h");
  await bus.send(Work, 3, { id: "three" });
  await bus.send(Work, 4, { key: "k", headers: { trace: "t" } });
  await bus.queue("work").send("no json");
  await bus.settled();
  return {
    heal: () => {
      isIll = false;
    },
    seen,
  };
}

test("a dead letter says what it was, where it came from, why and when it died", async (t) => {
  const bus = await testBus(t);
  await withDeadLetters(bus);
  const dead = await deadLettersOf(bus);
  assert.equal(dead.length, 5);
  const four = await bus.deadLetters.get("work:1");
  assert.deepEqual(
    { ...four, message: four.message.json(), history: four.history.length },
    {
      id: "work:1",
      source: "work",
      subject: "work",
      message: 4,
      reason: "attempts-exhausted",
      error: "Error: work of 4 is ill",
      attempts: 1,
      firstFailedAt: new Date(Date.UTC(2026, 0, 1, 1)),
      deadAt: new Date(Date.UTC(2026, 0, 1, 1)),
      history: 1,
    },
  );
  assert.equal(four.message.key, "k");
  assert.deepEqual(four.message.headers, { trace: "t" });
  const placed = await bus.deadLetters.get("order/0:0");
  assert.equal(placed.source, "order/billing");
  assert.equal(placed.subject, "order.placed");
  await failsWith("DEAD_LETTER_NOT_FOUND", () => bus.deadLetters.get("work:99"), /work:99/);
});

const FILTERS: readonly (readonly [DeadLetterFilter, string[]])[] = [
  [{}, ["order/0:0", "order/0:1", "three", "work:1", "work:2"]],
  [{ ids: ["three", "order/0:0", "none"] }, ["order/0:0", "three"]],
  [{ ids: [] }, []],
  [{ source: "work" }, ["three", "work:1", "work:2"]],
  [{ source: "order/billing" }, ["order/0:0", "order/0:1"]],
  [{ source: "order/stock" }, []],
  [{ subject: "order.*" }, ["order/0:0", "order/0:1"]],
  [{ subject: "#.paid" }, ["order/0:1"]],
  [{ reason: "rejected" }, ["three"]],
  [{ reason: "invalid-payload" }, ["work:2"]],
  [{ error: "is ill" }, ["order/0:0", "order/0:1", "work:1"]],
  [{ error: "of 4", reason: "attempts-exhausted" }, ["work:1"]],
  [{ before: new Date(Date.UTC(2026, 0, 1, 1)) }, ["order/0:0", "order/0:1"]],
  [{ after: new Date(Date.UTC(2026, 0, 1, 1)) }, ["three", "work:1", "work:2"]],
  [{ source: "work", limit: 2 }, ["three", "work:1"]],
];

for (const [filter, ids] of FILTERS) {
  const shown = JSON.stringify(filter);
  test(`list, replay and discard with ${shown} are about the same dead letters`, async (t) => {
    for (const verb of ["list", "replay", "discard"] as const) {
      const bus = await testBus(t);
      const { heal, seen } = await withDeadLetters(bus);
      heal();
      const listed = await collect(bus.deadLetters.list(filter));
      assert.deepEqual(listed.map(({ id }) => id).sort(), ids);
      if (verb === "list") continue;
      const before = await deadLettersOf(bus);
      seen.length = 0;
      assert.equal(await bus.deadLetters[verb](filter), ids.length);
      await bus.settled();
      const left = (await deadLettersOf(bus)).map(({ id }) => id);
      const unreadable = verb === "replay" && ids.includes("work:2") ? ["work:2"] : [];
      const expected = before.map(({ id }) => id).filter((id) => !ids.includes(id));
      assert.deepEqual(left.sort(), [...expected, ...unreadable].sort());
      assert.equal(seen.length, verb === "replay" ? ids.length - unreadable.length : 0);
    }
  });
}

test("a replay goes to the group that failed alone, as new, and leaves no dead letter when it succeeds", async (t) => {
  const bus = await testBus(t);
  const { heal, seen } = await withDeadLetters(bus);
  heal();
  seen.length = 0;
  assert.equal(await bus.deadLetters.replay({ subject: "order.placed" }), 1);
  await bus.settled();
  assert.deepEqual(seen, ["billing 1"]);
  assert.deepEqual(
    await collect(bus.deadLetters.list({ source: "order/billing", subject: "order.placed" })),
    [],
  );
  assert.equal(await bus.deadLetters.replay({ ids: ["order/0:0"] }), 0);
});

test("a message that dies again remembers its earlier deaths", async (t) => {
  const bus = await testBus(t);
  await withDeadLetters(bus);
  for (let round = 2; round <= 4; round += 1) {
    await bus.advance("1h");
    assert.equal(await bus.deadLetters.replay({ ids: ["order/0:0"] }), 1);
    await bus.settled();
    const letter = await bus.deadLetters.get("order/0:0");
    assert.equal(letter.history.length, round);
    assert.equal(letter.source, "order/billing");
    assert.deepEqual(letter.history.at(-1)?.deadAtMs, bus.clock.nowMs());
    assert.equal(letter.attempts, 1);
  }
});

test("a replay starts the attempts anew", async (t) => {
  const bus = await testBus(t);
  const attempts: number[] = [];
  bus.handle(Work, { retry: { attempts: 3, delay: "1s", jitter: 0 } }, (_value, ctx) => {
    attempts.push(ctx.attempt);
    throw new Error("no");
  });
  await bus.send(Work, 1);
  await bus.advance("1m");
  await bus.deadLetters.replay({});
  await bus.advance("1m");
  assert.deepEqual(attempts, [1, 2, 3, 1, 2, 3]);
});

test("replays at the same time send each dead letter back once", async (t) => {
  const bus = await testBus(t);
  const { heal, seen } = await withDeadLetters(bus);
  heal();
  seen.length = 0;
  const counts = await Promise.all([1, 2, 3].map(() => bus.deadLetters.replay({ source: "order/billing" })));
  await bus.settled();
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    2,
  );
  assert.equal(seen.length, 2);
});

test("counts of dead letters are those that are there", async (t) => {
  const bus = await testBus(t);
  await withDeadLetters(bus);
  const counts = () => {
    const { queues, topics } = bus.statistics();
    const work = queues.find(({ name }) => name === "work");
    const billing = topics[0]?.groups.find(({ name }) => name === "billing");
    return [work?.deadLetters, work?.deadLettered, billing?.deadLetters, billing?.deadLettered];
  };
  assert.deepEqual(counts(), [3, 3, 2, 2]);
  await bus.deadLetters.discard({ source: "work", limit: 1 });
  await bus.deadLetters.discard({ source: "order/billing" });
  assert.deepEqual(counts(), [2, 3, 0, 2]);
});

test("many dead letters are replayed in steps, all of them", async (t) => {
  const bus = await testBus(t);
  let isIll = true;
  let handled = 0;
  bus.handle(Work, { concurrency: 50, ...ONCE }, () => {
    if (isIll) throw new Error("ill");
    handled += 1;
  });
  await bus.sendMany(
    Work,
    Array.from({ length: 2_500 }, (_, number) => number),
  );
  await bus.settled();
  isIll = false;
  assert.equal(await bus.deadLetters.replay({}), 2_500);
  await bus.settled();
  assert.equal(handled, 2_500);
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("a queue that was declared without dead letters drops what cannot be handled, and counts it", async (t) => {
  const bus = await testBus(t);
  await bus.queue("work", { deadLetter: false }).declare();
  bus.handle(Work, ONCE, () => {
    throw new Error("no");
  });
  await bus.send(Work, 1);
  await bus.settled();
  assert.deepEqual(await deadLettersOf(bus), []);
  assert.equal((await bus.queue("work").statistics()).dropped, 1);
});

test("a filter that says nothing sensible is refused before anything is replayed or discarded", async (t) => {
  const bus = await testBus(t);
  await withDeadLetters(bus);
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ id: "three" }, /no option id/],
    [{ reason: "tired" }, /reason is "tired"/],
    [{ before: "2026" }, /before/],
    [{ after: new Date(Number.NaN) }, /after/],
    [{ limit: 0 }, /limit is 0/],
    [{ limit: Number.NaN }, /limit is NaN/],
    ["three", /"three"/],
  ];
  for (const [filter, message] of wrong) {
    const given = filter as DeadLetterFilter;
    await failsWith("INVALID_OPTION", () => collect(bus.deadLetters.list(given)), message);
    await failsWith("INVALID_OPTION", () => bus.deadLetters.replay(given), message);
    await failsWith("INVALID_OPTION", () => bus.deadLetters.discard(given), message);
  }
  await failsWith("INVALID_SUBJECT", () => bus.deadLetters.discard({ subject: "a.>.b" }));
  assert.equal((await deadLettersOf(bus)).length, 5);
});

test("an enormous reason or error is cut, so that dead letters stay small", async (t) => {
  const bus = await testBus(t);
  const long = "x".repeat(1_000_000);
  bus.handle(Work, ONCE, (value) => {
    if (value === 1) return deadLetter(long);
    throw new Error(long);
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.settled();
  for (const { error } of await deadLettersOf(bus)) assert.equal(error.length, 2_000);
});

test("a queue sends its dead letters to another queue or an exchange, and one of the two has to be named", async (t) => {
  const bus = await testBus(t);
  const failed = await bus.queue("failed").declare();
  await bus.exchange("dlx", { kind: "topic" }).bind(failed, { pattern: "gone.*" });
  const fail = async (name: string, options: QueueOptions): Promise<void> => {
    const queue = bus.queue(name, options);
    await queue.send(name);
    const delivery = await queue.receiveBatch({ max: 1 });
    await delivery[0]!.deadLetter("no");
  };
  await fail("one", { deadLetterTo: { queue: "failed" } });
  await fail("two", { deadLetterTo: { exchange: "dlx", subject: "gone.two" } });
  const subjects: string[] = [];
  for await (const message of failed.browse()) subjects.push(`${message.text()} ${message.subject}`);
  assert.deepEqual(subjects, ["one one", "two gone.two"]);
  assert.deepEqual(await deadLettersOf(bus), []);
  for (const wrong of [{}, { queue: "a", exchange: "b" }, { topic: "a" }, "failed"])
    await failsWith("INVALID_OPTION", () => bus.queue("bad", { deadLetterTo: wrong } as never).declare());
});
