import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Broker } from "../../src/broker/broker.js";
import type { LiveMessage } from "../../src/broker/live-message.js";
import type { FullPolicy, LiveSubscription } from "../../src/broker/live-subscription.js";
import type { OutgoingMessage } from "../../src/broker/message.js";
import type { Topic } from "../../src/broker/topic.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";

async function publishing(world: BrokerWorld, tailCacheBytes?: number) {
  const broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
  const topic = await broker.declareTopic("order", { partitions: 2 });
  await broker.bind({ to: { kind: "topic", name: "order" }, pattern: "order.#" });
  const publish = async (...subjects: string[]): Promise<void> => {
    for (const subject of subjects) broker.publish(message(subject, { subject, key: subject }));
    await broker.flush();
    await world.quiet();
  };
  return { broker, topic, publish };
}

async function drain(live: LiveSubscription): Promise<string[]> {
  live.close();
  const values: string[] = [];
  for (let seen = await live.take(); seen !== undefined; seen = await live.take()) values.push(textOf(seen));
  return values;
}

function textOf(seen: LiveMessage): string {
  return seen.record.valueText();
}

const LARGE = { bufferMax: 1_000, whenFull: "drop-oldest" } as const;

test("a live subscription sees what is committed from then on, if its pattern matches", async () => {
  const world = new BrokerWorld();
  const { broker, publish } = await publishing(world);
  await publish("order.early");
  const all = broker.subscribeLive({ pattern: "#", ...LARGE });
  const some = broker.subscribeLive({ pattern: "order.*.a", ...LARGE });
  await publish("order.x", "order.y.a", "order.y.b", "order.z.a");
  assert.deepEqual((await drain(all)).sort(), ["order.x", "order.y.a", "order.y.b", "order.z.a"]);
  assert.deepEqual((await drain(some)).sort(), ["order.y.a", "order.z.a"]);
  await broker.close();
});

test("a message says where it is", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await publishing(world);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  const taking = live.take();
  const appended = topic.append(message("a", { subject: "order.a", key: "k" }));
  await appended.committed;
  const seen = (await taking)!;
  assert.deepEqual(
    [seen.source, seen.partition, seen.record.offset, textOf(seen)],
    ["order", appended.partition, 0, "a"],
  );
  await broker.close();
});

test("topics that are declared later are seen as well, and messages that are not in memory any more", async () => {
  const world = new BrokerWorld();
  const { broker, publish } = await publishing(world, 1);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  const late = await broker.declareTopic("late");
  late.append(message("late"));
  await publish("order.a");
  await publish("order.b");
  assert.deepEqual((await drain(live)).sort(), ["late", "order.a", "order.b"]);
  await broker.close();
});

for (const [whenFull, seen] of [
  ["drop-newest", ["1", "2", "3"]],
  ["drop-oldest", ["3", "4", "5"]],
] as const) {
  test(`a full buffer: ${whenFull}`, async () => {
    const world = new BrokerWorld();
    const { broker, topic } = await publishing(world);
    const live = broker.subscribeLive({ pattern: "#", bufferMax: 3, whenFull });
    for (const value of ["1", "2", "3", "4", "5"]) topic.append(message(value, { key: "k" }));
    await broker.flush();
    assert.equal(live.dropped, 2);
    assert.deepEqual(await drain(live), seen);
    await broker.close();
  });
}

test("a full buffer: disconnect, after what was there is taken, and nobody else is touched", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await publishing(world);
  const slow = broker.subscribeLive({ pattern: "#", bufferMax: 2, whenFull: "disconnect" });
  const other = broker.subscribeLive({ pattern: "#", ...LARGE });
  for (const value of ["1", "2", "3", "4"]) topic.append(message(value, { key: "k" }));
  await broker.flush();
  assert.equal(textOf((await slow.take())!), "1");
  assert.equal(textOf((await slow.take())!), "2");
  await assert.rejects(slow.take(), (error) => isBrokerError(error, "SLOW_SUBSCRIBER"));
  await assert.rejects(slow.take(), (error) => isBrokerError(error, "SLOW_SUBSCRIBER"));
  assert.deepEqual(await drain(other), ["1", "2", "3", "4"]);
  await broker.close();
});

test("everyone who waits for a message gets one, or is told of the end", async () => {
  const world = new BrokerWorld();
  const { broker, publish } = await publishing(world);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  const takes = [live.take(), live.take(), live.take(), live.take()];
  await publish("order.a", "order.b");
  live.close();
  const texts = (await Promise.all(takes)).map((seen) => (seen === undefined ? "end" : textOf(seen)));
  assert.deepEqual(texts.sort(), ["end", "end", "order.a", "order.b"]);
  await broker.close();
});

