import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerWorld, message } from "../support/broker-world.js";
import { TestConsumer } from "../support/test-consumer.js";

const MESSAGES = 40;

/** Nothing is kept in memory: all that is delivered is read. */
async function coldQueue(world: BrokerWorld) {
  const filling = await world.open();
  const queue = await filling.declareQueue("work");
  for (let number = 0; number < MESSAGES; number += 1) await queue.append(message(`m${number}`)).committed;
  await filling.close();
  return await world.open({ tailCacheBytes: 0 });
}

function failReads(world: BrokerWorld, code: string): void {
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "read" && path.includes("queue.")) throw Object.assign(new Error(code), { code });
    return undefined;
  };
}

test("a queue that can open no more files says so, and delivers when there are some again", async () => {
  const world = new BrokerWorld();
  const broker = await coldQueue(world);
  failReads(world, "EMFILE");
  const { dispatcher } = broker.queue("work")!;
  const consumer = new TestConsumer(dispatcher);
  await world.pass(12_000);
  assert.deepEqual(consumer.values, []);
  assert.equal(world.reported.length, 3, "told at once, and each time it was tried again");
  assert.match(String(world.reported[0]!.error), /EMFILE.*ulimit -n/);
  world.disk.onOperation = () => undefined;
  await world.pass(5_000);
  assert.equal(consumer.ackAll().length, MESSAGES);
  assert.equal(dispatcher.failure, undefined);
  await broker.close();
});

test("a queue whose disk fails to read stays stopped until it is opened again", async () => {
  const world = new BrokerWorld();
  const broker = await coldQueue(world);
  failReads(world, "EIO");
  const consumer = new TestConsumer(broker.queue("work")!.dispatcher);
  await world.pass(1_000);
  world.disk.onOperation = () => undefined;
  await world.pass(60_000);
  assert.deepEqual(consumer.values, []);
  assert.equal(world.reported.length, 1);
  await broker.close();
});
