// Schedules on a simulated disk. A failure of the seeded test names the seed that repeats it: OMNIBUS_SEED=<seed>.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { ID_HEADER } from "../../src/broker/message.js";
import type { ScheduleOptions } from "../../src/broker/schedule.js";
import type { MissedPolicy, ScheduleTimes } from "../../src/broker/schedule-times.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";

const HOUR_MS = 3_600_000;
const SEEDS = 60;

function every(everyMs: number, more: Partial<ScheduleOptions> = {}): ScheduleOptions {
  return at({ everyMs }, more);
}

function at(times: ScheduleTimes, more: Partial<ScheduleOptions> = {}): ScheduleOptions {
  return { times, target: { kind: "queue", name: "work" }, message: message("tick"), ...more };
}

/** The times for which messages are in the queue, in milliseconds since the beginning of `since`, in their order. */
async function sentTimes(broker: Broker, sinceMs: number, name = "work"): Promise<number[]> {
  const times: number[] = [];
  for await (const { record } of broker.queue(name)!.browse()) {
    const [, time = ""] = record.header(ID_HEADER)!.toString().split("@");
    times.push(Date.parse(time) - sinceMs);
  }
  return times;
}

test("an interval sends its message at every time, with its key, headers and an id of its own", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  const startMs = world.clock.nowMs();
  const own = message("tick", { key: "k", headers: { tenant: "acme" } });
  await broker.schedules.declare("ticks", every(10_000, { message: own }));
  await world.pass(9_999);
  assert.equal(queue.count, 0);
  await world.pass(20_001);
  assert.deepEqual(await sentTimes(broker, startMs), [10_000, 20_000, 30_000]);
  for await (const { record } of queue.browse()) {
    assert.equal(record.valueText(), "tick");
    assert.equal(record.keyText(), "k");
    assert.equal(record.header("tenant")!.toString(), "acme");
    assert.ok(record.header(ID_HEADER)!.toString().startsWith("ticks@1970-01-01T00:"));
  }
  const [ticks] = [...broker.schedules];
  assert.deepEqual([ticks!.sent, ticks!.lastAtMs, ticks!.nextAtMs], [3, startMs + 30_000, startMs + 40_000]);
  await broker.close();
});

test("a cron expression is kept in its time zone, across both changes of the clocks", async () => {
  const world = new BrokerWorld();
  const startMs = Date.parse("2026-03-27T12:00:00Z");
  world.jumpWallClock(startMs - world.clock.nowMs());
  const broker = await world.open();
  await broker.declareQueue("work");
  await broker.schedules.declare("daily", at({ cron: "30 2 * * *", timeZone: "Europe/Berlin" }));
  await broker.schedules.declare(
    "hourly",
    at({ cron: "0 * * * *" }, { target: { kind: "queue", name: "work" } }),
  );
  await broker.schedules.remove("hourly");
  await world.pass(4 * 24 * HOUR_MS);
  const days = (await sentTimes(broker, 0)).map((timeMs) => new Date(timeMs).toISOString());
  // There is no 2:30 on the 29th; the first moment after the gap stands for it.
  assert.deepEqual(days, [
    "2026-03-28T01:30:00.000Z",
    "2026-03-29T01:00:00.000Z",
    "2026-03-30T00:30:00.000Z",
    "2026-03-31T00:30:00.000Z",
  ]);
  await broker.close();
});

test("a schedule publishes to the bus, and to everything that is bound there", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const topic = await broker.declareTopic("order");
  const queue = await broker.declareQueue("audit");
  await broker.bind({ to: { kind: "topic", name: "order" }, pattern: "order.#" });
  await broker.bind({ to: { kind: "queue", name: "audit" }, pattern: "order.due" });
  await broker.schedules.declare(
    "due",
    every(1_000, { target: { kind: "exchange", name: "" }, message: message("x", { subject: "order.due" }) }),
  );
  await world.pass(2_000);
  assert.deepEqual([topic.partitions[0]!.highWatermark, queue.count], [2, 2]);
  await broker.close();
});

test("times that were missed are made up for once, not at all, or each, as the schedule says", async () => {
  for (const isCrash of [false, true]) {
    const sent: Record<string, number[]> = {};
    for (const missed of ["once", "skip", "all"] as MissedPolicy[]) {
      const world = new BrokerWorld();
      const broker = await world.open();
      await broker.declareQueue("work");
      const startMs = world.clock.nowMs();
      await broker.schedules.declare("hours", every(HOUR_MS, { missed }));
      await world.pass(HOUR_MS);
      if (isCrash) world.crash();
      else await broker.close();
      await world.pass(3.5 * HOUR_MS);
      const again = await world.open();
      await world.pass(HOUR_MS);
      sent[missed] = (await sentTimes(again, startMs)).map((timeMs) => timeMs / HOUR_MS);
      await again.close();
    }
    assert.deepEqual(sent, { once: [1, 4, 5], skip: [1, 5], all: [1, 2, 3, 4, 5] });
  }
});

