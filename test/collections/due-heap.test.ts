import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DueHeap } from "../../src/collections/due-heap.js";

const pair = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 1_000_000 }));

test("values come out in the order of their time, and those of one time in their own", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 3, arbitrary: pair }, fc.constant("pop" as const))), (steps) => {
      const heap = new DueHeap();
      const model: [number, number][] = [];
      for (const step of steps) {
        if (step === "pop") {
          model.sort(([a, b], [c, d]) => a - c || b - d);
          assert.equal(heap.pop(), model.shift()?.[1] ?? -1);
        } else {
          heap.push(...step);
          model.push([...step]);
        }
        assert.equal(heap.size, model.length);
        assert.equal(heap.nextDue, Math.min(...model.map(([due]) => due)));
      }
    }),
  );
});

test("a heap that grew large and was emptied holds no memory for what it had", () => {
  const heap = new DueHeap();
  for (let value = 0; value < 100_000; value += 1) heap.push(value % 977, value);
  for (let taken = 0; taken < 99_990; taken += 1) heap.pop();
  assert.ok(heap.capacity <= 64, String(heap.capacity));
  assert.deepEqual(
    Array.from({ length: 11 }, () => heap.pop()),
    [...Array.from({ length: 10 }, (_, index) => 976 + 977 * (index + 92)), -1],
  );
});

test("a cleared heap is empty and can be used again", () => {
  const heap = new DueHeap();
  heap.push(1, 1);
  heap.clear();
  assert.deepEqual([heap.size, heap.nextDue, heap.pop()], [0, Number.POSITIVE_INFINITY, -1]);
  heap.push(2, 7);
  assert.equal(heap.pop(), 7);
});
