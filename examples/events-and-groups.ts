// One event, any number of groups: each group gets every event once, however many members or restarts it has.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { event, openBus } from "omnibus";

interface Order {
  readonly id: string;
  readonly total: number;
}

const OrderPlaced = event<Order>("order.placed", { key: (order) => order.id });

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-events-")));
const heard: string[] = [];

bus.on(OrderPlaced, { group: "billing" }, (order) => {
  heard.push(`billing charges ${order.total} for ${order.id}`);
});
bus.on(OrderPlaced, { group: "mail" }, (order) => {
  heard.push(`mail thanks for ${order.id}`);
});

await bus.publish(OrderPlaced, { id: "o-1", total: 42 });
await bus.publish(OrderPlaced, { id: "o-2", total: 7 });

// A group that comes later can read the topic from its beginning.
const totals: number[] = [];
bus.on(OrderPlaced, { group: "reports", from: "beginning" }, (order) => {
  totals.push(order.total);
});

while (heard.length < 4 || totals.length < 2) await sleep(10);

for (const line of heard) console.log(line);
console.log(`reports counts ${totals.join(" + ")}`);
assert.equal(heard.filter((line) => line.startsWith("billing")).length, 2);
assert.equal(heard.filter((line) => line.startsWith("mail")).length, 2);
assert.deepEqual(totals, [42, 7]);

const [topic] = bus.statistics().topics;
console.log(
  `${topic?.name} is read by ${topic?.groups.map(({ name, lag }) => `${name} (lag ${lag})`).join(", ")}`,
);
await bus.close();
