import assert from "node:assert/strict";
import { test } from "node:test";
import type { FullPolicy, LiveMessage, LiveSubscription } from "../../src/broker/live-subscription.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message, START_MS } from "../support/broker-world.js";

async function publishing(world: BrokerWorld, tailCacheBytes?: number) {
  const broker = await world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
  const topic = await broker.declareTopic("order", { partitions: 2 });
  await broker.bind("order.#", "topic", "order");
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
  topic.append({ subject: "order", key: "k", value: "bad", headers, timestampMs: START_MS });
  await broker.flush();
  topic.append(message("good", { subject: "order.a", key: "k" }));
  await broker.flush();
  assert.deepEqual(await drain(live), ["good"]);
  assert.equal(world.reported.length, 1);
  assert.equal(world.reported[0]!.where, "following order");
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
    () => broker.subscribeLive({ pattern: ">.a", ...LARGE }),
    (error) => isBrokerError(error, "INVALID_SUBJECT"),
  );
  await broker.close();
});