test("a wait ends with its signal, and the next one goes on", async () => {
  const world = new BrokerWorld();
  const { broker, publish } = await publishing(world);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  const abort = new AbortController();
  const taking = live.take(abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(taking, /enough/);
  await publish("order.a");
  assert.equal(textOf((await live.take())!), "order.a");
  await broker.close();
});

test("closing the broker ends every live subscription", async () => {
  const world = new BrokerWorld();
  const { broker } = await publishing(world);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  const taking = live.take();
  await broker.close();
  assert.equal(await taking, undefined);
  assert.throws(
    () => broker.subscribeLive({ pattern: "#", ...LARGE }),
    (error) => isBrokerError(error, "CLOSED"),
  );
});

test("who subscribes after all others have left sees nothing of the time between", async () => {
  const world = new BrokerWorld();
  const { broker, publish } = await publishing(world);
  const first = broker.subscribeLive({ pattern: "#", ...LARGE });
  await publish("order.a");
  assert.deepEqual(await drain(first), ["order.a"]);
  await publish("order.b");
  const second = broker.subscribeLive({ pattern: "#", ...LARGE });
  await publish("order.c");
  assert.deepEqual(await drain(second), ["order.c"]);
  await broker.close();
});

test("a record whose subject is none is passed over, and those after it are seen", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await publishing(world);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  topic.append(message("bad", { subject: "a\nb", key: "k" }));
  topic.append(message("good", { subject: "order.a", key: "k" }));
  await broker.flush();
  assert.deepEqual(await drain(live), ["good"]);
  assert.deepEqual(world.reported, []);
  await broker.close();
});

test("a record whose headers are damaged stops neither the broker nor what comes after", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await publishing(world);
  const live = broker.subscribeLive({ pattern: "#", ...LARGE });
  const headers = Buffer.from([2, 99, 1]);
  topic.append({ subject: "order", key: "k", value: "bad", headers, expiresAtMs: 0, timestampMs: START_MS });
  await broker.flush();
  topic.append(message("good", { subject: "order.a", key: "k" }));
  await broker.flush();
  assert.deepEqual(await drain(live), ["good"]);
  assert.equal(world.reported.length, 1);
  assert.equal(world.reported[0]!.where, "following order");
  await broker.close();
});

function live(value: string, subject = "order.live"): OutgoingMessage {
  return message(value, { subject });
}

test("what is published live is seen by those who look on at that moment, and stored nowhere", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await publishing(world);
  assert.equal(broker.publishLive(live("before")), 0);
  const all = broker.subscribeLive({ pattern: "#", ...LARGE });
  const some = broker.subscribeLive({ pattern: "order.live", ...LARGE });
  assert.equal(broker.publishLive(live("1")), 2);
  assert.equal(broker.publishLive(live("2", "order.other")), 1);
  some.close();
  assert.equal(broker.publishLive(live("3")), 1);
  const seen = (await all.take())!;
  assert.deepEqual(
    [seen.subject, seen.source, seen.partition, seen.record.offset, seen.record.timestampMs, textOf(seen)],
    ["order.live", undefined, undefined, -1, START_MS, "1"],
  );
  assert.equal(seen.record.header("omnibus-subject")?.toString(), "order.live");
  assert.equal(seen.record.value?.toString(), "1");
  assert.deepEqual(await drain(all), ["2", "3"]);
  assert.deepEqual(await drain(some), ["1"]);
  assert.equal(topic.partitions[0]!.highWatermark + topic.partitions[1]!.highWatermark, 0);
  await broker.close();
});

test("of one group each message is seen by one, in turns, and by the next when one has no room", async () => {
  const world = new BrokerWorld();
  const { broker, publish } = await publishing(world);
  const options = { pattern: "order.>", bufferMax: 2, whenFull: "drop-newest", group: "g" } as const;
  const members = [broker.subscribeLive(options), broker.subscribeLive({ ...options, pattern: "#" })];
  const other = broker.subscribeLive({ pattern: "#", ...LARGE });
  for (const value of ["1", "2", "3", "4"]) assert.equal(broker.publishLive(live(value)), 2);
  assert.equal(broker.publishLive(live("5")), 1);
  assert.equal((await drain(other)).length, 5);
  const seen = await Promise.all(members.map(drain));
  assert.deepEqual(seen.flat().sort(), ["1", "2", "3", "4"]);
  assert.deepEqual(
    seen.map(({ length }) => length),
    [2, 2],
  );
  await publish("order.a");
  await broker.close();
});

