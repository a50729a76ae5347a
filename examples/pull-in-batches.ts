// A consumer that pulls: as many messages as it wants, when it wants, settled one by one.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBus } from "omnibus";

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-pull-")));
const readings = bus.queue("readings");

// A batch is stored with one sync, however many messages it has.
const receipts = await readings.sendMany(
  Array.from({ length: 250 }, (_, index) => JSON.stringify({ index })),
);
console.log(`sent ${receipts.length}, offsets ${receipts[0]?.offset} to ${receipts.at(-1)?.offset}`);

const sizes: number[] = [];
const seen: number[] = [];
let refused = false;
for (;;) {
  const batch = await readings.receiveBatch({ max: 100, wait: "50ms" });
  if (batch.length === 0) break;
  sizes.push(batch.length);
  for (const delivery of batch) {
    const { index } = delivery.message.json<{ index: number }>();
    if (index === 7 && !refused) {
      refused = true;
      await delivery.nack({ error: new Error("come back later") }); // handed out again, as attempt 2
    } else {
      seen.push(index);
      await delivery.ack();
    }
  }
}

const { waiting, settled } = await readings.statistics();
console.log(`received in batches of ${sizes.join(", ")}; ${waiting} waiting, ${settled} settled`);
assert.equal(new Set(seen).size, 250);
assert.equal(waiting, 0);
await bus.close();
