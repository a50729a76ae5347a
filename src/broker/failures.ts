// What is remembered of messages that were tried and not settled.

import type { RangeSet } from "../collections/range-set.js";

/** What became of the tries of one message. */
export interface Failure {
  /** How often it was handed out and not acknowledged. */
  readonly attempts: number;
  /** 0 when it may be handed out at once. */
  readonly readyAtMs: number;
  readonly error: string;
  readonly firstFailedAtMs: number;
  /** Whether later messages of its key overtake it while it waits. */
  readonly isParked: boolean;
}

/** A failure as it is stored, with the offset of its message. */
export type StoredFailure = [
  offset: number,
  attempts: number,
  readyAtMs: number,
  error: string,
  firstFailedAtMs: number,
  isParked: 0 | 1,
];

/** How many failed messages may wait for another try before no further ones are handed out for the first time. */
const FAILURES_MAX = 100_000;

/** The failures of one log, by offset. Only these cost memory for each message. */
export class Failures {
  readonly #byOffset = new Map<number, Failure>();
  readonly #unsaved = new Set<number>();

  get isFull(): boolean {
    return this.#byOffset.size >= FAILURES_MAX;
  }

  /** Hot: most messages have none. */
  get(offset: number): Failure | undefined {
    return this.#byOffset.size === 0 ? undefined : this.#byOffset.get(offset);
  }

  set(offset: number, failure: Failure): void {
    this.#byOffset.set(offset, failure);
    this.#unsaved.add(offset);
  }

  /** One more try of the message, which ended with the process. */
  addLostTry(offset: number, nowMs: number): void {
    const earlier = this.#byOffset.get(offset);
    this.set(offset, {
      attempts: (earlier?.attempts ?? 0) + 1,
      readyAtMs: 0,
      error: earlier?.error ?? "the process ended while the message was in flight",
      firstFailedAtMs: earlier?.firstFailedAtMs ?? nowMs,
      isParked: false,
    });
  }

  /** Hot. */
  delete(offset: number): void {
    if (this.#byOffset.size > 0) this.#byOffset.delete(offset);
  }

  deleteAll(offsets: RangeSet): void {
    for (const offset of this.#byOffset.keys()) if (offsets.has(offset)) this.#byOffset.delete(offset);
  }

  deleteFrom(end: number): void {
    for (const offset of this.#byOffset.keys()) if (offset >= end) this.#byOffset.delete(offset);
  }

  /** Takes in what is stored. */
  restore([offset, attempts, readyAtMs, error, firstFailedAtMs, isParked]: StoredFailure): void {
    this.#byOffset.set(offset, {
      attempts,
      readyAtMs,
      error,
      firstFailedAtMs,
      isParked: isParked === 1,
    });
  }

  offsets(): number[] {
    return [...this.#byOffset.keys()];
  }

  /** Those that have changed since the last call. */
  takeUnsaved(): StoredFailure[] {
    const stored = this.toStored([...this.#unsaved]);
    this.#unsaved.clear();
    return stored;
  }

  toStored(offsets: readonly number[]): StoredFailure[] {
    const stored: StoredFailure[] = [];
    for (const offset of offsets) {
      const failure = this.#byOffset.get(offset);
      if (failure === undefined) continue;
      const { attempts, readyAtMs, error, firstFailedAtMs, isParked } = failure;
      stored.push([offset, attempts, readyAtMs, error, firstFailedAtMs, isParked ? 1 : 0]);
    }
    return stored;
  }
}
