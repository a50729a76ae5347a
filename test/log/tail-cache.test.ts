import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { StoredBatch } from "../../src/log/stored-batch.js";
import { LogTail, TailCache } from "../../src/log/tail-cache.js";
import { SeededRandom } from "../support/seeded-random.js";

function batch(baseOffset: number, count: number): StoredBatch {
  const builder = new BatchBuilder();
  for (let i = 0; i < count; i += 1) builder.append(0, null, "x".repeat(50), NO_HEADERS);
  return new StoredBatch(Buffer.from(builder.finish(baseOffset)));
}

test("a tail finds the batch of an offset, and nothing before its first or after its last", () => {
  const tail = new LogTail(new TailCache(1_000_000));
  for (const base of [10, 13, 16]) tail.add(batch(base, 3), 200);
  for (const offset of [18, 10, 15, 11, 12, 13, 16]) {
    const found = tail.find(offset)!;
    assert.ok(found.baseOffset <= offset && offset <= found.lastOffset);
  }
  assert.equal(tail.find(9), undefined);
  assert.equal(tail.find(19), undefined);
  tail.dropBefore(14);
  assert.equal(tail.find(12), undefined);
  assert.equal(tail.find(13)?.baseOffset, 13);
  tail.clear();
  assert.equal(tail.find(17), undefined);
});

test("over many logs the budget holds, the oldest batches leave first, and what is dropped is forgotten", () => {
  const random = new SeededRandom(5);
  const cache = new TailCache(40_000);
  const tails = Array.from({ length: 7 }, () => ({ tail: new LogTail(cache), next: 0 }));
  const order: { of: number; base: number }[] = [];
  for (let i = 0; i < 20_000; i += 1) {
    const of = random.below(tails.length);
    const entry = tails[of]!;
    if (random.chance(0.2)) {
      entry.tail.dropBefore(entry.next - random.below(10));
      continue;
    }
    const added = batch(entry.next, 1 + random.below(3));
    order.push({ of, base: added.baseOffset });
    entry.tail.add(added, added.sizeBytes);
    entry.next = added.lastOffset + 1;
    assert.ok(cache.usedBytes <= cache.budgetBytes);
    assert.equal(entry.tail.find(entry.next - 1), added);
  }
  const latest = order.slice(-30);
  const isThere = latest.map(({ of, base }) => tails[of]!.tail.find(base) !== undefined);
  assert.ok(isThere.filter(Boolean).length > 10);
  for (const { tail } of tails) tail.clear();
  assert.equal(cache.usedBytes, 0);
});

test("a batch larger than the budget is not kept, nor is anything before it", () => {
  const tail = new LogTail(new TailCache(2000));
  tail.add(batch(0, 1), 100);
  tail.add(batch(1, 30), 5000);
  assert.equal(tail.find(0), undefined);
  assert.equal(tail.find(1), undefined);
});
