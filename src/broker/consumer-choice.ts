// The consumers of one queue or subscription, and which of them is served next.

import type { Consumer } from "./consumer.js";

/** In turn, those that have credit. */
export class ConsumerChoice {
  readonly #consumers: Consumer[] = [];
  #nextIndex = 0;

  get all(): readonly Consumer[] {
    return this.#consumers;
  }

  get isEmpty(): boolean {
    return this.#consumers.length === 0;
  }

  add(consumer: Consumer): void {
    this.#consumers.push(consumer);
  }

  /** Returns whether it was there. */
  remove(consumer: Consumer): boolean {
    const index = this.#consumers.indexOf(consumer);
    if (index >= 0) this.#consumers.splice(index, 1);
    return index >= 0;
  }

  /** Hot: who gets messages next; undefined when nobody takes any. */
  next(): Consumer | undefined {
    for (let tried = 0; tried < this.#consumers.length; tried += 1) {
      const consumer = this.#consumers[this.#nextIndex % this.#consumers.length]!;
      this.#nextIndex = (this.#nextIndex + 1) % this.#consumers.length;
      if (consumer.credit > 0) return consumer;
    }
    return undefined;
  }

  /** Whether one takes as much as it has credit for, since there is nobody to share with. */
  get isAlone(): boolean {
    return this.#consumers.length === 1;
  }

  /** An equal part of what waits for each consumer that has credit, so that one does not take it all. */
  shareOf(waiting: number): number {
    const withCredit = this.#consumers.filter(({ credit }) => credit > 0).length;
    return Math.max(1, Math.ceil(waiting / Math.max(1, withCredit)));
  }
}
