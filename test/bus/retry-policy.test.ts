import assert from "node:assert/strict";
import { test } from "node:test";
import { Retries, type RetryDecision } from "../../src/bus/retry-policy.js";
import { BrokerError, command, type RetryOptions } from "../../src/index.js";
import type { Random } from "../../src/io/io.js";
import { deadLettersOf, failsWith, testBus } from "../support/buses.js";

const reported: unknown[] = [];

function retries(options: RetryOptions, fraction = 0): Retries {
  const random: Random = { uint32: () => 0, fraction: () => fraction };
  return new Retries(options, random, (error) => reported.push(error));
}

/** The delays after the first, the second, ... attempt, and how it ends. */
function delays(
  options: RetryOptions,
  thrown: unknown = new Error("any"),
  fraction = 0,
): (number | string)[] {
  const policy = retries({ jitter: 0, ...options }, fraction);
  const found: (number | string)[] = [];
  for (let attempt = 1; found.length < 20; attempt += 1) {
    const decision: RetryDecision = policy.decide(thrown, attempt);
    if (decision.kind !== "retry") {
      found.push(decision.kind === "drop" ? "drop" : decision.reason);
      break;
    }
    found.push(decision.delayMs);
  }
  return found;
}

test("delays double from 1 s up to 5 min, five tries in all, unless the policy says otherwise", () => {
  assert.deepEqual(delays({}), [1000, 2000, 4000, 8000, "attempts-exhausted"]);
  assert.deepEqual(delays({ attempts: 12 }).slice(-4), [256_000, 300_000, 300_000, "attempts-exhausted"]);
  assert.deepEqual(delays({ attempts: 1 }), ["attempts-exhausted"]);
});

test("delays are fixed, linear or exponential, after the immediate ones", () => {
  const common = { attempts: 6, delay: "2s", immediate: 2 } as const;
  assert.deepEqual(delays({ ...common, backoff: "fixed" }), [0, 0, 2000, 2000, 2000, "attempts-exhausted"]);
  assert.deepEqual(delays({ ...common, backoff: "linear" }), [0, 0, 2000, 4000, 6000, "attempts-exhausted"]);
  assert.deepEqual(delays({ ...common, backoff: "exponential" }), [
    0,
    0,
    2000,
    4000,
    8000,
    "attempts-exhausted",
  ]);
  assert.deepEqual(delays({ attempts: 3, immediate: 9 }), [0, 0, "attempts-exhausted"]);
});

test("a delay is never longer than delayMax, however many attempts there were", () => {
  const found = retries({ attempts: 1e6, delay: "1s", delayMax: "1h", jitter: 0 }).decide(
    new Error("any"),
    9e5,
  );
  assert.deepEqual(found, { kind: "retry", delayMs: 3_600_000 });
  assert.deepEqual(delays({ attempts: 3, delay: "1h" }), [3_600_000, 3_600_000, "attempts-exhausted"]);
  assert.deepEqual(delays({ attempts: 3, delay: "10s", delayMax: "1s" }), [1000, 1000, "attempts-exhausted"]);
});

test("jitter takes away its part of each delay at most", () => {
  const first = (jitter: number, fraction: number) =>
    delays({ jitter, attempts: 2, delay: 1000 }, new Error("any"), fraction)[0];
  assert.equal(first(0.2, 0), 1000);
  assert.equal(first(0.2, 0.5), 900);
  assert.equal(first(0.2, 1 - 2 ** -53), 800);
  assert.equal(first(1, 1 - 2 ** -53), 0);
  assert.equal(first(0, 0.9), 1000);
});

class PaymentError extends Error {}
class CardError extends PaymentError {}
class NoError {
  readonly isTemporary = true;
}
function OldError(this: Error): void {
  this.message = "old";
}
OldError.prototype = Object.create(Error.prototype);

test("the first rule that fits what was thrown decides: by class, subclass, or a test", () => {
  const errors: RetryOptions["errors"] = [
    { error: CardError, use: "dead-letter" },
    { error: PaymentError, use: { attempts: 2, delay: "1m" } },
    { error: NoError, use: "drop" },
    { error: (thrown) => thrown === "busy", use: { attempts: 3, backoff: "fixed" } },
    { error: OldError as unknown as typeof Error, use: "dead-letter" },
    { error: DOMException, use: "drop" },
    { error: Error, use: { attempts: 1 } },
  ];
  const policy = { attempts: 4, delay: "1s", errors } as const;
  assert.deepEqual(delays(policy, new CardError()), ["rejected"]);
  assert.deepEqual(delays(policy, new PaymentError()), [60_000, "attempts-exhausted"]);
  assert.deepEqual(delays(policy, new NoError()), ["drop"]);
  assert.deepEqual(delays(policy, "busy"), [1000, 1000, "attempts-exhausted"]);
  assert.deepEqual(delays(policy, new (OldError as unknown as typeof Error)()), ["rejected"]);
  assert.deepEqual(delays(policy, new DOMException("x")), ["drop"]);
  assert.deepEqual(delays(policy, new TypeError("x")), ["attempts-exhausted"]);
  assert.deepEqual(delays(policy, "anything else"), [1000, 2000, 4000, "attempts-exhausted"]);
});

