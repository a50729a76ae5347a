import assert from "node:assert/strict";
import { test } from "node:test";
import { ack, command, deadLetter, drop, event, retry } from "../../src/index.js";
import { deadLettersOf, deferred, testBus, thenable } from "../support/buses.js";

const Work = command<number>("work");
const Keyed = command<{ readonly key: string; readonly number: number }>("keyed", { key: ({ key }) => key });

class Hostile extends Error {
  override get message(): string {
    throw new Error("no message");
  }
}

/** What a handler may throw, and what is kept of it. */
const THROWN: readonly (readonly [unknown, RegExp])[] = [
  [new TypeError("bad"), /^TypeError: bad$/],
  ["text", /^thrown: text$/],
  [null, /^thrown: null$/],
  [undefined, /^thrown: undefined$/],
  [Symbol("s"), /^thrown: Symbol\(s\)$/],
  [10n, /^thrown: 10$/],
  [Object.create(null), /no text/],
  [new Hostile(), /no text/],
  [new Error("x".repeat(10_000)), /^Error: x{1993}$/],
];

const THEN = "then";
/** What a handler may return that is no outcome. */
const NONSENSE: readonly unknown[] = [
  null,
  true,
  0,
  "ack",
  [],
  { kind: "ack" },
  Symbol("ack"),
  () => ack(),
  Object.defineProperty({}, THEN, {
    get() {
      throw new Error("a getter");
    },
  }),
  new Proxy(
    {},
    {
      has() {
        throw new Error("a trap");
      },
    },
  ),
];

test("whatever a handler throws, at once or later, harms only its own message", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  bus.handle(Work, { retry: { attempts: 1 } }, (number) => {
    seen.push(number);
    const thrown = THROWN[number >> 1]?.[0];
    if (number >= 2 * THROWN.length) return;
    if (number % 2 === 0) throw thrown;
    return Promise.reject(thrown);
  });
  const numbers = Array.from({ length: 2 * THROWN.length + 2 }, (_, number) => number);
  await bus.sendMany(Work, numbers);
  await bus.settled();
  assert.deepEqual(seen, numbers);
  const dead = await deadLettersOf(bus);
  assert.equal(dead.length, 2 * THROWN.length);
  for (const letter of dead) {
    assert.match(letter.error, THROWN[letter.message.json<number>() >> 1]![1]);
    assert.equal(letter.reason, "attempts-exhausted");
    assert.equal(letter.attempts, 1);
  }
});

test("whatever nonsense a handler returns, at once or later, counts as a failure of its message alone", async (t) => {
  const bus = await testBus(t);
  const later = (value: unknown) => thenable((resolve) => resolve(value));
  bus.handle(Work, { retry: { attempts: 1 } }, (number): never => {
    const returned = NONSENSE[number >> 1];
    return (number % 2 === 0 ? returned : later(returned)) as never;
  });
  await bus.sendMany(
    Work,
    Array.from({ length: 2 * NONSENSE.length + 2 }, (_, number) => number),
  );
  await bus.settled();
  assert.equal((await deadLettersOf(bus)).length, 2 * NONSENSE.length);
  assert.equal((await bus.queue("work").statistics()).settled, 2);
});

test("a thenable that calls back twice, or throws after it did, is heard once", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { retry: { attempts: 1 } }, (): never => {
    const twice = thenable((resolve, reject) => {
      resolve();
      reject(new Error("twice"));
      resolve();
      throw new Error("and thrown");
    });
    return twice as never;
  });
  await bus.sendMany(Work, [1, 2, 3]);
  await bus.settled();
  assert.equal((await bus.queue("work").statistics()).settled, 3);
  assert.deepEqual(bus.errors, []);
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("outcomes: ack and drop end a message, deadLetter gives it a reason, retry brings it back when asked", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  const outcomes = [
    ack(),
    drop(),
    deadLetter("of no use"),
    retry({ after: "30s", reason: "not yet" }),
    retry(),
  ];
  const Seen = command<number>("seen");
  bus.handle(Seen, { retry: { attempts: 2, delay: "1s", jitter: 0 } }, (number, { attempt }) => {
    seen.push(`${number} at ${bus.clock.monotonicMs() / 1000}`);
    return attempt === 1 ? outcomes[number] : undefined;
  });
  await bus.sendMany(Seen, [0, 1, 2, 3, 4]);
  await bus.advance("1m");
  assert.deepEqual(seen, ["0 at 0", "1 at 0", "2 at 0", "3 at 0", "4 at 0", "4 at 1", "3 at 30"]);
  const dead = await deadLettersOf(bus);
  assert.deepEqual(
    dead.map(({ reason, error, attempts }) => [reason, error, attempts]),
    [["rejected", "of no use", 1]],
  );
});

