// Handlers that do their worst. What they throw and return otherwise: handlers.test.ts; those that never return: time.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { command, type Delivery, isBrokerError, memory, openBus } from "../../src/index.js";
import { deadLettersOf, failsWith, testBus } from "../support/buses.js";

const Work = command<number>("work");
const Late = command<number>("late");
const Asked = command<number>("asked");
class Known extends Error {}

/** Each is thrown while rules by class of error ask what it is. */
const THROWN: readonly unknown[] = [
  undefined,
  null,
  "a text",
  Object.freeze({ a: "frozen object" }),
  Object.freeze(new Error("frozen")),
  Object.create(null),
  new (class extends Error {
    override get message(): string {
      throw new Error("a getter of the message");
    }
  })(),
  Object.defineProperty(new Error(""), "name", {
    get() {
      throw new Error("a getter of the name");
    },
  }),
  new Proxy(
    {},
    {
      getPrototypeOf() {
        throw new Error("a trap of instanceof");
      },
    },
  ),
];

/** This thread stands still: no timer, no answer of the disk, nothing. */
function blockFor(delayMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, delayMs);
}

test("whatever is thrown, rules by class of error are asked, and only its own message is dead-lettered", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  const retry = { attempts: 1, errors: [{ error: Known, use: { attempts: 3 } }] };
  bus.handle(Work, { retry }, (number) => {
    seen.push(number);
    if (number < THROWN.length) throw THROWN[number];
  });
  const numbers = Array.from({ length: THROWN.length + 1 }, (_, number) => number);
  await bus.sendMany(Work, numbers);
  await bus.settled();
  assert.deepEqual(seen, numbers);
  const letters = await deadLettersOf(bus);
  assert.equal(letters.length, THROWN.length);
  for (const { error } of letters) assert.notEqual(error, "");
  const wheres = bus.errors.map(({ where }) => where);
  assert.deepEqual(
    wheres,
    ["testing an error by a rule of the retry policy"],
    "the trap is told, and nothing else",
  );
});

test("handlers that never return hold their own places only, and the rest goes on", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  bus.handle(Work, { concurrency: 3, timeout: "1m", retry: { attempts: 1 } }, (number) => {
    seen.push(number);
    if (number < 2) return new Promise<void>(() => undefined);
    return undefined;
  });
  await bus.sendMany(Work, [0, 1, 2, 3, 4]);
  await bus.advance("1s");
  assert.deepEqual(seen, [0, 1, 2, 3, 4]);
  await bus.advance("1m");
  assert.equal((await deadLettersOf(bus)).length, 2);
});

test("a handler that blocks the event loop for longer than its lease costs no lease, time limits go on, and it is said for how long", async (t) => {
  const errors: { error: unknown; where: string }[] = [];
  const bus = await openBus(memory(), { onError: (error, where) => errors.push({ error, where }) });
  t.after(() => bus.close());
  const held = bus.queue("held");
  await held.send("by hand");
  const [byHand] = await held.receiveBatch({ max: 1, lease: "1s" });

  const late: number[] = [];
  bus.handle(Late, (number) => void late.push(number));
  await bus.send(Late, 1, { delay: "1s" });
  bus.handle(Asked, { timeout: "3s", retry: { attempts: 1 } }, () => new Promise<void>(() => undefined));
  const unanswered = failsWith("REQUEST_TIMEOUT", () => bus.request(Asked, 1, { timeout: "2s" }));

  const attempts: string[] = [];
  const settled = new Promise<void>((resolve) => {
    bus.handle(Work, { lease: "1s", concurrency: 2, timeout: "1m" }, async (number, ctx) => {
      attempts.push(`${number}/${ctx.attempt}`);
      // Not before its first await: others wait for their turn by then.
      await new Promise((next) => setImmediate(next));
      if (number === 1) blockFor(4_500);
      assert.equal(ctx.signal.aborted, false);
      if (number === 4) resolve();
    });
  });
  await bus.sendMany(Work, [1, 2, 3, 4]);
  await settled;
  await byHand!.ack();
  await unanswered;
  while ((await deadLettersOf(bus)).length === 0) await new Promise((next) => setImmediate(next));
  while (late.length === 0) await new Promise((next) => setImmediate(next));
  assert.deepEqual(attempts, ["1/1", "2/1", "3/1", "4/1"]);
  // The timer that was to look is behind the handler that has just ended.
  while (errors.length === 0) await new Promise((next) => setImmediate(next));
  const work = await bus.queue("work").statistics();
  assert.deepEqual([work.leasesLost, work.redelivered], [0, 0]);
  assert.equal(errors.length, 1, String(errors.map(({ error }) => error)));
  const [{ error, where }] = errors as [{ error: unknown; where: string }];
  assert.ok(isBrokerError(error, "EVENT_LOOP_BLOCKED"), String(error));
  const blockedMs = Number(error.context["blockedMs"]);
  assert.ok(blockedMs >= 3_000 && blockedMs < 60_000, `${blockedMs} ms`);
  assert.match(error.message, new RegExp(`blocked for at least ${blockedMs} ms`));
  assert.equal(where, "handling messages");
});

