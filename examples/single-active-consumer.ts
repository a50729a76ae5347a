// One consumer works, another stands by. When the first one leaves, the second goes on where it was, in order.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openBus } from "omnibus";

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-single-")));
const ledger = await bus.queue("ledger", { singleActiveConsumer: true }).declare();

const written: string[] = [];
const first = ledger.consume({ consumer: "first", prefetch: 1 }, async (message) => {
  await sleep(2);
  written.push(`first ${message.text()}`);
});
ledger.consume({ consumer: "second", prefetch: 1 }, (message) => {
  written.push(`second ${message.text()}`);
});
await ledger.sendMany(Array.from({ length: 10 }, (_, index) => String(index)));
for (const { name, isActive } of (await ledger.statistics()).members)
  console.log(name, isActive ? "works" : "stands by");

while (written.length < 3) await sleep(5);
await first.close();
while (written.length < 10) await sleep(5);
console.log(written.join("\n"));
assert.deepEqual(
  written.map((line) => line.split(" ")[1]),
  ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
);
assert.equal(written[0], "first 0");
assert.equal(written[9], "second 9");
await bus.close();