test("a retry that was asked for counts as an attempt, and no rule for errors applies to it", async (t) => {
  const bus = await testBus(t);
  let calls = 0;
  const errors = [{ error: Error, use: "drop" as const }];
  bus.handle(Work, { retry: { attempts: 3, errors } }, () => {
    calls += 1;
    return retry({ after: "1s", reason: "still not" });
  });
  await bus.send(Work, 1);
  await bus.advance("1m");
  assert.equal(calls, 3);
  const [dead] = await deadLettersOf(bus);
  assert.equal(dead?.reason, "attempts-exhausted");
  assert.equal(dead?.error, "still not");
});

test("an outcome whose option is wrong is a failure of the handler, not of the bus", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { retry: { attempts: 1 } }, (number) =>
    number === 1 ? retry({ after: "soon" as "1s" }) : deadLetter(undefined as unknown as string),
  );
  await bus.sendMany(Work, [1, 2]);
  await bus.settled();
  const errors = (await deadLettersOf(bus)).map(({ error }) => error);
  assert.match(errors[0]!, /option after is "soon"/);
  assert.match(errors[1]!, /reason of deadLetter is undefined/);
});

test("with concurrency 1 messages are handled in order, one at a time", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  let running = 0;
  bus.handle(Work, async (number) => {
    running += 1;
    assert.equal(running, 1);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    seen.push(number);
  });
  const numbers = Array.from({ length: 250 }, (_, number) => number);
  await bus.sendMany(Work, numbers);
  await bus.settled();
  assert.deepEqual(seen, numbers);
});

test("never more than `concurrency` calls run, and never fewer while messages wait", async (t) => {
  const bus = await testBus(t);
  let running = 0;
  const peaks = new Set<number>();
  const gates: (() => void)[] = [];
  const handling = bus.handle(Work, { concurrency: 4 }, async () => {
    running += 1;
    peaks.add(running);
    await new Promise<void>((resolve) => gates.push(resolve));
    running -= 1;
  });
  await bus.sendMany(Work, [1, 2, 3, 4, 5, 6, 7, 8]);
  await bus.advance(0);
  assert.equal(handling.running, 4);
  gates.shift()!();
  await bus.advance(0);
  assert.equal(handling.running, 4);
  while (gates.length > 0) {
    for (const open of gates.splice(0)) open();
    await bus.advance(0);
  }
  await bus.settled();
  assert.equal(Math.max(...peaks), 4);
  assert.equal((await bus.queue("work").statistics()).settled, 8);
});

test("`prefetch` bounds what a handler holds, so that the rest is left to others", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  bus.handle(Work, { prefetch: 3 }, () => gate.promise);
  await bus.sendMany(Work, [1, 2, 3, 4, 5]);
  await bus.advance(0);
  const { inFlight, waiting } = await bus.queue("work").statistics();
  assert.deepEqual({ inFlight, waiting }, { inFlight: 3, waiting: 2 });
  const others = await bus.queue("work").receiveBatch({ max: 10 });
  assert.deepEqual(
    others.map(({ message }) => message.json()),
    [4, 5],
  );
  for (const delivery of others) await delivery.ack();
  gate.resolve();
  await bus.settled();
});

test("two handlers of one queue have their own concurrency, attempts and places", async (t) => {
  const bus = await testBus(t);
  const A = command<number>("a", { queue: "shared" });
  const B = command<number>("b", { queue: "shared" });
  const attempts = { a: 0, b: 0 };
  const gate = deferred();
  await bus.handle(A, { retry: { attempts: 2, delay: "1s" } }, () => {
    attempts.a += 1;
    throw new Error("a");
  }).ready;
  await bus.handle(B, { retry: { attempts: 9, delay: "1s", backoff: "fixed" } }, async () => {
    await gate.promise;
    attempts.b += 1;
    throw new Error("b");
  }).ready;
  await bus.send(B, 1);
  await bus.send(A, 1);
  await bus.advance("10s");
  assert.deepEqual(attempts, { a: 2, b: 0 });
  gate.resolve();
  await bus.advance("1m");
  assert.deepEqual(attempts, { a: 2, b: 9 });
});