test("a late moment is not a missed one, and more missed times than one step takes are all made up for", async () => {
  const world = new BrokerWorld();
  let broker = await world.open();
  await broker.declareQueue("work");
  const startMs = world.clock.nowMs();
  await broker.schedules.declare("late", every(60_000, { missed: "skip" }));
  await broker.declareQueue("many");
  const many = { kind: "queue", name: "many" } as const;
  await broker.schedules.declare("many", every(1_000, { missed: "all", target: many }));
  await broker.close();
  await world.pass(60_000 + 29_000);
  broker = await world.open();
  await world.pass(911_500);
  const times = await sentTimes(broker, startMs, "many");
  assert.deepEqual(
    times,
    Array.from({ length: 1_000 }, (_, index) => (index + 1) * 1_000),
  );
  assert.equal((await sentTimes(broker, startMs))[0], 60_000);
  await broker.close();
});

test("a paused schedule sends nothing, over restarts, and goes on with the next time", async () => {
  const world = new BrokerWorld();
  let broker = await world.open();
  await broker.declareQueue("work");
  const startMs = world.clock.nowMs();
  await broker.schedules.declare("ticks", every(10_000, { missed: "all" }));
  await broker.schedules.pause("ticks");
  await world.pass(25_000);
  await broker.close();
  broker = await world.open();
  await world.pass(10_000);
  assert.deepEqual(
    [...broker.schedules].map(({ isPaused, nextAtMs }) => [isPaused, nextAtMs]),
    [[true, undefined]],
  );
  await broker.schedules.resume("ticks");
  await world.pass(15_000);
  assert.deepEqual(await sentTimes(broker, startMs), [40_000, 50_000]);
  await broker.close();
});

test("a schedule that was removed is gone for good, and unknown ones are named", async () => {
  const world = new BrokerWorld();
  let broker = await world.open();
  await broker.declareQueue("work");
  await broker.schedules.declare("ticks", every(1_000));
  assert.equal(await broker.schedules.remove("ticks"), true);
  assert.equal(await broker.schedules.remove("ticks"), false);
  const unknown = (error: unknown): boolean => isBrokerError(error, "SCHEDULE_NOT_FOUND");
  await assert.rejects(broker.schedules.pause("ticks"), unknown);
  await assert.rejects(broker.schedules.resume("ticks"), unknown);
  await broker.close();
  broker = await world.open();
  await world.pass(10_000);
  assert.deepEqual([...broker.schedules], []);
  assert.equal(broker.queue("work")!.count, 0);
  await broker.close();
});

test("declaring again finds the schedule as it is; declared otherwise it is refused, or replaced when that is asked for", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  await broker.schedules.declare("ticks", every(10_000));
  await world.pass(6_000);
  await broker.schedules.declare("ticks", every(10_000));
  await world.pass(4_000);
  assert.equal(queue.count, 1);
  await assert.rejects(
    broker.schedules.declare("ticks", every(20_000, { missed: "all" })),
    (error) =>
      isBrokerError(error, "SCHEDULE_MISMATCH") &&
      /everyMs":10000.*missed "once".*everyMs":20000.*missed "all"/.test(error.message),
  );
  const other = message("tock");
  await assert.rejects(
    broker.schedules.declare("ticks", every(10_000, { message: other })),
    /another message/,
  );
  // The same times go on; other ones begin.
  await world.pass(5_000);
  await broker.schedules.declare("ticks", every(10_000, { message: other, replace: true }));
  await world.pass(5_000);
  assert.equal(queue.count, 2);
  await broker.schedules.declare("ticks", every(60_000, { message: other, replace: true }));
  await world.pass(59_999);
  assert.equal(queue.count, 2);
  await world.pass(1);
  assert.equal(queue.count, 3);
  await broker.close();
});

test("times, zones and policies that are none are refused, and so are times that never come", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const bad: unknown[] = [
    {},
    { cron: "* * * * *", everyMs: 1_000 },
    { cron: "* * * *" },
    { cron: "61 * * * *" },
    { cron: 5 },
    { cron: "0 0 30 2 *" },
    { cron: "* * * * *", timeZone: "Mars/Base" },
    { cron: "* * * * *", timeZone: 2 },
    { everyMs: 99 },
    { everyMs: 1_000.5 },
    { everyMs: "1s" },
  ];
  for (const times of bad)
    await assert.rejects(
      broker.schedules.declare("bad", at(times as ScheduleTimes)),
      (error) => isBrokerError(error, "INVALID_OPTION"),
      JSON.stringify(times),
    );
  const missed = "never" as MissedPolicy;
  await assert.rejects(broker.schedules.declare("bad", every(1_000, { missed })), /missed.*"never"/);
  await assert.rejects(broker.schedules.declare("a/b", every(1_000)), (error) =>
    isBrokerError(error, "INVALID_NAME"),
  );
  assert.deepEqual([...broker.schedules], []);
  await broker.close();
});

