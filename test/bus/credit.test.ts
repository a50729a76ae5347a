import assert from "node:assert/strict";
import { test } from "node:test";
import { command } from "../../src/index.js";
import { deferred, failsWith, testBus } from "../support/buses.js";

const kilobytes = (count: number) => "x".repeat(1_000 * count);

test("a receiver has no more bytes than it may have, and goes on when it settles some", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("files");
  await queue.sendMany(Array.from({ length: 10 }, () => kilobytes(1)));
  const stream = queue.receive({ prefetchBytes: 3_000 });
  const first = (await stream.next()).value!;
  assert.equal((await queue.statistics()).inFlight, 3);
  await first.ack();
  await stream.next();
  await bus.advance(1);
  assert.equal((await queue.statistics()).inFlight, 3);
  await stream.return();
});

test("one message is handed out however large it is, and the next when it is settled", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("files");
  await queue.sendMany([kilobytes(500), kilobytes(1), kilobytes(1)]);
  const gates = [deferred(), deferred(), deferred()];
  const sizes: number[] = [];
  queue.consume({ prefetchBytes: 10_000, concurrency: 3 }, async (message) => {
    sizes.push(message.body.length);
    await gates[sizes.length - 1]!.promise;
  });
  await bus.advance(1);
  assert.deepEqual(sizes, [500_000]);
  gates[0]!.resolve();
  await bus.advance(1);
  assert.deepEqual(sizes, [500_000, 1_000, 1_000]);
  for (const gate of gates) gate.resolve();
});

test("handlers that share a queue have together what each may have", async (t) => {
  const bus = await testBus(t);
  const First = command<string>("first", { queue: "jobs" });
  const Second = command<string>("second", { queue: "jobs" });
  const gate = deferred();
  const wait = async () => await gate.promise;
  bus.handle(First, { prefetchBytes: 2_000 }, wait);
  bus.handle(Second, { prefetchBytes: 3_000 }, wait);
  await bus.sendMany(
    First,
    Array.from({ length: 10 }, () => kilobytes(1)),
  );
  await bus.advance(1);
  assert.equal(bus.statistics().queues[0]?.inFlight, 5);
  gate.resolve();
});

test("without a limit of bytes the limit of messages holds alone", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("files");
  await queue.sendMany(Array.from({ length: 10 }, () => kilobytes(100)));
  const stream = queue.receive({ prefetch: 7 });
  await stream.next();
  assert.equal((await queue.statistics()).inFlight, 7);
  await stream.return();
});

test("a group with partitions of its own, or a balance by key, keeps to the bytes too", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("files", { partitions: 2 });
  const groups = [
    topic.group("owned", { from: "beginning", assignment: "partitions" }),
    topic.group("keyed", { from: "beginning", balance: "key" }),
  ];
  for (let number = 0; number < 20; number += 1) await topic.publish(kilobytes(1), { key: `k${number}` });
  for (const group of groups) {
    const stream = group.receive({ prefetchBytes: 4_000 });
    await stream.next();
    await bus.advance(1);
    assert.equal((await group.statistics()).inFlight, 4, group.name);
    await stream.return();
  }
});

test("a limit of bytes that is none is refused", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("files");
  await failsWith("INVALID_OPTION", () => queue.receive({ prefetchBytes: 0 }).next(), /prefetchBytes/);
  await failsWith(
    "INVALID_OPTION",
    () => queue.consume({ prefetchBytes: 1.5 }, () => undefined),
    /prefetchBytes/,
  );
});