const SETTLE: Readonly<Record<string, (delivery: Delivery) => unknown>> = {
  ack: (delivery) => delivery.ack(),
  nack: (delivery) => delivery.nack({ error: "again" }),
  release: (delivery) => delivery.release(),
  deadLetter: (delivery) => delivery.deadLetter("twice"),
  extend: (delivery) => delivery.extend("1m"),
};

test("what was settled is not settled again, in whatever way, and nothing comes of trying", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  for (const [how, settle] of Object.entries(SETTLE)) {
    await queue.send(how);
    const [delivery] = await queue.receiveBatch({ max: 1 });
    await delivery!.ack();
    await failsWith("LEASE_LOST", () => settle(delivery!));
  }
  await bus.advance("1h");
  assert.deepEqual(await queue.receiveBatch({ max: 1 }), []);
  const { settled, deadLetters } = await queue.statistics();
  assert.deepEqual([settled, deadLetters], [Object.keys(SETTLE).length, 0]);
});

test("who has lost a message settles nothing of who has it now", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  for (const [how, settle] of Object.entries(SETTLE)) {
    await queue.send(how);
    const [lost] = await queue.receiveBatch({ max: 1, lease: "10s" });
    await bus.advance("11s");
    const [held] = await queue.receiveBatch({ max: 1, lease: "10m" });
    assert.equal(held?.attempt, 2);
    await failsWith("LEASE_LOST", () => settle(lost!));
    assert.deepEqual(await queue.receiveBatch({ max: 1 }), [], `after ${how} it is still held`);
    await held!.ack();
  }
});

test("who commits up to a message settles nothing that another receiver has", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  for (const body of ["1", "2", "3"]) await queue.send(body);
  const [first] = await queue.receiveBatch({ max: 1 });
  const others = await queue.receiveBatch({ max: 2 });
  await others[1]!.commit();
  assert.equal((await queue.statistics()).inFlight, 1);
  await first!.nack();
  const [again] = await queue.receiveBatch({ max: 1 });
  assert.deepEqual([again!.message.text(), again!.attempt], ["1", 2]);
});

test("of two transactions that acknowledge one delivery, one is stored, and of the other nothing", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.send("once");
  const [delivery] = await queue.receiveBatch({ max: 1 });
  const outcomes = await Promise.allSettled(
    ["one", "other"].map((body) =>
      bus.transaction(async (tx) => {
        tx.ack(delivery!);
        await tx.queue("out").send(body);
      }),
    ),
  );
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  const sent = await bus.queue("out").receiveBatch({ max: 10 });
  assert.deepEqual(
    sent.map(({ message }) => message.text()),
    ["one"],
  );
});

test("a delivery of another bus is refused by a transaction, and stays with its owner", async (t) => {
  const [own, other] = [await testBus(t), await testBus(t)];
  await other.queue("q").send("theirs");
  const [theirs] = await other.queue("q").receiveBatch({ max: 1 });
  await failsWith("INVALID_OPTION", () =>
    own.transaction(async (tx) => {
      await tx.queue("out").send("x");
      tx.ack(theirs!);
    }),
  );
  await theirs!.ack();
  assert.equal((await other.queue("q").statistics()).settled, 1);
});
