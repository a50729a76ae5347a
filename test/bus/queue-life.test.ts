import assert from "node:assert/strict";
import { test } from "node:test";
import { command, event } from "../../src/index.js";
import { collect, deferred, diskBus, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Work = command<string>("work");
const Placed = event<number>("order.placed");
const Paid = event<number>("order.paid");

test("a paused queue takes messages and hands none out until it is resumed", async (t) => {
  const bus = await testBus(t);
  const handled: string[] = [];
  await bus.handle(Work, (value) => void handled.push(value)).ready;
  await bus.queue("work").pause();
  await bus.send(Work, "a");
  await bus.settled();
  assert.deepEqual(handled, []);
  assert.equal((await bus.queue("work").statistics()).isPaused, true);
  await bus.queue("work").resume();
  await bus.settled();
  assert.deepEqual(handled, ["a"]);
});

test("a pause outlives its bus", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.queue("work").pause();
    await bus.topic("order").group("billing").pause();
  });
  await withBus(directory, async (bus) => {
    await bus.queue("work").send("a");
    await bus.topic("order").publish("b");
    const group = bus.topic("order").group("billing");
    assert.deepEqual(await bus.queue("work").receiveBatch({ max: 1 }), []);
    assert.deepEqual(await group.receiveBatch({ max: 1 }), []);
    assert.equal((await group.statistics()).isPaused, true);
    await bus.queue("work").resume();
    await group.resume();
    assert.equal((await bus.queue("work").receiveBatch({ max: 1 })).length, 1);
    assert.equal((await group.receiveBatch({ max: 1 })).length, 1);
  });
});

test("the handler of a deleted queue ends and is told, and what is sent later makes the queue anew", async (t) => {
  const bus = await testBus(t);
  const started = deferred();
  const reasons: unknown[] = [];
  bus.handle(Work, async (_value, { signal }) => {
    started.resolve();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    reasons.push(signal.reason);
  });
  await bus.send(Work, "a");
  await started.promise;
  assert.equal(await bus.queue("work").delete(), true);
  assert.equal(await bus.queue("work").delete(), false);
  await bus.settled();
  assert.equal(reasons.length, 1);
  assert.ok(bus.errors.some(({ error }) => /work was deleted/.test(String(error))));

  await bus.send(Work, "b");
  const handled: string[] = [];
  await bus.handle(Work, (value) => void handled.push(value)).ready;
  await bus.settled();
  assert.deepEqual(handled, ["b"]);
});

test("a queue that is held by its name works on after it was deleted, with the options it was asked for", async (t) => {
  const bus = await diskBus(t);
  const jobs = bus.queue("jobs", { countMax: 1 });
  await jobs.send("a");
  await jobs.delete();
  await jobs.send("b");
  await failsWith("QUEUE_FULL", () => jobs.send("c"));
  await failsWith("QUEUE_NOT_EMPTY", () => jobs.delete({ ifEmpty: true }), /holds 1 messages/);
  const [delivery] = await jobs.receiveBatch({ max: 1 });
  await failsWith("QUEUE_IN_USE", () => jobs.delete({ ifUnused: true }));
  await delivery!.ack();
  assert.equal(await jobs.delete({ ifEmpty: true, ifUnused: true }), true);
  assert.deepEqual(await collect(jobs.browse()), []);
  await failsWith("INVALID_OPTION", () => jobs.delete({ ifEmtpy: true } as never), /ifEmtpy/);
});

test("a producer, and what a handler sends, make a deleted queue anew", async (t) => {
  const bus = await testBus(t);
  await using producer = bus.producer("jobs");
  await producer.send("a");
  await bus.queue("jobs").delete();
  await producer.send("b");
  bus.handle(Work, (value, ctx) => ctx.queue("jobs").send(value));
  await bus.send(Work, "c");
  await bus.settled();
  await bus.queue("jobs").delete();
  await bus.send(Work, "d");
  await bus.settled();
  assert.deepEqual(
    (await collect(bus.queue("jobs").browse())).map((message) => message.text()),
    ["d"],
  );
  assert.deepEqual(bus.errors, []);
});

test("a stream of a deleted queue ends with the reason", async (t) => {
  const bus = await diskBus(t);
  const jobs = bus.queue("jobs");
  await jobs.send("a");
  const stream = jobs.receive();
  await stream.next();
  const waiting = failsWith("QUEUE_NOT_FOUND", () => stream.next(), /jobs was deleted/);
  const pulling = failsWith("QUEUE_NOT_FOUND", () => jobs.receiveBatch({ max: 1, wait: "1h" }));
  await new Promise((resolve) => setImmediate(resolve));
  await jobs.delete();
  await waiting;
  await pulling;
});

test("an event whose topic was deleted makes it anew, for groups that are made anew", async (t) => {
  const bus = await testBus(t);
  const first: number[] = [];
  bus.on(Placed, { group: "billing" }, (value) => void first.push(value));
  await bus.publish(Placed, 1);
  await bus.settled();
  assert.equal(await bus.topic("order").delete(), true);
  assert.equal(await bus.topic("order").delete(), false);
  await bus.publish(Placed, 2);
  const second: number[] = [];
  await bus.on(Placed, { group: "billing", from: "beginning" }, (value) => void second.push(value)).ready;
  await bus.publish(Placed, 3);
  await bus.settled();
  assert.deepEqual(first, [1]);
  assert.deepEqual(second, [2, 3]);
});

