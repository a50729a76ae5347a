// The producer's and the consumer's books of one queue: what was published, what came back, and when.

import { CORRUPT_BODY } from "./bodies.js";

export class Lane {
  readonly queue: number;
  /** Messages that may be published before others come back. */
  credits: number;
  /** The number of the next message; as many were published. */
  published = 0;
  handled = 0;
  acked = 0;
  #seen = new Uint8Array(8192);
  readonly #publishedAtMs: Float64Array;
  readonly #timeMask: number;

  constructor(queue: number, depth: number) {
    this.queue = queue;
    this.credits = depth;
    const size = 2 ** Math.ceil(Math.log2(Math.max(depth, 2)));
    this.#publishedAtMs = new Float64Array(size);
    this.#timeMask = size - 1;
  }

  /** Takes the next `count` numbers and returns the first. */
  publish(count: number, nowMs: number): number {
    const first = this.published;
    for (let number = first; number < first + count; number++) {
      this.#publishedAtMs[number & this.#timeMask] = nowMs;
    }
    this.published += count;
    this.credits -= count;
    return first;
  }

  /** When message `number` was published: right while no more than the depth are in flight. */
  publishedAtMs(number: number): number {
    return this.#publishedAtMs[number & this.#timeMask]!;
  }

  /** Hot: every message. Returns what is wrong with this delivery, if anything. */
  handle(number: number): string | undefined {
    if (number === CORRUPT_BODY) return "delivered a body that nobody published there";
    if (number >= this.published) return `delivered message ${number}, which was not published`;
    if (number >= this.#seen.length << 3) this.#grow();
    const bit = 1 << (number & 7);
    const seen = this.#seen[number >> 3]!;
    if ((seen & bit) !== 0) return `delivered message ${number} twice`;
    this.#seen[number >> 3] = seen | bit;
    this.handled += 1;
    return undefined;
  }

  #grow(): void {
    const grown = new Uint8Array(Math.max(this.#seen.length * 2, (this.published >> 3) + 1));
    grown.set(this.#seen);
    this.#seen = grown;
  }
}
