// Two ways to hold back and to keep up: a handler with a rate limit, and a receiver that commits many at once.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, openBus } from "omnibus";

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-consumers-")));

// A partner takes 20 calls a second; what waits for its turn stays leased.
const Notify = command<{ number: number }>("partner.notify");
const startedMs = performance.now();
const allNotified = new Promise<void>((resolve) => {
  bus.handle(Notify, { rateLimit: { messagesPerSecond: 20 } }, ({ number }) => {
    if (number === 5) resolve();
  });
});
await bus.sendMany(
  Notify,
  Array.from({ length: 6 }, (_, number) => ({ number })),
);
await allNotified;
const tookMs = performance.now() - startedMs;
console.log(`6 calls at 20 a second: ${tookMs >= 240 ? "about 250 ms" : `${tookMs} ms`}`);
assert.ok(tookMs >= 240);

// A warehouse takes rows by the hundred: one acknowledgement for each hundred.
const readings = bus.topic("readings");
const warehouse = await readings.group("warehouse").declare();
await readings.publishMany(Array.from({ length: 250 }, (_, number) => String(number)));
const inserted: number[] = [];
let rows: string[] = [];
for await (const delivery of warehouse.receive({ prefetch: 500 })) {
  rows.push(delivery.message.text());
  const isLast = delivery.message.offset === 249;
  if (rows.length < 100 && !isLast) continue;
  inserted.push(rows.length);
  rows = [];
  await delivery.commit(); // this one and all before it
  if (isLast) break;
}
const { lag, settled } = await warehouse.statistics();
console.log(`inserted ${inserted.join(" + ")} rows, ${settled} settled, ${lag} left`);
assert.deepEqual(inserted, [100, 100, 50]);
assert.equal(lag, 0);
await bus.close();
