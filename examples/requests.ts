// Asking: one handler for a quote, every warehouse for an offer, and many jobs at once of which some fail.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { command, deadLetter, event, isBrokerError, openBus, reply } from "omnibus";
import { z } from "zod";

const Article = z.object({ sku: z.string() });
const Price = z.object({ price: z.number() });
const Quote = command("quote", { schema: Article, reply: Price });
const OffersWanted = event("offers.wanted", { schema: Article, reply: Price });

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-requests-")));

// Nobody is there yet: that is said at once, not after the time is over.
await assert.rejects(bus.request(Quote, { sku: "tea" }), (error) => isBrokerError(error, "NO_HANDLER"));

const prices: Readonly<Record<string, number>> = { tea: 300, coffee: 450 };
bus.handle(Quote, ({ sku }) => {
  const price = prices[sku];
  return price === undefined ? deadLetter(`there is no ${sku}`) : reply({ price });
});
const { price } = await bus.request(Quote, { sku: "tea" }, { timeout: "5s" });
console.log(`tea is ${price}`);
assert.equal(price, 300);

const results = await bus.requestAll(
  Quote,
  ["tea", "gold", "coffee"].map((sku) => ({ sku })),
);
for (const result of results)
  console.log(result.status === "fulfilled" ? result.value.price : String(result.reason));
assert.deepEqual(
  results.map(({ status }) => status),
  ["fulfilled", "rejected", "fulfilled"],
);

bus.on(OffersWanted, { group: "north" }, () => reply({ price: 310 }));
bus.on(OffersWanted, { group: "south" }, () => reply({ price: 290 }));
bus.on(OffersWanted, { group: "asleep" }, () => sleep(500));
const offers = await bus.gather(OffersWanted, { sku: "tea" }, { timeout: "200ms" });
for (const { from, value } of offers.replies) console.log(`${from} asks ${value.price}`);
console.log(`no word from ${offers.missing.join(", ")}`);
assert.equal(offers.replies.length, 2);
assert.deepEqual(offers.missing, ["asleep"]);

// Live: for whoever is there.
const Progress = event<number>("progress");
const watching = bus.subscribe("progress");
console.log(`${await bus.publishLive(Progress, 50)} looks on`);
for await (const message of watching) {
  console.log(`progress: ${message.json()} %`);
  break;
}
await bus.close();