test("a deleted group is made anew by its next handler", async (t) => {
  const bus = await testBus(t);
  const handled: number[] = [];
  bus.on(Placed, { group: "billing" }, (value) => void handled.push(value));
  await bus.publish(Placed, 1);
  await bus.settled();
  assert.equal(await bus.topic("order").group("billing").delete(), true);
  await bus.publish(Placed, 2);
  bus.on(Placed, { group: "billing" }, (value) => void handled.push(-value));
  await bus.publish(Placed, 3);
  await bus.settled();
  assert.deepEqual(handled, [1, -3]);
});

test("a queue that nobody uses expires, and what is sent to it then makes it anew", async (t) => {
  const bus = await testBus(t);
  const replies = bus.queue("replies", { expiresAfter: "1m" });
  await replies.send("a");
  await bus.advance("50s");
  await replies.declare();
  await bus.advance("50s");
  assert.equal((await replies.statistics()).waiting, 1);
  await bus.advance("11s");
  assert.deepEqual(bus.statistics().queues, []);
  await replies.send("b");
  assert.equal((await replies.statistics()).waiting, 1);
});

test("an auto-delete queue goes when its last handler has left, and pulling does not count", async (t) => {
  const bus = await testBus(t);
  const work = bus.queue("work", { autoDelete: true });
  await work.send("a");
  const [delivery] = await work.receiveBatch({ max: 1 });
  await delivery!.ack();
  await bus.settled();
  assert.equal(bus.statistics().queues.length, 1);
  const handling = work.consume(() => undefined);
  await handling.ready;
  await handling.close();
  await bus.settled();
  assert.deepEqual(bus.statistics().queues, []);
  assert.deepEqual(bus.errors, []);
});

test("an exclusive queue is gone when its bus has closed", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    const inbox = bus.queue("inbox", { exclusive: true });
    await inbox.send("a");
    await inbox.pause();
    await inbox.resume();
    const handled = deferred<string>();
    inbox.consume((message) => handled.resolve(message.text()));
    assert.equal(await handled.promise, "a");
  });
  await withBus(directory, async (bus) => assert.deepEqual(bus.statistics().queues, []));
});

test("a group that is moved back handles again, and what runs meanwhile counts for nothing", async (t) => {
  const bus = await testBus(t);
  const handled: number[] = [];
  bus.on(Placed, { group: "billing" }, (value) => void handled.push(value));
  for (const value of [0, 1, 2, 3]) await bus.publish(Placed, value);
  await bus.settled();
  const group = bus.topic("order").group("billing");
  await group.seek({ offset: 2 });
  await bus.settled();
  await group.seek("beginning");
  await bus.settled();
  await group.seek("end");
  await bus.settled();
  assert.deepEqual(handled, [0, 1, 2, 3, 2, 3, 0, 1, 2, 3]);
  assert.deepEqual(bus.errors, []);
});

test("a group is moved to a time, and a new one begins at a time", async (t) => {
  const bus = await testBus(t);
  for (const value of [0, 1, 2, 3]) {
    await bus.publish(Placed, value);
    await bus.advance("1s");
  }
  const time = new Date(bus.clock.nowMs() - 2_500);
  const handled: number[] = [];
  await bus.on(Placed, { group: "billing", from: { time } }, (value) => void handled.push(value)).ready;
  await bus.settled();
  assert.deepEqual(handled, [2, 3]);
  await bus
    .topic("order")
    .group("billing")
    .seek({ time: new Date(0) });
  await bus.settled();
  assert.deepEqual(handled, [2, 3, 0, 1, 2, 3]);
});

test("a place that is none is refused, by its option", async (t) => {
  const bus = await testBus(t);
  const group = bus.topic("order").group("billing");
  for (const to of [
    "new",
    { time: "yesterday" },
    { time: new Date(Number.NaN) },
    { offset: -1 },
    {},
    5,
    null,
  ])
    await failsWith("INVALID_OPTION", () => group.seek(to as never), /option to/);
  for (const from of ["end", { offset: "1" }, {}])
    await failsWith(
      "INVALID_OPTION",
      () => bus.topic("order").group("g", { from: from as never }),
      /option from/,
    );
  await failsWith("OFFSET_OUT_OF_RANGE", () => group.seek({ offset: 7 }));
});

test("a group gives back an event that it asked for, and its other handlers go on", async (t) => {
  const bus = await testBus(t);
  const handled: string[] = [];
  const placed = bus.on(Placed, { group: "billing" }, (value) => void handled.push(`placed ${value}`));
  bus.on(Paid, { group: "billing" }, (value) => void handled.push(`paid ${value}`));
  await bus.publish(Placed, 1);
  await bus.settled();
  await placed.close();
  assert.equal(await bus.topic("order").group("billing").unsubscribe("order.placed"), true);
  await bus.publish(Placed, 2);
  await bus.publish(Paid, 3);
  await bus.settled();
  await bus.advance("1m");
  assert.deepEqual(handled, ["placed 1", "paid 3"]);
  assert.deepEqual(bus.errors, []);
  await failsWith("INVALID_OPTION", () => bus.topic("order").group("billing").unsubscribe("order.paid"));
  await failsWith("SUBSCRIPTION_NOT_FOUND", () => bus.topic("order").group("none").unsubscribe("order.paid"));
});

test("a purged group passes over what waits", async (t) => {
  const bus = await testBus(t);
  const group = bus.topic("order").group("billing");
  await group.declare();
  await bus.publish(Placed, 1);
  await bus.publish(Placed, 2);
  assert.equal(await group.purge(), 2);
  assert.equal((await group.statistics()).lag, 0);
});
