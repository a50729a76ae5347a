// Timeouts, leases and their renewal, extension: what becomes of handlers that take long.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BrokerErrorCode,
  command,
  type HandlerContext,
  isBrokerError,
  memory,
  openBus,
} from "../../src/index.js";
import type { Timer } from "../../src/io/io.js";
import { systemIo } from "../../src/io/system-io.js";
import { VirtualClock } from "../../src/testing/index.js";
import { type Deferred, deadLettersOf, deferred, testBus } from "../support/buses.js";

const Work = command<number>("work");
const never = () => new Promise<void>(() => undefined);

function hasCode(reason: unknown, code: BrokerErrorCode): boolean {
  return isBrokerError(reason, code);
}

test("a handler that never returns loses its place and its message after the timeout, and is told", async (t) => {
  const bus = await testBus(t);
  const signals: AbortSignal[] = [];
  const seen: string[] = [];
  const handling = bus.handle(
    Work,
    { timeout: "1m", retry: { attempts: 2, delay: "1s", jitter: 0 } },
    (number, ctx) => {
      seen.push(`${number}/${ctx.attempt}`);
      if (number !== 1) return undefined;
      signals.push(ctx.signal);
      return never();
    },
  );
  await bus.sendMany(Work, [1, 2]);
  await bus.advance("59s");
  assert.deepEqual(seen, ["1/1"]);
  assert.equal(signals[0]!.aborted, false);
  await bus.advance("2s");
  assert.deepEqual(seen, ["1/1", "2/1", "1/2"]);
  assert.equal(signals[0]!.aborted, true);
  assert.match(String(signals[0]!.reason), /timeout is 60000 ms/);
  assert.equal(handling.running, 1);
  await bus.advance("2m");
  assert.equal(handling.running, 0);
  const [dead] = await deadLettersOf(bus);
  assert.equal(dead?.reason, "attempts-exhausted");
  assert.match(dead?.error ?? "", /did not answer in time/);
  assert.deepEqual(bus.errors, []);
});

test("what a handler answers after its timeout is not heard", async (t) => {
  const bus = await testBus(t);
  const gates = [deferred(), deferred()];
  let calls = 0;
  bus.handle(Work, { timeout: "1s", retry: { attempts: 3, delay: "1s", jitter: 0 } }, () => {
    calls += 1;
    return gates[calls - 1]?.promise;
  });
  await bus.send(Work, 1);
  await bus.advance("1s");
  gates[0]!.resolve();
  await bus.advance("1s");
  assert.equal(calls, 2);
  await bus.advance("1s");
  gates[1]!.reject(new Error("late"));
  await bus.advance("2s");
  assert.equal(calls, 3);
  assert.equal((await bus.queue("work").statistics()).settled, 1);
  assert.deepEqual(bus.errors, []);
});

test("a signal that is asked for after the timeout says why it is aborted", async (t) => {
  const bus = await testBus(t);
  const contexts: HandlerContext[] = [];
  bus.handle(Work, { timeout: "1s" }, (_number, ctx) => {
    contexts.push(ctx);
    return never();
  });
  await bus.send(Work, 1);
  await bus.advance("1s");
  assert.match(String(contexts[0]!.signal.reason), /timeout/);
});

test("places that stuck handlers held are given to other messages, however many there were", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  bus.handle(Work, { concurrency: 2, prefetch: 2, timeout: "1s", retry: { attempts: 1 } }, (number) => {
    seen.push(number);
    return number < 20 ? never() : undefined;
  });
  await bus.sendMany(
    Work,
    Array.from({ length: 25 }, (_, number) => number),
  );
  await bus.advance("11s");
  assert.equal(seen.length, 25);
  assert.equal((await deadLettersOf(bus)).length, 20);
});

