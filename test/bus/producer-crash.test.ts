// Producers on a machine that loses power, and whose disk is full for a while. A failure names the seed that repeats it:
// OMNIBUS_SEED=<seed> runs that one alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { embedded, event, isBrokerError, openBus, type Producer } from "../../src/index.js";
import { BrokerWorld } from "../support/broker-world.js";
import { collect } from "../support/buses.js";

const SEEDS = 40;
const ROUNDS = 12;
const Reading = event<number>("reading.taken", { topic: "readings" });

/** What the producer took in one life, and what was said of it. */
class Account {
  readonly taken: number[] = [];
  readonly acknowledged = new Set<number>();
  readonly failed = new Set<number>();

  enqueue(producer: Producer<number>, number: number): void {
    try {
      producer.enqueue(number, (error) =>
        (error === undefined ? this.acknowledged : this.failed).add(number),
      );
      this.taken.push(number);
    } catch (error) {
      if (!isBrokerError(error, "TOO_MANY_PENDING")) throw error;
    }
  }
}

async function run(seed: number): Promise<void> {
  const world = new BrokerWorld(seed);
  const { random } = world;
  const open = () => openBus(embedded({ directory: "data", io: world.io() }), { onError: () => undefined });
  const bus = await open();
  const producer = bus.producer(Reading, {
    pendingMax: random.pick([5, 50, 1_000]),
    batchMax: random.pick([1, 7, 1_000]),
    linger: random.pick([0, 5]),
  });
  const account = new Account();
  let next = 0;
  if (random.chance(0.5)) world.stopDiskAfter(random.below(200));
  for (let round = 0; round < ROUNDS; round += 1) {
    world.disk.capacityBytes = random.chance(0.2) ? world.disk.usedBytes : Number.POSITIVE_INFINITY;
    for (let left = random.below(30); left > 0; left -= 1) account.enqueue(producer, next++);
    await world.turns(random.below(6));
    if (random.chance(0.3)) await world.pass(random.below(20));
  }
  const acknowledged = new Set(account.acknowledged);
  world.crash(random.chance(0.5));
  const again = await open();
  const stored = (await collect(again.topic("readings").read())).map((message) => message.value as number);
  await again.close();

  assert.deepEqual(
    stored,
    [...stored].sort((a, b) => a - b),
    "in the order in which they were taken, none twice",
  );
  assert.equal(new Set(stored).size, stored.length);
  for (const number of acknowledged) assert.ok(stored.includes(number), `${number} was acknowledged`);
  for (const number of account.failed)
    assert.ok(!stored.includes(number), `${number} failed and is not stored`);
  for (const number of account.failed)
    assert.ok(!account.acknowledged.has(number), `${number} has one answer`);
}

test("what a producer was told survives crashes, power failures and a full disk, and its order does", async () => {
  const { OMNIBUS_SEED: only } = process.env;
  const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(only)];
  for (const seed of seeds) {
    await run(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
  }
});
