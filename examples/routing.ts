// One way in, many ways out: exchanges of several kinds, an alternate for what has no route, and a queue whose messages
// become events by themselves.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { event, isBrokerError, openBus } from "omnibus";

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-routing-")));

// By headers: orders of the bus go to the queue of their region, and all others to somebody who looks at them.
await bus.exchange("unknown-region", { kind: "fanout" }).bind(bus.queue("look-at-these"));
const regions = bus.exchange("regions", { kind: "headers", alternate: "unknown-region", bind: ["order.#"] });
for (const region of ["eu", "us"])
  await regions.bind(bus.queue(`orders-${region}`), { headers: { match: "all", values: { region } } });

const OrderPlaced = event<{ id: string }>("order.placed");
for (const [id, region] of Object.entries({ "o-1": "eu", "o-2": "us", "o-3": "moon", "o-4": "eu" }))
  await bus.publish(OrderPlaced, { id }, { headers: { region } });

for (const name of ["orders-eu", "orders-us", "look-at-these"]) {
  const ids: string[] = [];
  for await (const message of bus.queue(name).browse()) ids.push(message.json<{ id: string }>().id);
  console.log(`${name}: ${ids.join(", ")}`);
}

// By key: each customer's jobs go to one of three queues, always the same one; the last takes twice as many.
const shares = bus.exchange("shares", { kind: "consistent-hash" });
for (const [name, weight] of Object.entries({ "worker-1": 1, "worker-2": 1, "worker-3": 2 }))
  await shares.bind(bus.queue(name), { weight });
await Promise.all(
  Array.from({ length: 400 }, (_, i) => shares.publish("job", `job ${i}`, { key: `customer-${i % 100}` })),
);
const depths = bus.statistics().queues.filter(({ name }) => name.startsWith("worker-"));
console.log(depths.map(({ name, waiting }) => `${name} has ${waiting} jobs`).join(", "));
assert.equal(
  depths.reduce((sum, { waiting }) => sum + waiting, 0),
  400,
);

// A publisher that has to reach somebody is told when it does not.
await shares.publish("job", "one more", { key: "customer-1", mustRoute: true });
await bus
  .exchange("")
  .publish("nobody.listens", "hello?", { mustRoute: true })
  .catch((error: unknown) => {
    assert.ok(isBrokerError(error, "UNROUTABLE"));
    console.log(error.message);
  });

// A queue into events: what others put into the inbox is published, and reaches every group.
const heard: string[] = [];
bus.on(OrderPlaced, { group: "mail" }, ({ id }) => {
  heard.push(id);
});
const inbox = bus.queue("inbox");
await inbox.forwardTo({ event: OrderPlaced });
await inbox.send('{"id":"o-5"}');
while (heard.length === 0) await sleep(5);
console.log(`mail heard of ${heard.join(", ")}`);
await bus.close();
