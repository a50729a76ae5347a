// A command goes to one worker. A failure is tried again by policy; what never works becomes a dead letter, which is
// listed with its cause and replayed once the bug is fixed.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { command, openBus } from "omnibus";

interface Reservation {
  readonly order: string;
  readonly sku: string;
}

const ReserveStock = command<Reservation>("stock.reserve", { key: (reservation) => reservation.order });
const shelves = new Map([["apple", "A1"]]);
const reserved: string[] = [];
let calls = 0;

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-retries-")));
bus.handle(
  ReserveStock,
  { concurrency: 4, retry: { attempts: 3, delay: "20ms", backoff: "exponential" } },
  ({ order, sku }, ctx) => {
    calls += 1;
    if (order === "o-1" && ctx.attempt === 1) throw new Error("the warehouse does not answer");
    const shelf = shelves.get(sku);
    if (shelf === undefined) throw new Error(`no shelf for ${sku}`);
    reserved.push(`${order} from ${shelf} on attempt ${ctx.attempt}`);
  },
);

await bus.send(ReserveStock, { order: "o-1", sku: "apple" });
await bus.send(ReserveStock, { order: "o-2", sku: "gift-card" });
await until(async () => (await bus.queue("stock.reserve").statistics()).deadLetters === 1);

for await (const letter of bus.deadLetters.list({ source: "stock.reserve" })) {
  console.log(`dead: ${letter.message.key}, ${letter.reason}: ${letter.error} (${letter.attempts} attempts)`);
  assert.equal(letter.reason, "attempts-exhausted");
  assert.equal(letter.attempts, 3);
}

shelves.set("gift-card", "G7"); // the fix
const replayed = await bus.deadLetters.replay({ error: "no shelf" });
await until(async () => reserved.length === 2);

console.log(`replayed ${replayed}; reserved: ${reserved.join("; ")}`);
assert.deepEqual(reserved, ["o-1 from A1 on attempt 2", "o-2 from G7 on attempt 1"]);
assert.equal(calls, 6);
await bus.close();

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10);
}
