// A group whose members have partitions of their own: a third member comes, takes over what it must, and the totals that
// each member keeps in memory stay right, because a partition is never with two of them.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { event, type Handling, openBus } from "omnibus";

interface Sale {
  readonly shop: string;
  readonly amount: number;
}

const Sold = event<Sale>("shop.sold", { key: (sale) => sale.shop });
const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-groups-")));
await bus.topic("shop", { partitions: 6 }).declare();
const group = await bus
  .topic("shop")
  .group("totals", { assignment: "partitions", from: "beginning" })
  .declare();

/** What members keep on disk when they lose a partition, and read again when they get one. */
const kept = new Map<string, number>();
let handled = 0;

function member(name: string): Handling {
  const totals = new Map<number, Map<string, number>>();
  return bus.on(
    Sold,
    {
      group: "totals",
      consumer: name,
      onAssigned: (partitions) => {
        console.log(`${name} gets ${partitions.join(", ")}`);
        for (const partition of partitions) totals.set(partition, new Map());
      },
      onRevoked: (partitions) => {
        console.log(`${name} gives ${partitions.join(", ")}`);
        for (const partition of partitions) {
          for (const [shop, total] of totals.get(partition) ?? []) kept.set(shop, total);
          totals.delete(partition);
        }
      },
    },
    async ({ shop, amount }, ctx) => {
      const ofPartition = totals.get(ctx.message.partition!)!;
      ofPartition.set(shop, (ofPartition.get(shop) ?? kept.get(shop) ?? 0) + amount);
      handled += 1;
    },
  );
}

const shops = Array.from({ length: 30 }, (_, index) => `shop ${index}`);
const members = [member("ann"), member("ben")];
for (let round = 1; round <= 10; round += 1) {
  if (round === 5) members.push(member("cleo"));
  await bus.publishMany(
    Sold,
    shops.map((shop) => ({ shop, amount: round })),
  );
}
while (handled < 300) await sleep(10);
for (const { name, partitions } of (await group.statistics()).members)
  console.log(`${name} has ${partitions?.join(", ")}`);
for (const handling of members) await handling.close();
await bus.drain();
while (kept.size < shops.length) await sleep(10);
for (const shop of shops) assert.equal(kept.get(shop), 55);
await bus.close();
