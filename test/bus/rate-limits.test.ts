import assert from "node:assert/strict";
import { test } from "node:test";
import { command, event } from "../../src/index.js";
import type { TestBus } from "../../src/testing/index.js";
import { failsWith, testBus } from "../support/buses.js";

const Job = command<number>("job.run");
const Happened = event<number>("it.happened");

/** How much each step of time added. */
async function addedBy(bus: TestBus, stepMs: number, steps: number, count: () => number): Promise<number[]> {
  const added: number[] = [];
  for (let step = 0; step < steps; step += 1) {
    const before = count();
    await bus.advance(stepMs);
    added.push(count() - before);
  }
  return added;
}

test("a handler gets so many messages a second, in order, and none is lost or tried twice", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  await bus.sendMany(Job, [...Array(12).keys()]);
  bus.handle(Job, { rateLimit: { messagesPerSecond: 4 }, concurrency: 3 }, (number, { attempt }) => {
    assert.equal(attempt, 1);
    seen.push(number);
  });
  assert.deepEqual(await addedBy(bus, 0, 1, () => seen.length), [1], "the first at once");
  assert.deepEqual(await addedBy(bus, 250, 4, () => seen.length), [1, 1, 1, 1]);
  await bus.advance("10s");
  assert.deepEqual(seen, [...Array(12).keys()]);
});

test("a handler gets so many bits a second", async (t) => {
  const bus = await testBus(t);
  let bytes = 0;
  const queue = bus.queue("bodies");
  for (let number = 0; number < 10; number += 1) await queue.send(new Uint8Array(1_000));
  queue.consume({ rateLimit: { bitsPerSecond: 16_000 } }, (message) => {
    bytes += message.body.length;
  });
  await bus.advance(1);
  assert.deepEqual(await addedBy(bus, 1_000, 4, () => bytes), [2_000, 2_000, 2_000, 2_000]);
});

test("messages that a rate limit holds back outlive their leases", async (t) => {
  const bus = await testBus(t);
  const attempts: number[] = [];
  await bus.sendMany(Job, [1, 2, 3]);
  bus.handle(
    Job,
    { rateLimit: { messagesPerSecond: 0.1 }, lease: "1s" },
    (_, { attempt }) => void attempts.push(attempt),
  );
  await bus.advance("30s");
  assert.deepEqual(attempts, [1, 1, 1]);
});

test("a batch goes at once, and puts the next one off by all that it held", async (t) => {
  const bus = await testBus(t);
  const sizes: number[] = [];
  await bus.sendMany(Job, [...Array(10).keys()]);
  bus.handle(Job, { batch: { max: 5 }, rateLimit: { messagesPerSecond: 5 } }, (batch) => {
    sizes.push(batch.size);
    return batch.map(() => undefined as never);
  });
  await bus.advance(999);
  assert.deepEqual(sizes, [5]);
  await bus.advance(1);
  assert.deepEqual(sizes, [5, 5]);
});

test("a handler that is held back by its rate limit gives its messages back when it is closed", async (t) => {
  const bus = await testBus(t);
  const seen: number[] = [];
  await bus.sendMany(Job, [1, 2, 3]);
  const handling = bus.handle(
    Job,
    { rateLimit: { messagesPerSecond: 1 } },
    (number) => void seen.push(number),
  );
  await bus.advance(0);
  await handling.close();
  const [queue] = bus.statistics().queues;
  assert.deepEqual([seen.length, queue?.inFlight, queue?.waiting], [1, 0, 2]);
  bus.handle(Job, (number) => void seen.push(number));
  await bus.settled();
  assert.deepEqual(seen, [1, 2, 3]);
});

test("who pulls gets so many messages a second", async (t) => {
  const bus = await testBus(t);
  await bus.topic("it").group("audit", { from: "beginning" }).declare();
  await bus.publishMany(Happened, [...Array(8).keys()]);
  const abort = new AbortController();
  let count = 0;
  const pulling = (async () => {
    const group = bus.topic("it").group("audit");
    for await (const delivery of group.receive({
      signal: abort.signal,
      rateLimit: { messagesPerSecond: 2 },
    })) {
      count += 1;
      await delivery.ack();
    }
  })();
  await bus.advance(0);
  assert.deepEqual(await addedBy(bus, 500, 4, () => count), [1, 1, 1, 1]);
  abort.abort();
  await pulling;
  assert.equal(count, 5);
});

test("who pulls slowly fetches no more ahead than fits into half a lease", async (t) => {
  const bus = await testBus(t);
  await bus.sendMany(Job, [...Array(50).keys()]);
  const stream = bus.queue("job.run").receive({ rateLimit: { messagesPerSecond: 1 }, lease: "10s" });
  const first = await stream.next();
  assert.equal(first.value?.attempt, 1);
  assert.equal(bus.statistics().queues[0]?.inFlight, 5);
  await stream.return();
});

test("wrong rate limits are refused, by name", async (t) => {
  const bus = await testBus(t);
  const rateLimit = { messagesPerSecond: -1 };
  await failsWith(
    "INVALID_OPTION",
    () => bus.handle(Job, { rateLimit }, () => undefined),
    /messagesPerSecond/,
  );
  await failsWith("INVALID_OPTION", () => bus.queue("q").receive({ rateLimit }).next(), /messagesPerSecond/);
});