test("an inbox gets what is published to its subject; no pattern sees that, and nobody once it is closed", async () => {
  const world = new BrokerWorld();
  const { broker } = await publishing(world);
  const all = broker.subscribeLive({ pattern: "#", ...LARGE });
  const got: string[] = [];
  const receiver = { group: undefined, offer: (seen: LiveMessage) => got.push(textOf(seen)) > 0 };
  const inbox = broker.live.openInbox(receiver);
  const other = broker.live.openInbox(receiver);
  assert.notEqual(inbox.subject, other.subject);
  assert.equal(broker.publishLive(live("1", inbox.subject)), 1);
  inbox.close();
  assert.equal(broker.publishLive(live("2", inbox.subject)), 0);
  assert.deepEqual(got, ["1"]);
  assert.deepEqual(await drain(all), []);
  await broker.close();
});

test("subscriptions that come and go change who sees a subject at once, however it is written", async () => {
  const world = new BrokerWorld();
  const { broker } = await publishing(world);
  const always = broker.subscribeLive({ pattern: "x", ...LARGE });
  assert.equal(broker.publishLive(live("0", "a.b")), 0);
  const literal = broker.subscribeLive({ pattern: "a.b", ...LARGE });
  assert.equal(broker.publishLive(live("1", "a.b")), 1);
  assert.equal(broker.publishLive(live("2", "\\a.b")), 1);
  const wild = broker.subscribeLive({ pattern: "*.b", ...LARGE });
  const escaped = broker.subscribeLive({ pattern: "\\a.b", ...LARGE });
  assert.equal(broker.publishLive(live("3", "a.b")), 3);
  assert.equal(broker.publishLive(live("4", "\\a.b")), 3);
  literal.close();
  escaped.close();
  assert.equal(broker.publishLive(live("5", "\\a.b")), 1);
  wild.close();
  assert.equal(broker.publishLive(live("6", "a.b")), 0);
  assert.throws(
    () => broker.publishLive(live("7", "a\nb")),
    (error) => isBrokerError(error, "INVALID_SUBJECT"),
  );
  assert.deepEqual(await drain(always), []);
  await broker.close();
});

const WAIT = { bufferMax: 2, whenFull: "wait" } as const;

test("wait: what there was no room for is read from the log later, in order, and nothing is lost or seen twice", async () => {
  for (const tailCacheBytes of [undefined, 1]) {
    const world = new BrokerWorld();
    const { broker, topic } = await publishing(world, tailCacheBytes);
    const slow = broker.subscribeLive({ pattern: "order.*", ...WAIT });
    const other = broker.subscribeLive({ pattern: "#", ...LARGE });
    const seen: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (let i = 0; i < 6; i += 1) {
        const subject = i === 3 ? "not.matched" : "order.a";
        topic.append(message(`${round}.${i}`, { subject, key: "k" }));
      }
      await broker.flush();
      for (let taken = 0; taken < 3; taken += 1) seen.push(textOf((await slow.take())!));
    }
    while (seen.length < 25) seen.push(textOf((await slow.take())!));
    const all = (await drain(other)).sort();
    assert.equal(all.length, 30);
    assert.deepEqual(
      seen,
      all.filter((value) => !value.endsWith(".3")),
    );
    assert.equal(slow.dropped, 0);
    topic.append(message("last", { subject: "order.a", key: "k" }));
    await broker.flush();
    assert.equal(textOf((await slow.take())!), "last");
    await broker.close();
    assert.deepEqual(world.reported, []);
  }
});

/** A subscription that waits, and what a random history does with it. */
class Watched {
  readonly seen: LiveMessage[] = [];
  readonly #broker: Broker;
  readonly #topic: Topic;
  readonly #slow: LiveSubscription;
  #expected = 0;

  constructor(broker: Broker, topic: Topic, bufferMax: number) {
    this.#broker = broker;
    this.#topic = topic;
    this.#slow = broker.subscribeLive({ pattern: "order.*", bufferMax, whenFull: "wait" });
  }

  publish(): void {
    this.#topic.append(message("", { subject: "order.a", key: `k${this.#expected % 3}` }));
    this.#expected += 1;
  }

  publishLive(): void {
    this.#expected += this.#broker.publishLive(live("live"));
  }

