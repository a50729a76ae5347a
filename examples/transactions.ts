// Transactions: what a handler sends is stored with its acknowledgement, or not at all.

import assert from "node:assert/strict";
import { command, event, memory, openBus } from "omnibus";

const OrderPlaced = event<{ id: string; sku: string }>("order.placed");
const ReserveStock = command<{ order: string; sku: string }>("stock.reserve");

await using bus = await openBus(memory());

// The first attempt sends and fails: nothing of it is stored. The second one is stored with its acknowledgement.
bus.on(OrderPlaced, { group: "stock", retry: { delay: "10ms" } }, async (order, ctx) => {
  await ctx.send(ReserveStock, { order: order.id, sku: order.sku });
  if (ctx.attempt === 1) throw new Error("the warehouse is being counted");
});
const reserved = new Promise<string>((resolve) => {
  bus.handle(ReserveStock, ({ order }, ctx) => resolve(`${order} at ${ctx.message.offset}`));
});
await bus.publish(OrderPlaced, { id: "o-1", sku: "tea" });
assert.equal(await reserved, "o-1 at 0");
console.log("reserved once");

// By hand: a payment is acknowledged and a letter is written as one.
const payments = bus.queue("payments");
await payments.send("o-1 paid");
const [payment] = await payments.receiveBatch({ max: 1 });
assert(payment);
await bus.transaction(async (tx) => {
  await tx.queue("letters").send(`Thank you: ${payment.message.text()}`);
  tx.ack(payment);
});
assert.equal((await payments.statistics()).settled, 1);
for await (const letter of bus.queue("letters").browse()) console.log(letter.text());

// A transaction that throws leaves nothing.
await assert.rejects(
  bus.transaction(async (tx) => {
    await tx.queue("letters").send("never mind");
    throw new Error("changed my mind");
  }),
);
assert.equal((await bus.queue("letters").statistics()).waiting, 1);
