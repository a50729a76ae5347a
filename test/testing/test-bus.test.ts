import assert from "node:assert/strict";
import { test } from "node:test";
import { command, event } from "../../src/index.js";
import { openTestBus, VirtualClock } from "../../src/testing/index.js";
import { deferred, failsWith, testBus } from "../support/buses.js";

const Placed = event<{ readonly id: string }>("order.placed");
const Reserve = command<{ readonly order: string }>("stock.reserve");
const Ship = command<{ readonly order: string }>("ship");

test("settled resolves when all that a message led to has been handled", async (t) => {
  const bus = await testBus(t);
  const shipped: string[] = [];
  bus.on(Placed, { group: "stock" }, async ({ id }) => void (await bus.send(Reserve, { order: id })));
  bus.handle(Reserve, async ({ order }) => {
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await bus.send(Ship, { order });
  });
  bus.handle(Ship, ({ order }) => void shipped.push(order));
  void bus.publish(Placed, { id: "a" });
  await bus.settled();
  assert.deepEqual(shipped, ["a"]);
});

test("settled waits for handlers that do real input and output", async (t) => {
  const bus = await testBus(t);
  let isDone = false;
  bus.handle(Ship, async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    isDone = true;
  });
  await bus.send(Ship, { order: "a" });
  await bus.settled();
  assert.equal(isDone, true);
});

test("what waits for a later time does not keep a bus from settling", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.handle(Ship, { retry: { delay: "1h", jitter: 0 } }, ({ order }, { attempt }) => {
    seen.push(`${order}${attempt}`);
    if (attempt === 1) throw new Error("once");
  });
  await bus.send(Ship, { order: "a" });
  await bus.send(Ship, { order: "b" }, { delay: "30m" });
  await bus.settled();
  assert.deepEqual(seen, ["a1"]);
  await bus.advance("30m");
  assert.deepEqual(seen, ["a1", "b1"]);
  await bus.advance("1h");
  assert.deepEqual(seen, ["a1", "b1", "a2", "b2"]);
});

test("messages that nobody handles do not keep a bus from settling", async (t) => {
  const bus = await testBus(t);
  await bus.send(Ship, { order: "a" });
  await bus.publish(Placed, { id: "a" });
  await bus.topic("order").group("g", { from: "beginning" }).declare();
  await bus.settled();
});

test("a bus that does not settle says who is busy", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  bus.handle(Ship, () => gate.promise);
  bus.on(Placed, { group: "g" }, () => gate.promise);
  await bus.send(Ship, { order: "a" });
  await bus.publish(Placed, { id: "a" });
  await assert.rejects(
    bus.settled(),
    /did not settle within 5000 ms.*ship \(1 in flight\), order\/g \(1 in flight\)/,
  );
  gate.resolve();
  await bus.settled();
});

test("everything that went over the bus is recorded in order, by the test and by handlers", async (t) => {
  const bus = await testBus(t);
  bus.on(Placed, { group: "stock" }, async ({ id }) => void (await bus.send(Reserve, { order: id })));
  const receipt = await bus.publish(Placed, { id: "a" });
  await bus.publishMany(Placed, [{ id: "b" }, { id: "c" }]);
  await bus.sendMany(Ship, [{ order: "x" }]);
  await bus.send(Ship, { order: "y" });
  await failsWith("INVALID_OPTION", () => bus.send(Ship, { order: "refused" }, { delay: -1 }));
  await bus.settled();
  assert.deepEqual(bus.valuesOf(Placed), [{ id: "a" }, { id: "b" }, { id: "c" }]);
  assert.deepEqual(bus.valuesOf(Ship), [{ order: "x" }, { order: "y" }]);
  assert.deepEqual(bus.valuesOf(Reserve), [{ order: "a" }, { order: "b" }, { order: "c" }]);
  assert.equal(bus.recorded.length, 8);
  assert.deepEqual(bus.recorded[0], { type: Placed, value: { id: "a" }, receipt });
});

test("errors that nobody waits for are kept, and told", async () => {
  const told: string[] = [];
  const bus = await openTestBus({ onError: (_error, where) => told.push(where) });
  bus.on(Placed, { group: "no/name" }, () => undefined);
  await bus.settled();
  assert.equal(bus.errors.length, 1);
  assert.match(String(bus.errors[0]?.error), /no\/name/);
  assert.deepEqual(told, [bus.errors[0]?.where]);
  await bus.close();
});

test("advance lets time pass for a handler that never ends, and its timeout too", async (t) => {
  const bus = await testBus(t);
  let signal: AbortSignal | undefined;
  bus.handle(Ship, { timeout: "10m" }, (_order, ctx) => {
    signal ??= ctx.signal;
    return new Promise(() => undefined);
  });
  await bus.send(Ship, { order: "a" });
  await bus.advance("9m");
  assert.equal(signal?.aborted, false);
  await bus.advance("1m");
  assert.equal(signal?.aborted, true);
});

test("a bus with a handler that never ends can be closed", async () => {
  const bus = await openTestBus();
  bus.handle(Ship, () => new Promise(() => undefined));
  await bus.send(Ship, { order: "a" });
  await bus.advance(0);
  await bus.close();
});

test("the time begins where the test says, and stands still", async (t) => {
  const startMs = Date.UTC(2040, 5, 1);
  const bus = await testBus(t, { startMs });
  assert.equal((await bus.send(Ship, { order: "a" })).timestampMs, startMs);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal((await bus.send(Ship, { order: "a" })).timestampMs, startMs);
  await bus.advance("1d");
  assert.equal((await bus.send(Ship, { order: "a" })).timestampMs, startMs + 86_400_000);
  await failsWith("INVALID_OPTION", () => bus.advance(-1), /duration is -1/);
});

test("timers of a virtual clock run when they are due, in order, also those that others set", async () => {
  const clock = new VirtualClock(1_000);
  const ran: string[] = [];
  const at = (name: string) => () => void ran.push(`${name}@${clock.monotonicMs()}`);
  clock.setTimer(at("c"), 30);
  clock.setTimer(at("a"), 10);
  clock.setTimer(() => {
    at("b")();
    clock.setTimer(at("b2"), 5);
    clock.setTimer(at("b0"), 0);
  }, 20);
  const cancelled = clock.setTimer(at("never"), 15);
  cancelled.cancel();
  clock.setTimer(at("later"), 31);
  const settles: number[] = [];
  await clock.advance(30, async () => void settles.push(clock.monotonicMs()));
  assert.deepEqual(ran, ["a@10", "b@20", "b0@20", "b2@25", "c@30"]);
  assert.deepEqual(settles, [10, 20, 25, 30]);
  assert.equal(clock.nowMs(), 1_030);
  await clock.advance(0.5, async () => undefined);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [1_030, 30.5]);
});
