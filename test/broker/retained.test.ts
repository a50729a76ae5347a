import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Broker } from "../../src/broker/broker.js";
import { RetainedMessages } from "../../src/broker/retained-messages.js";
import { isBrokerError } from "../../src/broker-error.js";
import { LogStore } from "../../src/log/log-store.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";
import { collect } from "../support/buses.js";
import { SimulatedWorld } from "../support/simulated-world.js";

async function retaining(world: BrokerWorld, options: Parameters<BrokerWorld["open"]>[0] = {}) {
  const broker = await world.open(options);
  const topic = await broker.declareTopic("t");
  await broker.bind({ to: { kind: "topic", name: "t" }, pattern: "#" });
  await broker.retained.open();
  return { broker, topic };
}

/** Publishes and keeps, as one. */
function keep(broker: Broker, value: string | null, subject: string, more: object = {}): void {
  const made = message(value, { subject, ...more });
  broker.atomically(() => {
    broker.publish(made);
    broker.retained.append(made);
  });
}

async function read(broker: Broker, pattern = "#"): Promise<string[]> {
  const texts: string[] = [];
  for await (const { subject, record } of broker.retained.read(pattern))
    texts.push(`${subject}=${record.valueText()}`);
  return texts;
}

test("the last message of each subject is kept, with all that was said of it", async () => {
  const world = new BrokerWorld();
  const { broker } = await retaining(world);
  keep(broker, "1", "a.x");
  keep(broker, "2", "a.y");
  keep(broker, "3", "a.x", { key: "k", headers: { h: "v" }, id: "i" });
  await broker.flush();
  assert.deepEqual(await read(broker), ["a.y=2", "a.x=3"]);
  assert.deepEqual(await read(broker, "a.x"), ["a.x=3"]);
  assert.deepEqual(await read(broker, "*.y"), ["a.y=2"]);
  assert.deepEqual(await read(broker, "b.#"), []);
  const [kept] = await collect(broker.retained.read("a.x"));
  const { record } = kept!;
  assert.deepEqual(
    [
      record.keyText(),
      record.header("h")?.toString(),
      record.header("omnibus-id")?.toString(),
      record.timestampMs,
    ],
    ["k", "v", "i", START_MS],
  );
  assert.equal((await collect(broker.retained.read("a.y")))[0]!.record.key, null);
  await broker.close();
});

test("an empty body ends that a subject has a retained message, and is published all the same", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await retaining(world);
  keep(broker, "1", "a");
  keep(broker, "", "a");
  keep(broker, null, "never");
  keep(broker, "2", "b");
  await broker.flush();
  assert.deepEqual(await read(broker), ["b=2"]);
  assert.equal(broker.retained.count, 1);
  assert.equal(topic.partitions[0]!.highWatermark, 4);
  assert.equal(await broker.retained.clear("*"), 1);
  assert.equal(await broker.retained.clear("*"), 0);
  assert.deepEqual(await read(broker), []);
  await broker.close();
});

for (const power of [false, true]) {
  test(`what is retained is there after ${power ? "a power failure" : "the process is killed"}, with or without memory for it`, async () => {
    const world = new BrokerWorld(power ? 3 : 2);
    const { broker } = await retaining(world);
    for (let i = 0; i < 50; i += 1) keep(broker, `${i}`.repeat(200), `s.${i % 7}`);
    keep(broker, "", "s.3");
    await broker.flush();
    world.crash(power);
    const again = await world.open({ tailCacheBytes: 1 });
    const expected = [43, 44, 46, 47, 48, 49].map((i) => `s.${i % 7}=${`${i}`.repeat(200)}`);
    assert.deepEqual(await read(again), expected);
    await again.retained.open();
    keep(again, "new", "s.1");
    await again.flush();
    assert.deepEqual((await read(again)).at(-1), "s.1=new");
    await again.close();
    assert.deepEqual(world.reported, []);
  });
}

