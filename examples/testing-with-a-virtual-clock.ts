// How to test code that uses the bus: in memory, on a clock that moves when the test says so. An hour takes no time, and
// nothing sleeps.

import assert from "node:assert/strict";
import { type Bus, command, type EmbeddedCapabilities, event } from "omnibus";
import { openTestBus } from "omnibus/testing";

// The code under test: an order that is not paid within an hour is cancelled.
const OrderPlaced = event<{ id: string }>("order.placed", { key: (order) => order.id });
const OrderCancelled = event<{ id: string }>("order.cancelled", { key: (order) => order.id });
const CheckPayment = command<{ id: string }>("payment.check", { key: (order) => order.id });

async function openShop(bus: Bus<EmbeddedCapabilities>, isPaid: (id: string) => boolean): Promise<void> {
  const orders = bus.on(OrderPlaced, { group: "payment" }, async ({ id }, ctx) => {
    await ctx.send(CheckPayment, { id }, { delay: "1h" });
  });
  const checks = bus.handle(CheckPayment, async ({ id }, ctx) => {
    if (!isPaid(id)) await ctx.publish(OrderCancelled, { id });
  });
  await Promise.all([orders.ready, checks.ready]);
}

// The test.
const bus = await openTestBus();
await openShop(bus, (id) => id === "paid");
await bus.publish(OrderPlaced, { id: "paid" });
await bus.publish(OrderPlaced, { id: "forgotten" });

await bus.advance("59m");
console.log(`after 59 minutes: ${bus.valuesOf(OrderCancelled).length} cancelled`);
assert.deepEqual(bus.valuesOf(CheckPayment), [{ id: "paid" }, { id: "forgotten" }]);
assert.deepEqual(bus.valuesOf(OrderCancelled), []);

await bus.advance("2m");
console.log(`after 61 minutes: ${bus.valuesOf(OrderCancelled).length} cancelled`);
assert.deepEqual(bus.valuesOf(OrderCancelled), [{ id: "forgotten" }]);
await bus.close();
