// A set of whole numbers kept as ranges in one piece of memory. Cheap where numbers come almost in order.

const EMPTY = new Float64Array(0);
const CAPACITY_MIN = 8;

/**
 * Sorted, disjoint, non-adjacent half-open ranges `[start, end)`, in two flat arrays with room at both ends.
 *
 *   starts: |   |   | 0 | 7 | 20 |    |    |    |     head = 2, count = 3
 *   ends:   |   |   | 5 | 9 | 21 |    |    |    |
 *
 * Adding at the end of the last range is O(1). Elsewhere it is O(log n) to find and O(n) to shift the shorter side, n
 * being the number of ranges: numbers that come and go at either end, as those of a queue do, shift next to nothing.
 */
export class RangeRun {
  #starts = EMPTY;
  #ends = EMPTY;
  #head = 0;
  #count = 0;
  #size = 0;

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  get rangeCount(): number {
    return this.#count;
  }

  /** For how many ranges there is memory. */
  get capacity(): number {
    return this.#starts.length;
  }

  /** The lowest number, or -1 when the set is empty. */
  get first(): number {
    return this.#count === 0 ? -1 : this.#starts[this.#head]!;
  }

  /** Hot: adds `value` when it is the number behind the last one; else returns false. */
  extend(value: number): boolean {
    const last = this.#head + this.#count - 1;
    if (this.#count === 0 || this.#ends[last] !== value) return false;
    this.#ends[last] = value + 1;
    this.#size += 1;
    return true;
  }

  /** Returns false when `value` was there already. */
  add(value: number): boolean {
    return this.addRange(value, value + 1) === 1;
  }

  /** Adds `[start, end)` and returns how many numbers were not there before. */
  addRange(start: number, end: number): number {
    if (end <= start) return 0;
    const from = this.#firstEndingAtOrAfter(start);
    const stop = this.#head + this.#count;
    let to = from;
    let mergedStart = start;
    let mergedEnd = end;
    let covered = 0;
    while (to < stop && this.#starts[to]! <= end) {
      mergedStart = Math.min(mergedStart, this.#starts[to]!);
      mergedEnd = Math.max(mergedEnd, this.#ends[to]!);
      covered += this.#ends[to]! - this.#starts[to]!;
      to += 1;
    }
    if (to === from) {
      this.#insert(from, start, end);
    } else {
      this.#starts[from] = mergedStart;
      this.#ends[from] = mergedEnd;
      this.#remove(from + 1, to - from - 1);
    }
    const added = mergedEnd - mergedStart - covered;
    this.#size += added;
    return added;
  }

  /** Removes `[start, end)` and returns how many numbers left. */
  removeRange(start: number, end: number): number {
    if (end <= start) return 0;
    const stop = this.#head + this.#count;
    const from = this.#firstEndingAtOrAfter(start + 1);
    if (from === stop || this.#starts[from]! >= end) return 0;
    // All of these have a part in what is removed; of the first and the last something may be left.
    let to = from;
    let removed = 0;
    while (to < stop && this.#starts[to]! < end) {
      removed += Math.min(this.#ends[to]!, end) - Math.max(this.#starts[to]!, start);
      to += 1;
    }
    const leftStart = this.#starts[from]!;
    const rightEnd = this.#ends[to - 1]!;
    const hasLeft = leftStart < start;
    const hasRight = rightEnd > end;
    if (hasLeft && hasRight && to === from + 1) {
      this.#ends[from] = start;
      this.#insert(to, end, rightEnd);
    } else {
      if (hasLeft) this.#ends[from] = start;
      if (hasRight) this.#starts[to - 1] = end;
      const firstGone = hasLeft ? from + 1 : from;
      this.#remove(firstGone, (hasRight ? to - 1 : to) - firstGone);
    }
    this.#size -= removed;
    return removed;
  }

  has(value: number): boolean {
    return this.endOfRangeAt(value) !== value;
  }

  /** Hot: the end of the range that holds `value`; `value` itself when none does. */
  endOfRangeAt(value: number): number {
    const index = this.#firstEndingAtOrAfter(value + 1);
    return index < this.#head + this.#count && this.#starts[index]! <= value ? this.#ends[index]! : value;
  }

  /** What lies between `start` and `end`, in ranges. */
  pairsWithin(start: number, end: number): [start: number, end: number][] {
    const pairs: [number, number][] = [];
    const stop = this.#head + this.#count;
    for (let at = this.#firstEndingAtOrAfter(start + 1); at < stop && this.#starts[at]! < end; at += 1)
      pairs.push([Math.max(this.#starts[at]!, start), Math.min(this.#ends[at]!, end)]);
    return pairs;
  }

  /** The ranges as pairs, for storing. */
  toPairs(): [start: number, end: number][] {
    const pairs: [number, number][] = [];
    for (let index = this.#head; index < this.#head + this.#count; index += 1)
      pairs.push([this.#starts[index]!, this.#ends[index]!]);
    return pairs;
  }

  /** Moves the upper half of the ranges into another run. Returns its first number too. */
  splitOff(): [bound: number, upper: RangeRun] {
    const upper = new RangeRun();
    const pairs = this.toPairs().slice(this.#count >> 1);
    for (const [start, end] of pairs) upper.addRange(start, end);
    const bound = pairs[0]![0];
    this.removeRange(bound, Number.MAX_SAFE_INTEGER);
    return [bound, upper];
  }

  clear(): void {
    this.#starts = EMPTY;
    this.#ends = EMPTY;
    this.#head = 0;
    this.#count = 0;
    this.#size = 0;
  }

  #insert(index: number, start: number, end: number): void {
    const before = index - this.#head;
    if (this.#head > 0 && before * 2 < this.#count) {
      this.#shift(this.#head - 1, this.#head, index);
      this.#head -= 1;
    } else {
      if (this.#head + this.#count === this.#starts.length)
        this.#move(Math.max(2 * this.#count, CAPACITY_MIN));
      const at = this.#head + before;
      this.#shift(at + 1, at, this.#head + this.#count);
    }
    this.#count += 1;
    this.#starts[this.#head + before] = start;
    this.#ends[this.#head + before] = end;
  }

  #remove(index: number, count: number): void {
    if (count === 0) return;
    const before = index - this.#head;
    if (before * 2 < this.#count) {
      this.#shift(this.#head + count, this.#head, index);
      this.#head += count;
    } else {
      this.#shift(index, index + count, this.#head + this.#count);
    }
    this.#count -= count;
    if (this.#count * 4 < this.#starts.length && this.#starts.length > CAPACITY_MIN) {
      this.#move(Math.max(2 * this.#count, CAPACITY_MIN));
    }
  }

  #shift(to: number, from: number, end: number): void {
    if (from === end) return;
    this.#starts.copyWithin(to, from, end);
    this.#ends.copyWithin(to, from, end);
  }

  /** To the front of arrays of that size. */
  #move(capacity: number): void {
    const end = this.#head + this.#count;
    const starts = new Float64Array(capacity);
    const ends = new Float64Array(capacity);
    starts.set(this.#starts.subarray(this.#head, end));
    ends.set(this.#ends.subarray(this.#head, end));
    this.#starts = starts;
    this.#ends = ends;
    this.#head = 0;
  }

  #firstEndingAtOrAfter(value: number): number {
    let low = this.#head;
    let high = this.#head + this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