/** A log and retained messages in a world in which every answer of the disk is a step. */
async function stepped(world: SimulatedWorld) {
  const store = await world.run(LogStore.open(world.io, "data"));
  const log = await world.run(store.openLog("messages", { durability: "synced" }));
  const { clock } = world.io;
  const onError = (error: unknown): void => assert.fail(String(error));
  const retained = new RetainedMessages({ clock, store, durability: "synced", subjectsMax: 10, onError });
  await world.run(retained.open());
  return { store, log, retained };
}

test("a message and its being retained survive a crash at any moment together or not at all", async () => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 80; seed += 1) {
    const world = new SimulatedWorld(seed);
    const { store, log, retained } = await stepped(world);
    const publish = (value: string): void => {
      const { timestampMs, headers } = message(value);
      store.atomically(() => {
        log.append(timestampMs, null, value, headers);
        retained.append(message(value, { subject: "s" }));
      });
    };
    publish("old");
    await world.run(store.flush());
    publish("new");
    await world.step(seed % 20);
    world.crash(seed % 2 === 0);
    const after = await stepped(world);
    const [kept] = await world.run(collect(after.retained.read("s")));
    const stored = after.log.highWatermark === 2 ? "new" : "old";
    assert.equal(kept?.record.valueText(), stored, `seed ${seed}`);
    outcomes.add(stored);
  }
  assert.equal(outcomes.size, 2, "some crashes came before the commit and some after it");
});

test("an action that throws keeps nothing", async () => {
  const world = new BrokerWorld();
  const { broker } = await retaining(world);
  keep(broker, "old", "a");
  assert.throws(() =>
    broker.atomically(() => {
      keep(broker, "new", "a");
      keep(broker, "new", "b");
      throw new Error("no");
    }),
  );
  await broker.flush();
  assert.deepEqual(await read(broker), ["a=old"]);
  await broker.close();
});

test("the subjects are limited: another one is refused with a remedy, those that are there go on", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await retaining(world, { retainedMax: 2 });
  keep(broker, "1", "a");
  keep(broker, "1", "b");
  const refused = (error: unknown): boolean =>
    isBrokerError(error, "RETAINED_FULL") && /'c' is another.*larger retainedMax/.test(error.message);
  assert.throws(() => keep(broker, "1", "c"), refused);
  keep(broker, "2", "a");
  await broker.flush();
  assert.throws(() => keep(broker, "1", "c"), refused);
  assert.equal(topic.partitions[0]!.highWatermark, 3);
  keep(broker, "", "b");
  await broker.flush();
  keep(broker, "1", "c");
  await broker.flush();
  assert.deepEqual(await read(broker), ["a=2", "c=1"]);
  await broker.close();
});

test("subjects whose message could not be stored do not count against the limit", async () => {
  const world = new BrokerWorld();
  const { broker } = await retaining(world, { retainedMax: 2 });
  assert.throws(() =>
    broker.atomically(() => {
      keep(broker, "1", "x");
      keep(broker, "1", "y");
      throw new Error("no");
    }),
  );
  keep(broker, "1", "a");
  keep(broker, "1", "b");
  await broker.flush();
  assert.deepEqual(await read(broker), ["a=1", "b=1"]);
  await broker.close();
});

test("what has expired is not given, and makes room", async () => {
  const world = new BrokerWorld();
  const { broker } = await retaining(world, { retainedMax: 2 });
  keep(broker, "1", "short", { expiresAtMs: START_MS + 5_000 });
  keep(broker, "1", "long");
  await broker.flush();
  await world.pass(6_000);
  assert.deepEqual(await read(broker), ["long=1"]);
  await world.pass(30_000);
  keep(broker, "1", "third");
  await broker.flush();
  assert.deepEqual(await read(broker), ["long=1", "third=1"]);
  await broker.close();
});

