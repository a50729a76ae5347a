// Memory that must not grow with what is sent: what waits on disk, what nobody awaits, what is remembered.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { bytes, embedded, event, isBrokerError, memory, openBus, type Receipt } from "../../src/index.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const BODY = Buffer.alloc(128, "a");
const LARGE_BODY = Buffer.alloc(1_000, "a");
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** What a message without a key takes in a batch, at least, and what is counted for what waits for it. */
const CHARGED_BYTES = LARGE_BODY.length + 256;

/** Of objects and buffers, after garbage was collected. */
async function usedBytes(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("a hundred thousand more messages that wait take no memory", async (t) => {
  const bus = await openBus(embedded({ directory: await temporaryDirectory(t), cacheBytes: 1024 * 1024 }));
  const queue = bus.queue("waiting");
  const fill = async (thousands: number) => {
    for (let batch = 0; batch < thousands; batch += 1) await queue.sendMany(new Array(1_000).fill(BODY));
  };
  await fill(30);
  const before = await usedBytes();
  await fill(100);
  const bytesEach = ((await usedBytes()) - before) / 100_000;
  assert.equal((await queue.statistics()).waiting, 130_000);
  assert.ok(bytesEach < 10, `${bytesEach} bytes for each message`);
  await bus.close();
});

test("ids are remembered for as many as are configured", async (t) => {
  const bus = await openBus(embedded({ directory: await temporaryDirectory(t), cacheBytes: 0 }));
  const queue = bus.queue("once", { deduplicate: { window: "1h", idsMax: 1_000 } });
  const send = async (from: number, to: number) => {
    for (let id = from; id < to; ) {
      const some = Array.from({ length: 500 }, () => queue.send("x", { id: `a rather long id ${id++}` }));
      await Promise.all(some);
    }
  };
  await send(0, 5_000);
  const before = await usedBytes();
  await send(5_000, 30_000);
  const grown = (await usedBytes()) - before;
  assert.ok(grown < 1_000 * 400, `${grown} bytes for 25,000 ids of which 1,000 are kept`);
  await bus.close();
});

const Called = event<Uint8Array>("called.once", { codec: bytes });

for (const verb of ["publish", "send"] as const)
  test(`${verb} that is never awaited is refused at the bound, for which nothing more is allocated`, async () => {
    const bus = await openBus(memory());
    const queue = bus.queue("called");
    const call = (): Promise<Receipt> =>
      verb === "publish" ? bus.publish(Called, LARGE_BODY) : queue.send(LARGE_BODY);
    await call();
    const pending = new Set<Promise<Receipt>>();
    const calls = 80_000;
    let last = call();
    for (let count = 1; count < calls; count += 1) {
      last = call();
      pending.add(last);
    }
    const results = await Promise.allSettled(pending);
    const stored = results.filter(({ status }) => status === "fulfilled").length;
    assert.ok(stored * CHARGED_BYTES <= PENDING_BYTES_MAX + 1024 * 1024, `${stored} were pending at once`);
    // All that were refused got one promise with one error.
    assert.equal(pending.size, stored + 1);
    await assert.rejects(last, (error) => isBrokerError(error, "TOO_MANY_PENDING"));
    await call();
    await bus.close();
  });

test("what waits for its topic to be declared is bounded too", async () => {
  const bus = await openBus(memory());
  const pending = new Set<Promise<Receipt>>();
  for (let count = 0; count < 100_500; count += 1) pending.add(bus.publish(Called, BODY));
  const results = await Promise.allSettled(pending);
  const refused = results.filter(({ status }) => status === "rejected");
  assert.equal(pending.size, 100_001);
  assert.equal(refused.length, 1);
  await bus.publish(Called, BODY);
  await bus.close();
});

test("calls of a producer that nobody awaits wait for a place up to a bound, and share one refusal beyond it", async () => {
  const bus = await openBus(memory());
  const producer = bus.producer(Called, { pendingMax: 100 });
  const calls = Array.from({ length: 20_000 }, () => producer.send(BODY));
  const results = await Promise.allSettled(new Set(calls));
  const refused = results.filter(({ status }) => status === "rejected");
  assert.equal(refused.length, 1);
  assert.equal(results.length, 10_100 + 1);
  await bus.close();
});
