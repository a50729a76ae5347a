// One event, any number of groups: each group gets every event once, however many members or restarts it has.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { event, openBus } from "omnibus";

interface Order {
  readonly id: string;
  readonly total: number;
}

const OrderPlaced = event<Order>("order.placed", { key: (order) => order.id });

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-events-")));
const heard: string[] = [];

const billing = bus.on(OrderPlaced, { group: "billing" }, (order) => {
  heard.push(`billing charges ${order.total} for ${order.id}`);
});
const mail = bus.on(OrderPlaced, { group: "mail" }, (order) => {
  heard.push(`mail thanks for ${order.id}`);
});
await Promise.all([billing.ready, mail.ready]);

await bus.publish(OrderPlaced, { id: "o-1", total: 42 });
await bus.publish(OrderPlaced, { id: "o-2", total: 7 });
await bus.drain();

// A group that comes later reads the topic from its beginning, because it says so.
let revenue = 0;
const reports = bus.on(OrderPlaced, { group: "reports", from: "beginning" }, (order) => {
  revenue += order.total;
});
await reports.ready;
await bus.drain();

for (const line of heard) console.log(line);
console.log(`reports counts ${revenue}`);
assert.equal(heard.filter((line) => line.startsWith("billing")).length, 2);
assert.equal(heard.filter((line) => line.startsWith("mail")).length, 2);
assert.equal(revenue, 49);
await bus.close();
