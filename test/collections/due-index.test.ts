import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DUE_BLOCK_SIZE, DueIndex } from "../../src/collections/due-index.js";

const HOUR_MS = 3_600_000;

/** Takes all that is due, as an owner would that knows the time of each number; in the order in which they come. */
function takeAll(index: DueIndex, times: ReadonlyMap<number, number>, nowMs: number): number[] {
  const taken: number[] = [];
  for (;;) {
    for (let value = index.takeDue(nowMs); value >= 0; value = index.takeDue(nowMs)) taken.push(value);
    const block = index.takeBlock(nowMs);
    if (block < 0) return taken;
    const { takenDueMs } = index;
    for (let value = block; value < block + DUE_BLOCK_SIZE; value += 1) {
      const dueMs = times.get(value);
      if (dueMs !== undefined && dueMs >= takenDueMs) index.add(value, dueMs, nowMs);
    }
  }
}

test("every number comes at its time or when it is asked for next, whatever the order of adding", () => {
  const entry = fc.record({ value: fc.nat(5 * DUE_BLOCK_SIZE), dueMs: fc.nat(30 * HOUR_MS) });
  const entries = fc.uniqueArray(entry, { selector: ({ value }) => value, maxLength: 200 });
  fc.assert(
    fc.property(entries, fc.array(fc.nat(5 * HOUR_MS), { maxLength: 40 }), (all, waits) => {
      const index = new DueIndex();
      const left = new Map(all.map(({ value, dueMs }) => [value, dueMs]));
      for (const { value, dueMs } of all) index.add(value, dueMs, 0);
      let nowMs = 0;
      for (const waitMs of [...waits, 40 * HOUR_MS]) {
        nowMs += waitMs;
        const due = [...left].filter(([, dueMs]) => dueMs <= nowMs).map(([value]) => value);
        const taken = takeAll(index, left, nowMs);
        assert.deepEqual(new Set(taken), new Set(due));
        for (const value of taken) left.delete(value);
        const nextMs = Math.min(Number.POSITIVE_INFINITY, ...left.values());
        assert.ok(index.nextMs <= nextMs, "it asks to be asked in time");
        assert.ok(index.nextMs > nowMs, "and not again before time has passed");
      }
      assert.ok(index.isEmpty);
    }),
  );
});

test("a million numbers that are due in no order within a day take a few entries per block", () => {
  const index = new DueIndex();
  for (let value = 0; value < 1_000_000; value += 1)
    index.add(value, 2 * HOUR_MS + ((value * 7_919) % (24 * HOUR_MS)), 0);
  assert.ok(index.entryCount < 20_000, `${index.entryCount} entries`);
});

test("the more is due soon, the less is kept by itself, and what is due comes all the same", () => {
  const index = new DueIndex();
  const times = new Map<number, number>();
  for (let value = 0; value < 300_000; value += 1) {
    const dueMs = 1_000 + (value % 60_000);
    times.set(value, dueMs);
    index.add(value, dueMs, 0);
  }
  assert.ok(index.entryCount < 70_000, `${index.entryCount} entries`);
  let count = 0;
  const nowMs = 100_000;
  for (;;) {
    let value = index.takeDue(nowMs);
    for (; value >= 0; value = index.takeDue(nowMs)) {
      assert.ok(times.delete(value));
      count += 1;
    }
    const block = index.takeBlock(nowMs);
    if (block < 0) break;
    for (let at = block; at < block + DUE_BLOCK_SIZE; at += 1)
      if (times.has(at)) index.add(at, times.get(at)!, nowMs);
  }
  assert.equal(count, 300_000);
});

test("a block that is asked for again and again does not add its numbers twice", () => {
  const index = new DueIndex();
  const times = new Map<number, number>();
  for (let value = 0; value < 1_000; value += 1) times.set(value, (value * 30 * HOUR_MS) / 1_000);
  for (const [value, dueMs] of times) index.add(value, dueMs, 0);
  let taken = 0;
  for (let nowMs = 0; nowMs <= 30 * HOUR_MS; nowMs += HOUR_MS / 10) {
    taken += takeAll(index, times, nowMs).length;
    assert.ok(index.entryCount < 100, `${index.entryCount} entries`);
  }
  assert.equal(taken, 1_000);
});

test("one that is kept alone comes at its time, however far ahead that was", () => {
  const index = new DueIndex();
  index.addAlone(7, 100 * HOUR_MS);
  assert.equal(index.nextMs, 100 * HOUR_MS);
  assert.equal(index.takeDue(100 * HOUR_MS - 1), -1);
  assert.equal(index.takeBlock(100 * HOUR_MS - 1), -1);
  assert.equal(index.takeDue(100 * HOUR_MS), 7);
  index.addAlone(8, 1);
  index.add(8, 200 * HOUR_MS, 0);
  index.clear();
  assert.ok(index.isEmpty);
  assert.equal(index.nextMs, Number.POSITIVE_INFINITY);
});
