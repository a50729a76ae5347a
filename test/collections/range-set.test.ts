import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RangeSet } from "../../src/collections/range-set.js";

const MAX = 40;

/** A step on the real set and on a plain one; both have to answer the same. */
type Step = (ranges: RangeSet, numbers: Set<number>) => void;

const value = fc.integer({ min: 0, max: MAX });
const range = fc.tuple(value, value);

function count(numbers: Set<number>, start: number, end: number): number {
  return [...numbers].filter((number) => number >= start && number < end).length;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  value.map((number) => (ranges: RangeSet, numbers: Set<number>) => {
    assert.equal(ranges.add(number), !numbers.has(number));
    numbers.add(number);
  }),
  range.map(([start, end]) => (ranges: RangeSet, numbers: Set<number>) => {
    const before = numbers.size;
    for (let number = start; number < end; number += 1) numbers.add(number);
    assert.equal(ranges.addRange(start, end), numbers.size - before);
  }),
  range.map(([start, end]) => (ranges: RangeSet, numbers: Set<number>) => {
    assert.equal(ranges.removeRange(start, end), end > start ? count(numbers, start, end) : 0);
    for (let number = start; number < end; number += 1) numbers.delete(number);
  }),
  fc.constant((ranges: RangeSet, numbers: Set<number>) => {
    const first = numbers.size === 0 ? -1 : Math.min(...numbers);
    assert.equal(ranges.takeFirst(), first);
    numbers.delete(first);
  }),
);

/** The ranges of `numbers`, found number by number. */
function rangesOf(numbers: Set<number>): [number, number][] {
  const ranges: [number, number][] = [];
  for (let number = 0; number <= MAX + 1; number += 1) {
    if (!numbers.has(number)) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === number) last[1] = number + 1;
    else ranges.push([number, number + 1]);
  }
  return ranges;
}

function check(ranges: RangeSet, numbers: Set<number>): void {
  const pairs = rangesOf(numbers);
  assert.deepEqual(ranges.toPairs(), pairs);
  assert.equal(ranges.rangeCount, pairs.length);
  assert.equal(ranges.size, numbers.size);
  assert.equal(ranges.first, numbers.size === 0 ? -1 : Math.min(...numbers));
  for (let number = 0; number <= MAX + 1; number += 1) {
    assert.equal(ranges.has(number), numbers.has(number));
    const end = pairs.find(([from, to]) => from <= number && number < to)?.[1] ?? number;
    assert.equal(ranges.endOfRangeAt(number), end);
  }
  const gaps = rangesOf(new Set(Array.from({ length: MAX }, (_, i) => i).filter((i) => !numbers.has(i))));
  assert.deepEqual(ranges.gapsBelow(MAX), gaps);
}

test("a set of ranges answers like a set of numbers, after any steps", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ranges = new RangeSet();
      const numbers = new Set<number>();
      for (const act of steps) {
        act(ranges, numbers);
        check(ranges, numbers);
      }
      ranges.clear();
      check(ranges, new Set());
    }),
    { numRuns: 300 },
  );
});

test("numbers in order are one range, however many they are", () => {
  const ranges = new RangeSet();
  for (let number = 0; number < 1_000_000; number += 1) ranges.add(number);
  assert.equal(ranges.rangeCount, 1);
  assert.equal(ranges.removeRange(10, Number.MAX_SAFE_INTEGER), 999_990);
  assert.deepEqual(ranges.toPairs(), [[0, 10]]);
});

test("a set whose numbers come at one end and leave at the other keeps no memory for those that left", () => {
  const ranges = new RangeSet();
  for (let number = 0; number < 200_000; number += 1) {
    ranges.add(2 * number);
    if (number >= 50) assert.equal(ranges.takeFirst(), 2 * (number - 50));
  }
  assert.equal(ranges.rangeCount, 50);
  assert.ok(ranges.capacity <= 512, String(ranges.capacity));
});

test("a large set of gaps answers like a set of numbers, after any steps across all of it", () => {
  const wide = fc.integer({ min: 0, max: 20_000 });
  const wideStep = fc.record({ isAdding: fc.boolean(), start: wide, length: fc.nat(6_000) });
  fc.assert(
    fc.property(fc.array(wideStep, { maxLength: 12 }), (steps) => {
      const ranges = new RangeSet();
      const numbers = new Uint8Array(30_000);
      for (let number = 0; number < 20_000; number += 2) {
        ranges.add(number);
        numbers[number] = 1;
      }
      for (const { isAdding, start, length } of steps) {
        const before = numbers.slice(start, start + length).reduce((sum, bit) => sum + bit, 0);
        const changed = isAdding ? length - before : before;
        numbers.fill(isAdding ? 1 : 0, start, start + length);
        const end = start + length;
        assert.equal(isAdding ? ranges.addRange(start, end) : ranges.removeRange(start, end), changed);
        checkLarge(ranges, numbers, start, end);
      }
    }),
    { numRuns: 30 },
  );
});

test("half a million numbers that come in no order are settled in seconds, in memory for their gaps only", () => {
  const ranges = new RangeSet();
  const count = 1 << 19;
  let capacity = 0;
  for (let step = 0; step < count; step += 1) {
    // An odd factor: every number once.
    assert.ok(ranges.add((step * 362_437) % count));
    if (step % 4096 === 0) capacity = Math.max(capacity, ranges.capacity);
  }
  assert.deepEqual(ranges.toPairs(), [[0, count]]);
  assert.ok(capacity < count, `${capacity} ranges`);
  assert.ok(ranges.capacity < 10_000, `${ranges.capacity} in the end`);
  for (let step = 0; step < count; step += 1)
    assert.equal(ranges.removeRange((step * 362_437) % count, ((step * 362_437) % count) + 1), 1);
  assert.deepEqual([ranges.size, ranges.first, ranges.toPairs()], [0, -1, []]);
  assert.ok(ranges.capacity < 10_000, `${ranges.capacity} when it is empty`);
});

/** Holds what a large set says against a bit for each number; of places, those around `start` and `end`. */
function checkLarge(ranges: RangeSet, numbers: Uint8Array, start: number, end: number): void {
  const pairs: [number, number][] = [];
  for (let number = 0; number < numbers.length; number += 1) {
    if (numbers[number] === 0) continue;
    const last = pairs.at(-1);
    if (last !== undefined && last[1] === number) last[1] = number + 1;
    else pairs.push([number, number + 1]);
  }
  assert.deepEqual(ranges.toPairs(), pairs);
  assert.equal(
    ranges.size,
    numbers.reduce((sum, bit) => sum + bit, 0),
  );
  assert.equal(ranges.first, pairs[0]?.[0] ?? -1);
  for (const place of [0, start - 1, start, start + 1, end - 1, end, end + 1]) {
    if (place < 0) continue;
    const within = pairs.find(([from, to]) => from <= place && place < to);
    assert.equal(ranges.has(place), within !== undefined, String(place));
    assert.equal(ranges.endOfRangeAt(place), within?.[1] ?? place, String(place));
  }
  const cut = pairs.flatMap(([from, to]): [number, number][] => {
    const [a, b] = [Math.max(from, start), Math.min(to, end)];
    return a < b ? [[a, b]] : [];
  });
  assert.deepEqual(ranges.pairsWithin(start, end), cut);
  const gaps = ranges.gapsBelow(numbers.length);
  const missing = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  assert.equal(missing, numbers.length - ranges.size);
}
