// A set of whole numbers kept as ranges: what is settled, what is ready. Cheap where numbers come almost in order.

/**
 * Sorted, disjoint, non-adjacent half-open ranges `[start, end)`.
 * Adding at the end of the last range is O(1); elsewhere O(log n) to find and O(n) to shift, n being the number of ranges.
 */
export class RangeSet {
  #starts: number[] = [];
  #ends: number[] = [];
  #size = 0;

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  get rangeCount(): number {
    return this.#starts.length;
  }

  /** The lowest number, or -1 when the set is empty. */
  get first(): number {
    return this.#starts.length === 0 ? -1 : this.#starts[0]!;
  }

  /** Hot: one call per settled message. Returns false when `value` was there already. */
  add(value: number): boolean {
    const last = this.#ends.length - 1;
    if (last >= 0 && this.#ends[last] === value) {
      this.#ends[last] = value + 1;
      this.#size += 1;
      return true;
    }
    return this.addRange(value, value + 1) === 1;
  }

  /** Adds `[start, end)` and returns how many numbers were not there before. */
  addRange(start: number, end: number): number {
    if (end <= start) return 0;
    const from = this.#firstEndingAtOrAfter(start);
    let to = from;
    let mergedStart = start;
    let mergedEnd = end;
    let covered = 0;
    while (to < this.#starts.length && this.#starts[to]! <= end) {
      mergedStart = Math.min(mergedStart, this.#starts[to]!);
      mergedEnd = Math.max(mergedEnd, this.#ends[to]!);
      covered += this.#ends[to]! - this.#starts[to]!;
      to += 1;
    }
    this.#replace(from, to, mergedStart, mergedEnd);
    const added = mergedEnd - mergedStart - covered;
    this.#size += added;
    return added;
  }

  /** Removes `[start, end)` and returns how many numbers left. */
  removeRange(start: number, end: number): number {
    if (end <= start) return 0;
    let index = this.#firstEndingAtOrAfter(start + 1);
    let removed = 0;
    while (index < this.#starts.length && this.#starts[index]! < end) {
      const rangeStart = this.#starts[index]!;
      const rangeEnd = this.#ends[index]!;
      removed += Math.min(rangeEnd, end) - Math.max(rangeStart, start);
      if (rangeStart < start && rangeEnd > end) {
        this.#ends[index] = start;
        this.#starts.splice(index + 1, 0, end);
        this.#ends.splice(index + 1, 0, rangeEnd);
        break;
      }
      if (rangeStart < start) {
        this.#ends[index] = start;
        index += 1;
      } else if (rangeEnd > end) {
        this.#starts[index] = end;
        break;
      } else {
        this.#starts.splice(index, 1);
        this.#ends.splice(index, 1);
      }
    }
    this.#size -= removed;
    return removed;
  }

  /** Hot: takes the lowest number out, or returns -1. */
  takeFirst(): number {
    if (this.#starts.length === 0) return -1;
    const value = this.#starts[0]!;
    if (value + 1 === this.#ends[0]) {
      this.#starts.shift();
      this.#ends.shift();
    } else {
      this.#starts[0] = value + 1;
    }
    this.#size -= 1;
    return value;
  }

  has(value: number): boolean {
    return this.endOfRangeAt(value) !== value;
  }

  /** The end of the range that holds `value`; `value` itself when none does. */
  endOfRangeAt(value: number): number {
    const index = this.#firstEndingAtOrAfter(value + 1);
    return index < this.#starts.length && this.#starts[index]! <= value ? this.#ends[index]! : value;
  }

  /** The ranges from 0 up to `end` that are not in the set. */
  gapsBelow(end: number): [start: number, end: number][] {
    const gaps: [number, number][] = [];
    let start = 0;
    for (let index = 0; index < this.#starts.length && this.#starts[index]! < end; index += 1) {
      if (this.#starts[index]! > start) gaps.push([start, this.#starts[index]!]);
      start = this.#ends[index]!;
    }
    if (start < end) gaps.push([start, end]);
    return gaps;
  }

  /** The ranges as pairs, for storing. */
  toPairs(): [start: number, end: number][] {
    return this.#starts.map((start, index) => [start, this.#ends[index]!]);
  }

  clear(): void {
    this.#starts = [];
    this.#ends = [];
    this.#size = 0;
  }

  #replace(from: number, to: number, start: number, end: number): void {
    if (to === from + 1) {
      this.#starts[from] = start;
      this.#ends[from] = end;
    } else {
      this.#starts.splice(from, to - from, start);
      this.#ends.splice(from, to - from, end);
    }
  }

  #firstEndingAtOrAfter(value: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
