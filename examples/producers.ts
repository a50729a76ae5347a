// Producers: many messages under way at a time, with a bound, with callbacks or receipts, and with a rate limit.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { event, isBrokerError, openBus } from "omnibus";

const ReadingTaken = event<{ sensor: string; celsius: number }>("reading.taken", {
  key: ({ sensor }) => sensor,
});
const reading = (number: number) => ({ sensor: `s-${number % 10}`, celsius: 20 + (number % 5) });

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-producers-")));

// Asynchronous: enqueue returns at once, the callback hears how it ended.
const fast = bus.producer(ReadingTaken, { name: "fast", pendingMax: 1_000, linger: "2ms" });
let acknowledged = 0;
for (let number = 0; number < 1_000; number += 1)
  fast.enqueue(reading(number), (error) => {
    if (error === undefined) acknowledged += 1;
  });

// The bound holds: one more is too many, and send waits for its place instead.
try {
  fast.enqueue(reading(1_000));
} catch (error) {
  assert.ok(isBrokerError(error, "TOO_MANY_PENDING"));
}
const receipt = await fast.send(reading(1_000));
await fast.close();
const { commits } = bus.statistics().storage;
console.log(`${acknowledged} acknowledged by callback, then offset ${receipt.offset}, in ${commits} commits`);
assert.equal(acknowledged, 1_000);

// No faster than a partner can take it: 50 messages a second.
const slow = bus.queue("partner").producer({ rateLimit: { messagesPerSecond: 50 } });
const startedMs = performance.now();
for (let number = 0; number < 11; number += 1) slow.enqueue(`order ${number}`);
await slow.close();
const tookMs = performance.now() - startedMs;
console.log(`11 messages at 50 a second: ${tookMs >= 190 ? "about 200 ms" : `${tookMs} ms`}`);
assert.ok(tookMs >= 190);
await bus.close();