test("a rule's policy begins with the policy for all others", () => {
  const found = delays({ attempts: 3, delay: "7s", errors: [{ error: Error, use: { backoff: "fixed" } }] });
  assert.deepEqual(found, [7000, 7000, "attempts-exhausted"]);
});

test("the most attempts of any rule are what a message may be handed out", () => {
  assert.equal(retries({ attempts: 2, errors: [{ error: Error, use: { attempts: 9 } }] }).attemptsMax, 9);
  assert.equal(retries({ attempts: 7, errors: [{ error: Error, use: "drop" }] }).attemptsMax, 7);
  const unsaid = retries({});
  unsaid.attemptsDefault = 3;
  assert.equal(unsaid.attemptsMax, 3);
});

test("a test of an error that throws itself fits nothing, and is reported", async (t) => {
  const bus = await testBus(t);
  const Work = command<number>("work");
  const errors = [
    { error: (thrown: unknown) => (thrown as { code: string }).code === "x", use: "drop" as const },
  ];
  bus.handle(Work, { retry: { attempts: 1, errors } }, () => Promise.reject(null));
  await bus.sendMany(Work, [1, 2]);
  await bus.settled();
  assert.equal((await deadLettersOf(bus)).length, 2);
  assert.equal(bus.errors.length, 2);
  assert.match(bus.errors[0]!.where, /rule of the retry policy/);
});

test("a handler's messages are retried, dead-lettered and dropped as its rules say", async (t) => {
  const bus = await testBus(t);
  const Work = command<number>("work");
  const thrown = [new CardError("card"), new PaymentError("payment"), "busy"];
  const calls: number[] = [];
  bus.handle(
    Work,
    {
      retry: {
        jitter: 0,
        errors: [
          { error: CardError, use: "dead-letter" },
          { error: (error) => error === "busy", use: "drop" },
        ],
      },
    },
    (number) => {
      calls.push(number);
      throw thrown[number];
    },
  );
  await bus.sendMany(Work, [0, 1, 2]);
  await bus.advance("1m");
  assert.deepEqual(calls, [0, 1, 2, 1, 1, 1, 1]);
  const dead = await deadLettersOf(bus);
  assert.deepEqual(
    dead.map(({ reason, error, attempts }) => [reason, error, attempts]),
    [
      ["rejected", "Error: card", 1],
      ["attempts-exhausted", "Error: payment", 5],
    ],
  );
  assert.deepEqual(dead[1]?.firstFailedAt, new Date(Date.UTC(2026, 0, 1)));
  assert.equal(dead[1]!.deadAt.getTime() - dead[1]!.firstFailedAt.getTime(), 15_000);
});

test("what is wrong in a policy is named", async () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ attempts: 0 }, /retry\.attempts is 0/],
    [{ attempts: 1.5 }, /retry\.attempts/],
    [{ attempts: 5n }, /retry\.attempts is 5/],
    [{ immediate: -1 }, /retry\.immediate/],
    [{ delay: "1 week" }, /retry\.delay is "1 week"/],
    [{ delay: 5n }, /retry\.delay is 5/],
    [{ delayMax: Number.NaN }, /retry\.delayMax is NaN/],
    [{ backoff: "random" }, /retry\.backoff is "random".*fixed, linear, exponential/],
    [{ jitter: 2 }, /retry\.jitter is 2/],
    [{ jitter: "0.1" }, /retry\.jitter/],
    [{ tries: 3 }, /no option tries of retry/],
    [{ errors: {} }, /retry\.errors/],
    [{ errors: [{ error: "Error", use: "drop" }] }, /retry\.errors\.error/],
    [{ errors: [{ error: Error, instead: "drop" }] }, /no option instead/],
    [{ errors: [{ error: Error, use: "retry" }] }, /retry\.errors\.use/],
    [{ errors: [{ error: Error }] }, /retry\.errors\.use is undefined/],
    [{ errors: [{ error: Error, use: { attempts: -1 } }] }, /retry\.attempts is -1/],
    [7, /list of retry/],
  ];
  for (const [policy, message] of wrong)
    await failsWith("INVALID_OPTION", () => retries(policy as RetryOptions), message);
  assert.ok(reported.every((error) => !(error instanceof BrokerError)));
});