test("the lease of a running handler is renewed for as long as it takes", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  const seen: number[] = [];
  let signal: AbortSignal | undefined;
  bus.handle(Work, { lease: "10s", timeout: "1h" }, async (number, ctx) => {
    signal ??= ctx.signal;
    await gate.promise;
    seen.push(number);
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.advance("30m");
  assert.equal(signal?.aborted, false);
  gate.resolve();
  await bus.settled();
  assert.deepEqual(seen, [1, 2]);
  const { redelivered, leasesLost } = await bus.queue("work").statistics();
  assert.deepEqual({ redelivered, leasesLost }, { redelivered: 0, leasesLost: 0 });
});

for (const [when, extend] of [
  ["before its first await", (ctx: HandlerContext) => ctx.extend("1h")],
  [
    "later",
    async (ctx: HandlerContext) => {
      await undefined;
      ctx.extend("1h");
    },
  ],
] as const) {
  test(`extend, called ${when}, gives a handler more time than its timeout`, async (t) => {
    const bus = await testBus(t);
    const gate = deferred();
    const attempts: number[] = [];
    bus.handle(Work, { timeout: "1m" }, async (_number, ctx) => {
      attempts.push(ctx.attempt);
      await extend(ctx);
      await gate.promise;
    });
    await bus.send(Work, 1);
    await bus.advance("59m");
    gate.resolve();
    await bus.settled();
    assert.deepEqual(attempts, [1]);
    assert.equal((await bus.queue("work").statistics()).settled, 1);
  });
}

test("extend can shorten the time too, and refuses what is no duration", async (t) => {
  const bus = await testBus(t);
  const attempts: number[] = [];
  bus.handle(Work, { timeout: "1h", retry: { attempts: 1 } }, async (number, ctx) => {
    attempts.push(number);
    ctx.extend(number === 1 ? "1s" : ("soon" as "1s"));
    await never();
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.advance("2s");
  assert.deepEqual(attempts, [1, 2]);
  const errors = (await deadLettersOf(bus)).map(({ error }) => error);
  assert.match(errors.join(), /did not answer/);
  assert.match(errors.join(), /option extend is "soon"/);
});

/** A clock whose renewals never run: as if the process stood still for longer than a lease. */
class StandingClock extends VirtualClock {
  override setTimer(action: () => void, delayMs: number): Timer {
    return delayMs === 10_000 ? { cancel: () => undefined } : super.setTimer(action, delayMs);
  }
}

test("a handler that lost its lease is told, its answer changes nothing, and its place is free again", async (t) => {
  const clock = new StandingClock();
  const errors: unknown[] = [];
  const bus = await openBus(memory({ io: { ...systemIo, clock } }), {
    onError: (error) => errors.push(error),
  });
  t.after(() => bus.close());
  const gates = new Map<number, Deferred>();
  const signals: AbortSignal[] = [];
  const seen: string[] = [];
  bus.handle(
    Work,
    { lease: "30s", timeout: "1h", prefetch: 1, retry: { attempts: 4 } },
    async (number, ctx) => {
      seen.push(`${number}/${ctx.attempt}`);
      if (ctx.attempt > 1 || number === 3) return;
      signals.push(ctx.signal);
      const gate = deferred();
      gates.set(number, gate);
      await gate.promise;
    },
  );
  await bus.sendMany(Work, [1, 2, 3]);
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await turns();
  await clock.advance(31_000, turns);
  assert.ok(hasCode(signals[0]?.reason, "LEASE_LOST"));
  assert.deepEqual(seen, ["1/1"]);
  gates.get(1)!.resolve();
  await turns();
  assert.ok(hasCode(errors[0], "LEASE_LOST"));
  assert.deepEqual(seen.slice(1, 3), ["1/2", "2/1"]);
  await clock.advance(31_000, turns);
  gates.get(2)!.reject(new Error("after the lease was lost"));
  await turns();
  assert.equal(errors.length, 2);
  assert.ok(hasCode(errors[1], "LEASE_LOST"));
  assert.deepEqual(seen.slice(3), ["2/2", "3/1"]);
  assert.deepEqual(await deadLettersOf(bus), []);
  assert.equal((await bus.queue("work").statistics()).settled, 3);
});

test("a stuck handler that lost its lease does not hold its place for ever either", async (t) => {
  const clock = new StandingClock();
  const bus = await openBus(memory({ io: { ...systemIo, clock } }), { onError: () => undefined });
  t.after(() => bus.close());
  const seen: string[] = [];
  bus.handle(Work, { lease: "30s", timeout: "1m", prefetch: 1 }, (number, ctx) => {
    seen.push(`${number}/${ctx.attempt}`);
    return ctx.attempt === 1 ? never() : undefined;
  });
  await bus.sendMany(Work, [1, 2]);
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await turns();
  await clock.advance(10 * 60_000, turns);
  assert.deepEqual(seen, ["1/1", "1/2", "2/1", "2/2"]);
});

test("an idle handler sets no timers, however short its lease is", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { lease: 30 }, () => undefined);
  await bus.send(Work, 1);
  await bus.advance("1s");
  let timers = 0;
  const setTimer = bus.clock.setTimer.bind(bus.clock);
  bus.clock.setTimer = (action, delayMs) => {
    timers += 1;
    return setTimer(action, delayMs);
  };
  await bus.advance("10m");
  assert.ok(timers < 100, `${timers} timers in 10 minutes`);
});