test("compaction keeps the last of each subject, also for who is reading", async () => {
  const world = new BrokerWorld();
  const { broker } = await retaining(world, { tailCacheBytes: 1 });
  const large = "x".repeat(100_000);
  for (let i = 0; i < 120; i += 1) {
    keep(broker, `${i}${large}`, `s.${i % 5}`);
    if (i % 10 === 9) await broker.flush();
  }
  const reading = broker.retained.read("#");
  const first = await reading.next();
  assert.equal(first.done, false);
  for (let i = 120; i < 160; i += 1) keep(broker, `${i}${large}`, `s.${i % 5}`);
  await broker.flush();
  await broker.maintain();
  const values: string[] = [];
  for await (const { subject, record } of reading)
    values.push(`${subject}=${record.valueText().slice(0, 3)}`);
  assert.deepEqual(
    values.map((text) => text.slice(0, 3)),
    ["s.1", "s.2", "s.3", "s.4"],
  );
  assert.deepEqual(
    (await read(broker)).map((text) => text.slice(0, 7)),
    ["s.0=155", "s.1=156", "s.2=157", "s.3=158", "s.4=159"],
  );
  await broker.close();
});

test("reading and clearing before anything was retained finds nothing and makes nothing", async () => {
  const world = new BrokerWorld();
  const { broker, store } = await world.openStore();
  assert.deepEqual(await read(broker), []);
  assert.equal(await broker.retained.clear("#"), 0);
  assert.equal(store.hasLog("retained"), false);
  assert.throws(
    () => broker.retained.read("a.>.b"),
    (error) => isBrokerError(error, "INVALID_SUBJECT"),
  );
  await broker.close();
});

test("who follows from a moment on is given what is not replaced after it, also when nothing was read before", async () => {
  const world = new BrokerWorld();
  const { broker } = await retaining(world);
  for (const subject of ["a", "b", "c"]) keep(broker, "old", subject);
  await broker.close();
  const again = await world.open();
  const live = again.subscribeLive({ pattern: "#", bufferMax: 10, whenFull: "drop-oldest" });
  const followed = again.retained.read("#", true);
  await again.retained.open();
  keep(again, "new", "b");
  keep(again, "new", "d");
  await again.flush();
  const kept = await collect(followed);
  assert.deepEqual(
    kept.map(({ subject, record }) => `${subject}=${record.valueText()}`),
    ["a=old", "c=old"],
  );
  live.close();
  const seen = [(await live.take())!, (await live.take())!];
  assert.deepEqual(
    seen.map(({ subject, record }) => `${subject}=${record.valueText()}`),
    ["b=new", "d=new"],
  );
  await again.close();
});

/** What `clear` of the model below is asked for, and what that means. */
const CLEARED: Readonly<Record<string, (subject: string) => boolean>> = {
  "#": () => true,
  "a.*": (subject) => /^a\.\w$/.test(subject),
  a: (subject) => subject === "a",
};

test("retained messages are those of a model, whatever is kept, ended and cleared", async () => {
  const subject = fc.constantFrom("a", "b", "a.x", "a.y", "a.x.z");
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant("keep"), subject) },
    fc.tuple(fc.constant("end"), subject),
    fc.tuple(fc.constant("clear"), fc.constantFrom(...Object.keys(CLEARED))),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const world = new BrokerWorld();
      const { broker } = await retaining(world);
      const model = new Map<string, string>();
      for (const [index, [kind, where]] of steps.entries()) {
        if (kind === "clear") {
          await broker.flush();
          const gone = [...model.keys()].filter(CLEARED[where]!);
          assert.equal(await broker.retained.clear(where), gone.length);
          for (const one of gone) model.delete(one);
          continue;
        }
        keep(broker, kind === "keep" ? String(index) : "", where);
        model.delete(where);
        if (kind === "keep") model.set(where, String(index));
      }
      await broker.flush();
      const expected = [...model].map(([one, value]) => `${one}=${value}`);
      assert.deepEqual(await read(broker), expected);
      await broker.close();
      assert.deepEqual(await read(await world.open()), expected);
    }),
    { numRuns: 50 },
  );
});