test("a full queue, or one that is not there, gets the message when it can, and it is reported once", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const startMs = world.clock.nowMs();
  await broker.schedules.declare("ticks", every(10_000, { missed: "all" }));
  await world.pass(15_000);
  assert.deepEqual(
    world.reported.map(({ where }) => where),
    ["sending the message of schedule ticks"],
  );
  assert.ok(isBrokerError(world.reported[0]!.error, "QUEUE_NOT_FOUND"));
  const queue = await broker.declareQueue("work", { countMax: 1 });
  await world.pass(10_000);
  assert.deepEqual(await sentTimes(broker, startMs), [10_000]);
  queue.purge();
  await world.pass(1_000);
  assert.deepEqual(await sentTimes(broker, startMs), [20_000]);
  assert.equal(world.reported.length, 2);
  await broker.close();
});

test("each message of a schedule may expire, and then it does", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work", { deadLetter: false });
  await broker.schedules.declare("ticks", every(10_000, { lifeMs: 15_000 }));
  await world.pass(24_999);
  assert.equal(queue.count, 2);
  await world.pass(1);
  assert.equal(queue.count, 1);
  await broker.close();
});

test("a wall clock that is set back sends nothing twice, and one that is set forward is noticed in half a minute", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  const startMs = world.clock.nowMs();
  await broker.schedules.declare("hours", every(HOUR_MS));
  await world.pass(HOUR_MS);
  world.jumpWallClock(-HOUR_MS);
  await world.pass(1.5 * HOUR_MS);
  assert.equal(queue.count, 1);
  world.jumpWallClock(3 * HOUR_MS);
  await world.pass(30_000);
  assert.deepEqual(await sentTimes(broker, startMs), [HOUR_MS, 4 * HOUR_MS]);
  await broker.close();
});

test("the log of schedules stays small, however often they send", async () => {
  const world = new BrokerWorld();
  const { broker, store } = await world.openStore();
  await broker.declareQueue("work", { durability: "memory", countMax: 1, overflow: "drop-oldest" });
  for (let index = 0; index < 20; index += 1) await broker.schedules.declare(`s${index}`, every(100));
  const log = await store.openLog("schedules", { durability: "synced" });
  for (let round = 0; round < 12; round += 1) {
    await world.clock.advance(10_000, () => world.turns(2));
    await broker.maintain();
  }
  assert.ok(log.highWatermark > 15_000, String(log.highWatermark));
  assert.ok(log.sizeBytes < 1024 * 1024, String(log.sizeBytes));
  await broker.close();
});

test("a schedule is looked at, and does not send, beside the process that has the directory open", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("work");
  await broker.schedules.declare("ticks", every(10_000));
  await broker.flush();
  const onlooker = await world.open({ readOnly: true });
  assert.deepEqual(
    [...onlooker.schedules].map(({ name }) => name),
    ["ticks"],
  );
  await assert.rejects(onlooker.schedules.pause("ticks"), (error) => isBrokerError(error, "READ_ONLY"));
  await onlooker.close();
  await broker.close();
});

const first = process.env["OMNIBUS_SEED"];
const seeds = first === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(first)];

test("over crashes and power failures at any moment, no time is sent for twice, and none is left out", async () => {
  for (const seed of seeds) {
    try {
      await runSeed(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

async function runSeed(seed: number): Promise<void> {
  const world = new BrokerWorld(seed);
  const { random } = world;
  const everyMs = random.pick([100, 1_000, 7_000]);
  let broker = await world.open();
  await broker.declareQueue("work");
  await broker.declareQueue("other");
  await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "test" });
  await broker.bind({ to: { kind: "queue", name: "other" }, pattern: "test" });
  const startMs = world.clock.nowMs();
  // Three logs share an entry of the journal anyway; two are synced one by one, unless they are one step.
  const isAlone = random.chance(0.5);
  const target = isAlone
    ? ({ kind: "queue", name: "work" } as const)
    : ({ kind: "exchange", name: "" } as const);
  await broker.schedules.declare("ticks", every(everyMs, { missed: "all", target }));
  for (let life = 0; life < 6; life += 1) {
    void world.clock.advance(random.below(4 * everyMs), () => world.turns(random.below(3)));
    await world.turns(random.below(60));
    const end = random.pick(["crash", "power", "close", "go on"]);
    if (end === "close") await broker.close();
    else if (end !== "go on") world.crash(end === "power");
    if (end !== "go on") broker = await world.open();
  }
  await world.pass(2 * everyMs);
  const passedMs = world.clock.nowMs() - startMs;
  const expected = Array.from(
    { length: Math.floor(passedMs / everyMs) },
    (_, index) => (index + 1) * everyMs,
  );
  assert.deepEqual(await sentTimes(broker, startMs), expected);
  assert.deepEqual(await sentTimes(broker, startMs, "other"), isAlone ? [] : expected);
  await broker.close();
}

test("a schedule that is resumed after the clock was set back repeats no time", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  await broker.declareQueue("work");
  const startMs = world.clock.nowMs();
  await broker.schedules.declare("ticks", every(10_000));
  await world.pass(30_000);
  await broker.schedules.pause("ticks");
  world.jumpWallClock(-20_000);
  await broker.schedules.resume("ticks");
  await world.pass(30_000);
  assert.deepEqual(await sentTimes(broker, startMs), [10_000, 20_000, 30_000, 40_000]);
  await broker.close();
});