test("attempts are the queue's own number where the handler gives none", async (t) => {
  const bus = await testBus(t);
  await bus.queue("work", { attemptsMax: 2 }).declare();
  let calls = 0;
  bus.handle(Work, () => {
    calls += 1;
    throw new Error("no");
  });
  await bus.send(Work, 1);
  await bus.advance("1h");
  assert.equal(calls, 2);
  assert.equal((await deadLettersOf(bus))[0]?.attempts, 2);
});

function keyed(...items: string[]): { key: string; number: number }[] {
  return items.map((item) => ({ key: item[0]!, number: Number(item[1]) }));
}

test("with order by key each key's messages are handled one at a time, in order, other keys beside them", async (t) => {
  const bus = await testBus(t);
  const running = new Set<string>();
  const seen: string[] = [];
  let peak = 0;
  bus.handle(Keyed, { concurrency: 8, orderBy: "key" }, async ({ key, number }) => {
    assert.ok(!running.has(key), `two of ${key} at a time`);
    running.add(key);
    peak = Math.max(peak, running.size);
    for (let turns = 0; turns < key.charCodeAt(0) % 4; turns += 1)
      await new Promise((resolve) => setImmediate(resolve));
    running.delete(key);
    seen.push(`${key}${number}`);
  });
  await bus.sendMany(Keyed, keyed("a0", "a1", "b0", "a2", "c0", "b1", "c1", "a3", "d0", "b2"));
  await bus.settled();
  for (const key of "abcd")
    assert.deepEqual(
      seen.filter((item) => item.startsWith(key)),
      [...seen.filter((item) => item.startsWith(key))].sort(),
    );
  assert.equal(seen.length, 10);
  assert.ok(peak > 1, "keys were not handled side by side");
});

for (const [onRetry, expected] of [
  ["block", ["a0", "b0", "b1", "a0", "a1", "a2"]],
  ["park", ["a0", "b0", "a1", "b1", "a2", "a0"]],
] as const) {
  test(`with order by key and onRetry "${onRetry}" later messages of a key ${onRetry === "block" ? "wait for" : "overtake"} one that is retried`, async (t) => {
    const bus = await testBus(t);
    const seen: string[] = [];
    const policy = { delay: "10s", jitter: 0 } as const;
    bus.handle(Keyed, { concurrency: 4, orderBy: "key", onRetry, retry: policy }, ({ key, number }, ctx) => {
      seen.push(`${key}${number}`);
      if (key === "a" && number === 0 && ctx.attempt === 1) throw new Error("once");
    });
    await bus.sendMany(Keyed, keyed("a0", "b0", "a1", "b1", "a2"));
    await bus.advance("1m");
    assert.deepEqual([...seen].sort(), [...expected].sort());
    const ofA = (items: readonly string[]) => items.filter((item) => item.startsWith("a"));
    assert.deepEqual(ofA(seen), ofA(expected));
  });
}

test("a key goes on after a message of it was dead-lettered", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  bus.handle(Keyed, { concurrency: 4, orderBy: "key", retry: { attempts: 1 } }, ({ number }) => {
    seen.push(number);
    if (number === 0) throw new Error("dead");
  });
  await bus.sendMany(Keyed, keyed("a0", "a1", "a2"));
  await bus.settled();
  assert.deepEqual(seen, [0, 1, 2]);
});

test("a handler knows its message, its attempt, and where the message comes from", async (t) => {
  const bus = await testBus(t);
  const Happened = event<number>("thing.happened", { key: (number) => `k${number}` });
  await bus.topic("thing", { partitions: 3 }).declare();
  const seen: unknown[] = [];
  bus.on(Happened, { group: "g" }, (_value, { message, attempt }) => {
    const { subject, key, source, partition, offset, contentType, timestampMs } = message;
    seen.push({ subject, key, source, partition, offset, contentType, timestampMs, attempt });
  });
  const receipt = await bus.publish(Happened, 7);
  await bus.settled();
  assert.deepEqual(seen, [
    {
      subject: "thing.happened",
      key: "k7",
      source: "thing",
      partition: receipt.partition,
      offset: receipt.offset,
      contentType: "application/json",
      timestampMs: receipt.timestampMs,
      attempt: 1,
    },
  ]);
});

test("a handler that publishes, sends and registers others is no deadlock", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.handle(Work, async (number) => {
    if (number === 0) bus.handle(Keyed, ({ key }) => void seen.push(key));
    await bus.send(Keyed, { key: `k${number}`, number });
    if (number < 3) await bus.send(Work, number + 1);
  });
  await bus.send(Work, 0);
  await bus.settled();
  assert.deepEqual(seen, ["k0", "k1", "k2", "k3"]);
});
