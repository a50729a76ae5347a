// Numbers ordered by the time at which they are due: delayed messages, by the moment they become ready.

const CAPACITY_MIN = 16;

/** A binary heap of (due time, value) pairs in two flat arrays: 16 bytes a pair, no object per entry. Ties come out by value. */
export class DueHeap {
  #due = new Float64Array(CAPACITY_MIN);
  #values = new Float64Array(CAPACITY_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** For how many pairs there is memory. */
  get capacity(): number {
    return this.#due.length;
  }

  /** The earliest due time, or Infinity when empty. */
  get nextDue(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#due[0]!;
  }

  push(due: number, value: number): void {
    if (this.#size === this.#due.length) this.#resize(2 * this.#size);
    let index = this.#size;
    this.#size += 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(due, value, parent)) break;
      this.#due[index] = this.#due[parent]!;
      this.#values[index] = this.#values[parent]!;
      index = parent;
    }
    this.#due[index] = due;
    this.#values[index] = value;
  }

  /** Takes the value that is due first, or returns -1 when empty. */
  pop(): number {
    if (this.#size === 0) return -1;
    const first = this.#values[0]!;
    this.#size -= 1;
    if (this.#size > 0) this.#siftDown(this.#due[this.#size]!, this.#values[this.#size]!);
    if (this.#size * 4 < this.#due.length && this.#due.length > CAPACITY_MIN) this.#resize(2 * this.#size);
    return first;
  }

  clear(): void {
    this.#size = 0;
    this.#due = new Float64Array(CAPACITY_MIN);
    this.#values = new Float64Array(CAPACITY_MIN);
  }

  #siftDown(due: number, value: number): void {
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#isBefore(this.#due[child + 1]!, this.#values[child + 1]!, child))
        child += 1;
      if (this.#isBefore(due, value, child)) break;
      this.#due[index] = this.#due[child]!;
      this.#values[index] = this.#values[child]!;
      index = child;
    }
    this.#due[index] = due;
    this.#values[index] = value;
  }

  #isBefore(due: number, value: number, index: number): boolean {
    const other = this.#due[index]!;
    return due < other || (due === other && value < this.#values[index]!);
  }

  #resize(capacity: number): void {
    const due = new Float64Array(Math.max(capacity, CAPACITY_MIN));
    const values = new Float64Array(Math.max(capacity, CAPACITY_MIN));
    due.set(this.#due.subarray(0, this.#size));
    values.set(this.#values.subarray(0, this.#size));
    this.#due = due;
    this.#values = values;
  }
}
