// What an engine cannot do does not compile. Compiled with everything else; never run.

import {
  ack,
  type Bus,
  type Capabilities,
  command,
  type EmbeddedCapabilities,
  type EngineFactory,
  embedded,
  event,
  memory,
  openBus,
} from "../../src/index.js";
import type { openTestBus, TestBus } from "../../src/testing/index.js";
import { type Equal, isTrue } from "./check.js";

interface NoDelay extends Capabilities {
  readonly delay: false;
  readonly expiry: true;
  readonly orderByKey: true;
  readonly live: true;
  readonly browse: true;
  readonly exchanges: true;
  readonly forwards: true;
}

interface Least extends Capabilities {
  readonly delay: false;
  readonly expiry: false;
  readonly orderByKey: false;
  readonly live: false;
  readonly browse: false;
  readonly exchanges: false;
  readonly priorities: false;
  readonly singleActiveConsumer: false;
  readonly consumerPriority: false;
  readonly balance: false;
  readonly assignment: false;
  readonly schedules: false;
  readonly forwards: false;
  readonly temporaryQueues: false;
  readonly retained: false;
  readonly deduplication: false;
  readonly transactions: false;
}

const Work = command<number>("work");
const Placed = event<number>("order.placed");

export async function opening(noDelay: EngineFactory<NoDelay>): Promise<void> {
  isTrue<Equal<Awaited<ReturnType<typeof openTestBus>>, TestBus>>();
  const byPath = await openBus("./data");
  isTrue<Equal<typeof byPath, Bus<EmbeddedCapabilities>>>();
  const inMemory = await openBus(memory());
  isTrue<Equal<typeof inMemory, Bus<EmbeddedCapabilities>>>();
  const onDisk = await openBus(embedded({ directory: "./data", durability: "written" }));
  isTrue<Equal<typeof onDisk, Bus<EmbeddedCapabilities>>>();
  const bus = await openBus(noDelay);
  isTrue<Equal<typeof bus, Bus<NoDelay>>>();
  // @ts-expect-error: a directory is needed.
  embedded({});
  // @ts-expect-error: a durability that does not exist.
  embedded({ directory: "./data", durability: "eternal" });
  // @ts-expect-error: an option that does not exist.
  await openBus("./data", { onerror: () => undefined });
}

export async function withoutDelay(bus: Bus<NoDelay>): Promise<void> {
  await bus.send(Work, 1, { key: "k", expiresIn: "1s" });
  bus.handle(Work, { orderBy: "key" }, () => undefined);
  bus.subscribe("#", { buffer: 5 });
  // @ts-expect-error: this engine cannot delay.
  await bus.send(Work, 1, { delay: "10s" });
  // @ts-expect-error: this engine cannot delay.
  await bus.publish(Placed, 1, { deliverAt: new Date() });
  // @ts-expect-error: this engine cannot delay.
  await bus.sendMany(Work, [1], { delay: "10s" });
  // @ts-expect-error: this engine cannot delay.
  await bus.queue("q").send("a", { delay: "10s" });
  // @ts-expect-error: this engine cannot delay.
  await bus.topic("t").publish("a", { delay: "10s" });
}

export async function withTheLeast(bus: Bus<Least>): Promise<void> {
  await bus.send(Work, 1, { id: "1" });
  bus.handle(Work, { concurrency: 5 }, () => undefined);
  // @ts-expect-error: this engine cannot expire.
  await bus.send(Work, 1, { expiresIn: "1s" });
  // @ts-expect-error: this engine has no order by key.
  bus.handle(Work, { orderBy: "key" }, () => undefined);
  // @ts-expect-error: this engine has no order by key.
  bus.on(Placed, { group: "g", onRetry: "park" }, () => undefined);
  // @ts-expect-error: this engine has no order by key.
  bus.queue("q").consume({ orderBy: "key" }, () => undefined);
  const group = bus.topic("t").group("g");
  // @ts-expect-error: this engine has no order by key.
  group.consume({ orderBy: "key" }, () => undefined);
  // @ts-expect-error: this engine has no priorities.
  bus.queue("q", { priorities: 3 });
  // @ts-expect-error: this engine has no single active consumer.
  bus.queue("q", { singleActiveConsumer: true });
  // @ts-expect-error: this engine does not balance.
  bus.topic("t").group("g", { balance: "key" });
  // @ts-expect-error: this engine assigns no partitions.
  bus.topic("t").group("g", { assignment: "partitions" });
  // @ts-expect-error: this engine has no priorities of consumers.
  bus.handle(Work, { priority: 1 }, () => undefined);
  // @ts-expect-error: this engine assigns no partitions.
  bus.queue("q").receive({ onAssigned: () => undefined });
  // @ts-expect-error: this engine has no priorities.
  await bus.send(Work, 1, { priority: 1 });
  // @ts-expect-error: this engine has no priorities.
  await bus.queue("q").send("a", { priority: 1 });
  // @ts-expect-error: this engine has no queues that go by themselves.
  bus.queue("q", { expiresAfter: "1m" });
  // @ts-expect-error: this engine has no queues that go by themselves.
  bus.queue("q", { exclusive: true });
  // @ts-expect-error: this engine has no queues that go by themselves.
  bus.queue("q", { autoDelete: true });
  // @ts-expect-error: this engine has no live subscriptions.
  bus.subscribe("#", { buffer: 5 });
  // @ts-expect-error: this engine has no exchanges.
  bus.exchange("x", { kind: "fanout" });
  // @ts-expect-error: this engine does not forward.
  await bus.queue("q").forwardTo({ subject: "a" });
  // @ts-expect-error: this engine has no schedules.
  await bus.schedule("s", { every: "1m" }, Work, 1);
  // @ts-expect-error: this engine has no live publishing.
  await bus.publishLive(Placed, 1, { key: "k" });
  // @ts-expect-error: this engine has no requests.
  await bus.request(Work, 1, { timeout: "1s" });
  // @ts-expect-error: this engine retains nothing.
  await bus.publish(Placed, 1, { retain: true });
  // @ts-expect-error: this engine retains nothing.
  bus.retained("#");
}

