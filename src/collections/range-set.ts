// A set of whole numbers kept as ranges: what is settled, what is ready. Cheap where numbers come almost in order, and
// still where millions come in none.

import { RangeRun } from "./range-run.js";

/** A run with more ranges than this is split: shifting within it costs no more than a microsecond. */
const RUN_RANGES_MAX = 2048;
/** A run with fewer is joined with its neighbour, when both fit into half a run. */
const RUN_RANGES_MIN = 256;

/**
 * One run of ranges; from some size on several, each with the numbers from its bound up to the next one's. A range that
 * crosses a bound is cut there.
 *
 *   bounds: |    0    |   5000   |    9000    |
 *   runs:   | RangeRun | RangeRun | RangeRun ...
 */
export class RangeSet {
  /** Never empty; the first bound is below every number. */
  #runs: RangeRun[] = [new RangeRun()];
  #bounds: number[] = [Number.NEGATIVE_INFINITY];
  #last = this.#runs[0]!;
  #size = 0;

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  /** Ranges, those counted twice that are cut. */
  get rangeCount(): number {
    return this.#runs.reduce((sum, run) => sum + run.rangeCount, 0);
  }

  /** For how many ranges there is memory. */
  get capacity(): number {
    return this.#runs.reduce((sum, run) => sum + run.capacity, 0);
  }

  /** The lowest number, or -1 when the set is empty. */
  get first(): number {
    for (const run of this.#runs) if (run.size > 0) return run.first;
    return -1;
  }

  /** Hot: one call per settled message. Returns false when `value` was there already. */
  add(value: number): boolean {
    if (this.#last.extend(value)) {
      this.#size += 1;
      return true;
    }
    const index = this.#indexAt(value);
    const run = this.#runs[index]!;
    if (!run.add(value)) return false;
    this.#size += 1;
    this.#balance(index);
    return true;
  }

  /** Adds `[start, end)` and returns how many numbers were not there before. */
  addRange(start: number, end: number): number {
    let added = 0;
    for (let index = this.#indexAt(start), from = start; from < end; index += 1) {
      const to = Math.min(end, this.#boundAfter(index));
      added += this.#runs[index]!.addRange(from, to);
      from = to;
    }
    this.#size += added;
    this.#balanceFrom(start, end);
    return added;
  }

  /** Removes `[start, end)` and returns how many numbers left. */
  removeRange(start: number, end: number): number {
    let removed = 0;
    for (let index = this.#indexAt(start), from = start; from < end; index += 1) {
      const to = Math.min(end, this.#boundAfter(index));
      removed += this.#runs[index]!.removeRange(from, to);
      from = to;
    }
    this.#size -= removed;
    this.#balanceFrom(start, end);
    return removed;
  }

  /** Hot: takes the lowest number out, or returns -1. */
  takeFirst(): number {
    const value = this.first;
    if (value !== -1) this.removeRange(value, value + 1);
    return value;
  }

  has(value: number): boolean {
    return this.#runs[this.#indexAt(value)]!.has(value);
  }

  /** Hot: the end of the range that holds `value`; `value` itself when none does. */
  endOfRangeAt(value: number): number {
    if (this.#runs.length === 1) return this.#last.endOfRangeAt(value);
    let index = this.#indexAt(value);
    let end = this.#runs[index]!.endOfRangeAt(value);
    while (end > value && end === this.#boundAfter(index)) {
      index += 1;
      const further = this.#runs[index]!.endOfRangeAt(end);
      if (further === end) return end;
      end = further;
    }
    return end;
  }

  /** The ranges from 0 up to `end` that are not in the set. */
  gapsBelow(end: number): [start: number, end: number][] {
    const gaps: [number, number][] = [];
    let start = 0;
    for (const [rangeStart, rangeEnd] of this.toPairs()) {
      if (rangeStart >= end) break;
      if (rangeStart > start) gaps.push([start, rangeStart]);
      start = rangeEnd;
    }
    if (start < end) gaps.push([start, end]);
    return gaps;
  }

  /** What lies between `start` and `end`, in ranges. */
  pairsWithin(start: number, end: number): [start: number, end: number][] {
    const pairs: [number, number][] = [];
    for (let index = this.#indexAt(start), from = start; from < end; index += 1) {
      const to = Math.min(end, this.#boundAfter(index));
      for (const pair of this.#runs[index]!.pairsWithin(from, to)) append(pairs, pair);
      from = to;
    }
    return pairs;
  }

  /** The ranges as pairs, for storing. */
  toPairs(): [start: number, end: number][] {
    if (this.#runs.length === 1) return this.#last.toPairs();
    const pairs: [number, number][] = [];
    for (const run of this.#runs) for (const pair of run.toPairs()) append(pairs, pair);
    return pairs;
  }

  clear(): void {
    this.#last.clear();
    this.#runs = [this.#last];
    this.#bounds = [Number.NEGATIVE_INFINITY];
    this.#size = 0;
  }

  /** Hot: mostly there is one run, or the last one is meant. */
  #indexAt(value: number): number {
    const bounds = this.#bounds;
    let high = bounds.length - 1;
    if (value >= bounds[high]!) return high;
    let low = 0;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (bounds[middle]! <= value) low = middle;
      else high = middle;
    }
    return low;
  }

  #boundAfter(index: number): number {
    return index + 1 < this.#bounds.length ? this.#bounds[index + 1]! : Number.POSITIVE_INFINITY;
  }

  #balanceFrom(start: number, end: number): void {
    if (this.#runs.length === 1) {
      this.#balance(0);
      return;
    }
    for (let index = this.#indexAt(end); index >= this.#indexAt(start); index -= 1) this.#balance(index);
  }

  /** Hot: splits a run that has become large, joins one that has become small. */
  #balance(index: number): void {
    const { rangeCount } = this.#runs[index]!;
    if (rangeCount > RUN_RANGES_MAX) this.#split(index);
    else if (rangeCount < RUN_RANGES_MIN && this.#runs.length > 1) this.#join(index);
  }

  #split(index: number): void {
    const run = this.#runs[index]!;
    const [bound, upper] = run.splitOff();
    this.#runs.splice(index + 1, 0, upper);
    this.#bounds.splice(index + 1, 0, bound);
    this.#last = this.#runs.at(-1)!;
  }

  /** With the one before, or the first one with the one after. */
  #join(index: number): void {
    const lowerIndex = Math.max(0, index - 1);
    const lower = this.#runs[lowerIndex]!;
    const upper = this.#runs[lowerIndex + 1]!;
    if (lower.rangeCount + upper.rangeCount > RUN_RANGES_MAX / 2) return;
    for (const [start, end] of upper.toPairs()) lower.addRange(start, end);
    this.#runs.splice(lowerIndex + 1, 1);
    this.#bounds.splice(lowerIndex + 1, 1);
    this.#last = this.#runs.at(-1)!;
  }
}

/** Behind the others; a range that goes on where the last one ends is a part of it. */
function append(pairs: [number, number][], pair: [start: number, end: number]): void {
  const last = pairs.at(-1);
  if (last !== undefined && last[1] === pair[0]) last[1] = pair[1];
  else pairs.push(pair);
}
