// A first-in first-out queue that reuses its slots.

/**
 * A growable ring.
 *
 *   slots: | 4 | 5 |   |   |   |   | 2 | 3 |     head = 6, size = 4, capacity = 8 (a power of two)
 */
export class Ring<T> {
  #slots: (T | undefined)[] = new Array(8);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(value: T): void {
    if (this.#size === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = value;
    this.#size += 1;
  }

  peek(): T | undefined {
    return this.#size === 0 ? undefined : this.#slots[this.#head];
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const value = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size -= 1;
    return value;
  }

  clear(): void {
    this.#slots = new Array(8);
    this.#head = 0;
    this.#size = 0;
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(this.#slots.length * 2);
    for (let index = 0; index < this.#size; index += 1) {
      grown[index] = this.#slots[(this.#head + index) & (this.#slots.length - 1)];
    }
    this.#slots = grown;
    this.#head = 0;
  }
}
