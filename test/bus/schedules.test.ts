import assert from "node:assert/strict";
import { test } from "node:test";
import { command, event, isBrokerError, openBus } from "../../src/index.js";
import { testBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Work = command<{ n: number }>("work", { key: ({ n }) => `k${n}` });
const Ticked = event<string>("clock.ticked");

test("a command is sent at every time, with its key and an id of the name and the time", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.handle(Work, ({ n }, ctx) => {
    seen.push(`${n} ${ctx.message.key} ${ctx.message.id} ${ctx.message.headers["tenant"]}`);
  });
  const made = await bus.schedule("jobs", { every: "1m" }, Work, { n: 1 }, { headers: { tenant: "acme" } });
  assert.deepEqual([made.everyMs, made.cron, made.queue, made.subject], [60_000, undefined, "work", "work"]);
  assert.equal(made.nextAt!.toISOString(), "2026-01-01T00:01:00.000Z");
  await bus.advance("2m");
  assert.deepEqual(seen, [
    "1 k1 jobs@2026-01-01T00:01:00.000Z acme",
    "1 k1 jobs@2026-01-01T00:02:00.000Z acme",
  ]);
});

test("an event is published for every group, by the clock of a time zone", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  for (const group of ["a", "b"])
    bus.on(Ticked, { group }, (text) => {
      seen.push(`${group} ${text} ${new Date(bus.clock.nowMs()).toISOString()}`);
    });
  await bus.schedule("mornings", { cron: "0 6 * * *", timeZone: "America/New_York" }, Ticked, "good morning");
  await bus.advance("11h");
  assert.deepEqual(seen.sort(), [
    "a good morning 2026-01-01T11:00:00.000Z",
    "b good morning 2026-01-01T11:00:00.000Z",
  ]);
});

test("the middleware of the moment is not kept in a schedule: declared again, it is the same", async (t) => {
  const bus = await testBus(t);
  let calls = 0;
  bus.use({
    publish(context, next) {
      calls += 1;
      for (const { headers } of context.messages) headers["trace"] = String(calls);
      return next();
    },
  });
  await bus.schedule("jobs", { every: "1m" }, Work, { n: 1 });
  await bus.schedule("jobs", { every: "1m" }, Work, { n: 1 });
  assert.equal(calls, 0);
  assert.equal(bus.schedules.list().length, 1);
});

test("schedules are listed, paused, resumed, replaced and removed, and are there after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await openBus(directory);
  await first.schedule("jobs", { cron: "0 * * * *" }, Work, { n: 1 });
  await first.schedule("ticks", { every: "1h" }, Ticked, "tick", { missed: "all" });
  await first.schedules.pause("jobs");
  await first.close();
  const bus = await openBus(directory);
  const [jobs, ticks] = bus.schedules.list();
  assert.deepEqual(
    [jobs!.name, jobs!.cron, jobs!.timeZone, jobs!.isPaused, jobs!.nextAt, jobs!.missed],
    ["jobs", "0 * * * *", "UTC", true, undefined, "once"],
  );
  assert.deepEqual(
    [ticks!.subject, ticks!.queue, ticks!.missed, ticks!.sent],
    ["clock.ticked", undefined, "all", 0],
  );
  await bus.schedules.resume("jobs");
  assert.ok(bus.schedules.list()[0]!.nextAt! > new Date(0));
  await assert.rejects(bus.schedule("jobs", { cron: "5 * * * *" }, Work, { n: 1 }), (error) =>
    isBrokerError(error, "SCHEDULE_MISMATCH"),
  );
  const replaced = await bus.schedule("jobs", { cron: "5 * * * *" }, Work, { n: 1 }, { replace: true });
  assert.equal(replaced.cron, "5 * * * *");
  assert.equal(await bus.schedules.remove("jobs"), true);
  assert.equal(await bus.schedules.remove("jobs"), false);
  assert.deepEqual(
    bus.schedules.list().map(({ name }) => name),
    ["ticks"],
  );
  await bus.close();
  assert.throws(
    () => bus.schedules.list(),
    (error) => isBrokerError(error, "CLOSED"),
  );
});

test("what is wrong with a schedule is said before anything is stored", async (t) => {
  const bus = await testBus(t);
  const every = { every: "1m" } as const;
  const bad: [unknown, unknown?][] = [
    [{ cron: "* * * * *", every: "1m" }],
    [{}],
    [{ every: "1m", timeZone: "UTC" }],
    [{ every: "soon" }],
    [{ at: "noon" }],
    [{ cron: "never" }],
    [every, { missed: "twice" }],
    [every, { replace: "yes" }],
    [every, { expiresIn: 0 }],
    [every, { delay: "1s" }],
  ];
  for (const [when, options] of bad)
    await assert.rejects(
      bus.schedule("bad", when as { every: "1m" }, Work, { n: 1 }, options as object),
      (error) => isBrokerError(error, "INVALID_OPTION"),
      JSON.stringify([when, options]),
    );
  await assert.rejects(bus.schedule("bad", every, Work, 5n as never), (error) =>
    isBrokerError(error, "INVALID_PAYLOAD"),
  );
  assert.deepEqual(bus.schedules.list(), []);
});
