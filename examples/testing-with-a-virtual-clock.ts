// How to test code that uses the bus: in memory, on a clock that moves when the test says so. An hour takes no time, and
// nothing sleeps.

import assert from "node:assert/strict";
import { type Bus, command, event } from "omnibus";
import { openTestBus } from "omnibus/testing";

// The code under test: an order that is not paid within an hour is cancelled.
const OrderPlaced = event("order.placed", { key: (order: { id: string }) => order.id });
const OrderCancelled = event("order.cancelled", { key: (order: { id: string }) => order.id });
const CheckPayment = command("payment.check", { key: (order: { id: string }) => order.id });

async function openShop(bus: Bus, isPaid: (id: string) => boolean): Promise<void> {
  const orders = bus.on(OrderPlaced, { group: "payment" }, async ({ id }) => {
    await bus.send(CheckPayment, { id }, { delay: "1h" });
  });
  const checks = bus.handle(CheckPayment, async ({ id }) => {
    if (!isPaid(id)) await bus.publish(OrderCancelled, { id });
  });
  await Promise.all([orders.ready, checks.ready]);
}

// The test.
const { bus, published, settled, advance } = await openTestBus();
await openShop(bus, (id) => id === "paid");
await bus.publish(OrderPlaced, { id: "paid" });
await bus.publish(OrderPlaced, { id: "forgotten" });

await settled();
await advance("59m");
const cancelled = (): unknown[] => published.filter(({ subject }) => subject === "order.cancelled");
console.log(`after 59 minutes: ${cancelled().length} cancelled`);
assert.equal(cancelled().length, 0);

await advance("2m");
await settled();
console.log(`after 61 minutes: ${cancelled().length} cancelled`);
assert.equal(cancelled().length, 1);
await bus.close();
