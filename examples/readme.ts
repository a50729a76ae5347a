import { setTimeout as sleep } from "node:timers/promises";
import { ack, command, deadLetter, event, openBus } from "omnibus";
import { z } from "zod";

const OrderPlaced = event("order.placed", {
  schema: z.object({ id: z.string(), sku: z.string(), count: z.int().positive() }),
  key: (order) => order.id, // what happens to one order stays in order
});
const ReserveStock = command("stock.reserve", {
  schema: z.object({ orderId: z.string(), sku: z.string(), count: z.int() }),
});

const bus = await openBus("./data"); // durable queues and topics, in this folder

// Every group gets every event, and goes on where it was after a crash. What a handler sends with `ctx` is stored in one
// step with its acknowledgement: after a crash both are there, or neither.
bus.on(OrderPlaced, { group: "mail" }, (order) => console.log(`mail: thank you for ${order.id}`));
bus.on(OrderPlaced, { group: "stock" }, async ({ id, sku, count }, ctx) => {
  await ctx.send(ReserveStock, { orderId: id, sku, count });
});

// Each command goes to one worker, eight at a time at most. Returning is success. Throwing is a retry, with back-off;
// after five attempts the message waits among the dead letters, with its error.
const stock = new Map([["tea", 10]]);
bus.handle(ReserveStock, { concurrency: 8, retry: { attempts: 5 } }, ({ orderId, sku, count }) => {
  const left = stock.get(sku);
  if (left === undefined) return deadLetter(`there is no ${sku} in stock`); // trying again would not help
  stock.set(sku, left - count);
  console.log(`stock: ${count} ${sku} for ${orderId}, ${left - count} left`);
  return ack();
});

const receipt = await bus.publish(OrderPlaced, { id: "o-1", sku: "tea", count: 2 });
console.log(`order ${receipt.id} is on disk`); // synced, before publish answered
await bus.publish(OrderPlaced, { id: "o-2", sku: "coffee", count: 1 });

// A service would run on. This program waits for the dead letter, repairs what was wrong, and sends it back.
const queue = bus.queue("stock.reserve");
while ((await queue.statistics()).deadLetters === 0) await sleep(10);
for await (const letter of bus.deadLetters.list()) console.log(`dead: ${letter.id}: ${letter.error}`);
stock.set("coffee", 3);
await bus.deadLetters.replay({ source: "stock.reserve" });
while ((await queue.statistics()).settled < 2) await sleep(10);
await bus.close();