/** A part of an application takes any bus, and may ask for what not every engine can: one that cannot refuses it. */
export async function onAnyEngine(any: Bus, bus: Bus<EmbeddedCapabilities>, test: TestBus): Promise<void> {
  await onAnyEngine(bus, bus, test);
  await onAnyEngine(test, test, test);
  await any.send(Work, 1, { delay: "10s", expiresIn: "1h" });
  any.handle(Work, { orderBy: "key", onRetry: "park" }, () => undefined);
  any.subscribe("#", { buffer: 5 });
  await any.queue("q", { priorities: 3 }).send("a", { priority: 2 });
  any.queue("q", { balance: "fewest", singleActiveConsumer: true }).receive({ priority: 1, consumer: "a" });
  any.topic("t").group("g", { assignment: "partitions", from: "beginning" });
  bus.on(
    Placed,
    { group: "g", consumer: "a", priority: -1, onRevoked: (partitions) => partitions.at(0) },
    () => {},
  );
  // @ts-expect-error: a balance that does not exist.
  any.queue("q", { balance: "luck" });
  // @ts-expect-error: a queue has no partitions.
  any.queue("q", { assignment: "partitions" });
  any.queue("q", { expiresAfter: "1m", autoDelete: true, exclusive: true });
  // @ts-expect-error: a unit that does not exist.
  any.queue("q", { expiresAfter: "10 weeks" });
  // @ts-expect-error: a place is a word, an offset or a time.
  await any.topic("t").group("g").seek("new");
  // @ts-expect-error: a partition without an offset is no place.
  await any.topic("t").group("g").seek({ partition: 1 });
  await any
    .topic("t")
    .group("g", { from: { time: new Date() } })
    .seek({ offset: 1, partition: 2 });
  await any.schedule("s", { cron: "0 * * * *", timeZone: "UTC" }, Placed, 1, { missed: "all" });
  await bus.schedule("s", { every: "1m" }, Work, 1, { expiresIn: "5m", replace: true });
  // @ts-expect-error: the command's value is a number.
  await bus.schedule("s", { every: "1m" }, Work, "1");
  // @ts-expect-error: an interval has no time zone.
  await bus.schedule("s", { every: "1m", timeZone: "UTC" }, Work, 1);
  // @ts-expect-error: each message of a schedule has an id of its own.
  await bus.schedule("s", { every: "1m" }, Work, 1, { id: "1" });
  // @ts-expect-error: a unit that does not exist.
  await any.send(Work, 1, { delay: "10 weeks" });
  // @ts-expect-error: an order that does not exist.
  any.handle(Work, { orderBy: "subject" }, () => undefined);
}

export async function once(bus: Bus<EmbeddedCapabilities>, least: Bus<Least>): Promise<void> {
  const window = "1h";
  bus.queue("q", { deduplicate: { window, idsMax: 10 }, inbox: { window } });
  // @ts-expect-error: the engine does not find duplicates.
  least.queue("q", { deduplicate: { window } });
  // @ts-expect-error: a window is needed.
  bus.queue("q", { deduplicate: {} });
  bus.on(Placed, { group: "g", inbox: { window } }, async (number, ctx) => {
    isTrue<Equal<ReturnType<typeof ctx.send>, Promise<void>>>();
    await ctx.send(Work, number, { delay: "1s" });
    // @ts-expect-error: an event is published.
    await ctx.send(Placed, number);
    // @ts-expect-error: the payload is a number.
    await ctx.publish(Placed, "1");
    await ctx.queue("q").send("a");
    await ctx.topic("t").publish("a", { subject: "t.a" });
  });
  bus.handle(Work, { batch: { max: 10 } }, (batch, ctx) =>
    batch.map(async (item) => {
      await ctx.for(item).publish(Placed, item.value);
      return ack();
    }),
  );
  const result = await bus.transaction(async (tx) => {
    await tx.send(Work, 1);
    return "done" as const;
  });
  isTrue<Equal<typeof result, "done">>();
  least.handle(Work, async (number, ctx) => {
    // @ts-expect-error: the engine does not store several things as one.
    await ctx.send(Work, number);
  });
}