  async take(): Promise<void> {
    await this.#broker.flush();
    if (this.seen.length < this.#expected) this.seen.push((await this.#slow.take())!);
  }

  async takeAll(): Promise<void> {
    while (this.seen.length < this.#expected) await this.take();
  }
}

test("wait: of whatever is published and taken in whatever order, all of each partition is seen once, in its order", async () => {
  const actions = { publish: 4, take: 3, publishLive: 1 } as const;
  const step = fc.oneof(
    ...Object.entries(actions).map(([name, weight]) => ({
      weight,
      arbitrary: fc.tuple(fc.constant(name as keyof typeof actions), fc.integer({ min: 1, max: 8 })),
    })),
  );
  const buffer = fc.integer({ min: 1, max: 4 });
  const cache = fc.constantFrom(undefined, 1);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), buffer, cache, async (steps, bufferMax, cached) => {
      const world = new BrokerWorld();
      const { broker, topic } = await publishing(world, cached);
      const watched = new Watched(broker, topic, bufferMax);
      for (const [name, count] of steps) for (let i = 0; i < count; i += 1) await watched[name]();
      await watched.takeAll();
      for (const [partition, { highWatermark }] of topic.partitions.entries()) {
        const offsets = watched.seen.filter((one) => one.partition === partition);
        assert.deepEqual(
          offsets.map(({ record }) => record.offset),
          Array.from({ length: highWatermark }, (_, offset) => offset),
        );
      }
      await broker.close();
      assert.deepEqual(world.reported, []);
    }),
    { numRuns: 100 },
  );
});

test("wait: who publishes live stands in line for room, and whoever does not is not taken, and counted", async () => {
  const world = new BrokerWorld();
  const { broker } = await publishing(world);
  const slow = broker.subscribeLive({ pattern: "order.*", ...WAIT });
  const second = broker.subscribeLive({ pattern: "#", ...WAIT });
  for (const value of ["1", "2"]) {
    assert.equal(broker.live.mustWait("order.live"), false);
    assert.equal(broker.publishLive(live(value)), 2);
  }
  assert.equal(broker.live.mustWait("order.live"), true);
  assert.equal(broker.live.mustWait("other"), true);
  assert.equal(broker.publishLive(live("lost")), 0);
  assert.equal(slow.dropped, 1);
  const published: string[] = [];
  const publishers = ["3", "4"].map(async (value) => {
    await broker.live.waitForRoom("order.live", undefined);
    published.push(`${value}: ${broker.publishLive(live(value))}`);
  });
  const abort = new AbortController();
  const given = broker.live.waitForRoom("order.live", abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(given, /enough/);
  await world.quiet();
  assert.deepEqual(published, []);
  assert.equal(textOf((await slow.take())!), "1");
  await world.quiet();
  assert.deepEqual(published, [], "the other one has no room yet");
  assert.equal(textOf((await second.take())!), "1");
  await world.quiet();
  assert.deepEqual(published, ["3: 2"]);
  second.close();
  assert.equal(textOf((await slow.take())!), "2");
  await Promise.all(publishers);
  assert.deepEqual(published, ["3: 2", "4: 1"]);
  assert.deepEqual(await drain(slow), ["3", "4"]);
  await broker.close();
});

test("wait: what retention removed before it was read is counted as dropped", async () => {
  const world = new BrokerWorld();
  const { broker, topic } = await publishing(world);
  const slow = broker.subscribeLive({ pattern: "#", ...WAIT });
  for (let i = 0; i < 10; i += 1) topic.append(message(String(i), { key: "k" }));
  await broker.flush();
  await topic.partitions[topic.append(message("last", { key: "k" })).partition!]!.deleteBefore(5);
  await broker.flush();
  const seen: string[] = [];
  while (seen.at(-1) !== "last") seen.push(textOf((await slow.take())!));
  assert.deepEqual(seen, ["0", "1", "5", "6", "7", "8", "9", "last"]);
  assert.equal(slow.dropped, 3);
  await broker.close();
});

test("options that make no sense are refused", async () => {
  const world = new BrokerWorld();
  const { broker } = await publishing(world);
  for (const bufferMax of [0, -1, 1.5, Number.NaN])
    assert.throws(
      () => broker.subscribeLive({ pattern: "#", bufferMax, whenFull: "drop-oldest" }),
      (error) => isBrokerError(error, "INVALID_OPTION"),
    );
  assert.throws(
    () => broker.subscribeLive({ pattern: "#", bufferMax: 1, whenFull: "explode" as FullPolicy }),
    (error) => isBrokerError(error, "INVALID_OPTION"),
  );
  assert.throws(
    () => broker.subscribeLive({ pattern: "#", ...WAIT, group: "g" }),
    (error) => isBrokerError(error, "INVALID_OPTION"),
  );
  assert.throws(
    () => broker.subscribeLive({ pattern: ">.a", ...LARGE }),
    (error) => isBrokerError(error, "INVALID_SUBJECT"),
  );
  await broker.close();
});
