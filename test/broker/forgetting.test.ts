import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerWorld, message } from "../support/broker-world.js";
import { TestConsumer } from "../support/test-consumer.js";

const COUNT = 64;

test("what is settled leaves the memory, and is looked at from disk; what waits stays", async () => {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  const { log } = queue.states[0]!;
  for (let i = 0; i < COUNT; i += 1) {
    queue.append(message(String(i)));
    await broker.flush();
  }
  const isInMemory = () =>
    Array.from({ length: COUNT }, (_, offset) => log.cachedBatch(offset) !== undefined);
  assert.deepEqual(isInMemory(), new Array(COUNT).fill(true));
  const consumer = new TestConsumer(queue.dispatcher, { prefetch: 32 });
  await world.quiet();
  // The oldest holds back what was settled after it.
  const [oldest, ...others] = consumer.takeAll();
  for (const delivery of others) delivery.ack();
  assert.deepEqual(isInMemory(), new Array(COUNT).fill(true));
  oldest!.ack();
  consumer.consumer.close();
  assert.deepEqual(
    isInMemory(),
    Array.from({ length: COUNT }, (_, offset) => offset >= 32),
  );
  const seen: string[] = [];
  for await (const { record } of queue.browse(true)) seen.push(record.valueText());
  assert.deepEqual(
    seen,
    Array.from({ length: COUNT }, (_, index) => String(index)),
  );
  await broker.close();
});
