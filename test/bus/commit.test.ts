import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delivery } from "../../src/index.js";
import { failsWith, testBus } from "../support/buses.js";

/** The next `count` deliveries of a stream. */
async function take(stream: AsyncGenerator<Delivery>, count: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  while (taken.length < count) taken.push((await stream.next()).value);
  return taken;
}

const texts = (deliveries: readonly Delivery[]) => deliveries.map(({ message }) => message.text());

test("commit acknowledges a message and all that came before it, and nothing after", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(["1", "2", "3", "4", "5"]);
  const stream = queue.receive();
  const taken = await take(stream, 4);
  await taken[2]!.commit();
  assert.equal((await queue.statistics()).settled, 3);
  await stream.return();
  assert.deepEqual(texts(await queue.receiveBatch({ max: 10 })), ["4", "5"]);
});

test("commit leaves alone what was settled before, and can go on", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(["1", "2", "3", "4"]);
  const stream = queue.receive();
  const [first, second, third, fourth] = await take(stream, 4);
  await first!.nack({ delay: "1h" });
  await second!.ack();
  await third!.commit();
  await fourth!.commit();
  const { settled, delayed, inFlight } = await queue.statistics();
  assert.deepEqual([settled, delayed, inFlight], [3, 1, 0], "what failed is still to be tried again");
  await stream.return();
});

test("commit knows partitions apart", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("readings", { partitions: 2 });
  const group = topic.group("audit", { from: "beginning" });
  await group.declare();
  for (let number = 0; number < 40; number += 1)
    await topic.publish(String(number), { key: `k${number % 8}` });
  const stream = group.receive();
  const taken = await take(stream, 40);
  const last = taken.filter(({ message }) => message.partition === 0).at(-1)!;
  await last.commit();
  const inFirst = taken.filter(({ message }) => message.partition === 0).length;
  assert.ok(inFirst > 0 && inFirst < 40);
  const statistics = await group.statistics();
  assert.deepEqual([statistics.settled, statistics.lag], [inFirst, 40 - inFirst]);
  await stream.return();
});

test("a batch is committed with its last message", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(Array.from({ length: 500 }, (_, number) => String(number)));
  const batch = await queue.receiveBatch({ max: 300 });
  await batch.at(-1)!.commit();
  const { settled, waiting, inFlight } = await queue.statistics();
  assert.deepEqual([settled, waiting, inFlight], [300, 200, 0]);
});

test("commit on a message that is no longer leased changes nothing", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(["1", "2"]);
  const [first, second] = await queue.receiveBatch({ max: 2, lease: "10s" });
  await second!.extend("5s");
  await first!.extend("1m");
  await bus.advance("6s");
  await failsWith("LEASE_LOST", () => second!.commit());
  assert.equal((await queue.statistics()).settled, 0);
  await first!.commit();
  await failsWith("LEASE_LOST", () => first!.commit());
  assert.equal((await queue.statistics()).settled, 1);
});

test("a receiver that settles as it goes keeps nothing of what it has handed out", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(Array.from({ length: 1_000 }, () => "x"));
  const stream = queue.receive({ prefetch: 10 });
  let delivery: Delivery | undefined;
  for (let number = 0; number < 1_000; number += 1) {
    delivery = (await stream.next()).value as Delivery;
    if (number % 3 === 0) await delivery.commit();
    else if (number % 3 === 1) await delivery.ack();
  }
  await delivery!.commit().catch(() => undefined);
  assert.equal((await queue.statistics()).settled, 1_000);
  await stream.return();
});
