// De-duplication by id: a sender that tries again, and an inbox that remembers what was handled.

import assert from "node:assert/strict";
import { command, event, memory, openBus } from "omnibus";

const Pay = command<{ order: string; cents: number }>("payment.make");
const OrderPaid = event<{ order: string }>("order.paid");

await using bus = await openBus(memory());
await bus.queue("payment.make", { deduplicate: { window: "1d" } }).declare();

// A sender whose answer was lost tries again with the same id, and gets the receipt of the first attempt.
const first = await bus.send(Pay, { order: "o-1", cents: 4200 }, { id: "pay o-1" });
const second = await bus.send(Pay, { order: "o-1", cents: 4200 }, { id: "pay o-1" });
assert.equal(second.isDuplicate, true);
assert.equal(second.offset, first.offset);

// An inbox remembers what was handled.
const labels: string[] = [];
await bus.on(OrderPaid, { group: "shipping", inbox: { window: "7d" } }, ({ order }) => {
  labels.push(order);
}).ready;

// The event is published with an id of its own, in one step with the acknowledgement of the command.
bus.handle(Pay, async ({ order }, ctx) => {
  await ctx.publish(OrderPaid, { order }, { id: `paid ${order}` });
});

// Another system tells the same: whoever comes second is passed over.
await bus.publish(OrderPaid, { order: "o-1" }, { id: "paid o-1" });
await bus.publish(OrderPaid, { order: "o-2" }, { id: "paid o-2" });
const shipping = bus.topic("order").group("shipping");
while ((await shipping.statistics()).lag > 0) await new Promise((resolve) => setTimeout(resolve, 20));
assert.deepEqual(labels.sort(), ["o-1", "o-2"]);
assert.equal((await shipping.statistics()).duplicates, 1);
console.log(`labels for ${labels.join(" and ")}, one duplicate was passed over`);
