// The messages of one log that were looked at and are neither settled nor in flight: ready again, held back until a
// time, or waiting in the line of their key.

import { DueHeap } from "../collections/due-heap.js";
import { RangeSet } from "../collections/range-set.js";
import type { OffsetRange } from "./delivery-changes.js";

/** Offsets in ranges: a backlog of delayed messages costs 16 bytes each for its time, and nothing when it is over. */
export class HeldMessages {
  readonly #all = new RangeSet();
  readonly #ready = new RangeSet();
  readonly #delayed = new RangeSet();
  /** May have entries of messages that are not delayed any more, which are passed over. */
  readonly #dueTimes = new DueHeap();

  get size(): number {
    return this.#all.size;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  get delayedCount(): number {
    return this.#delayed.size;
  }

  /** The lowest offset, or -1. */
  get first(): number {
    return this.#all.first;
  }

  /** The lowest offset that is ready, or -1. */
  get firstReady(): number {
    return this.#ready.first;
  }

  /** When the next delayed one becomes ready; Infinity when there is none. It may turn out that none does. */
  get nextDueMs(): number {
    return this.#dueTimes.nextDue;
  }

  has(offset: number): boolean {
    return this.#all.has(offset);
  }

  /** The end of the range of held ones that `offset` lies in; `offset` itself when it is not held. */
  endOfRangeAt(offset: number): number {
    return this.#all.endOfRangeAt(offset);
  }

  toPairs(): OffsetRange[] {
    return this.#all.toPairs();
  }

  add(offset: number): void {
    this.#all.add(offset);
  }

  addRange(start: number, end: number): void {
    this.#all.addRange(start, end);
  }

  /** A held one is ready. */
  makeReady(offset: number): void {
    this.#ready.add(offset);
  }

  makeAllReady(): void {
    for (const [start, end] of this.#all.toPairs()) this.#ready.addRange(start, end);
  }

  /** A held one waits until `readyAtMs`, and is not ready before. */
  delay(offset: number, readyAtMs: number): void {
    this.#ready.removeRange(offset, offset + 1);
    this.#delayed.add(offset);
    this.#dueTimes.push(readyAtMs, offset);
  }

  /** A held one waits for something else than a time, and is not ready. */
  suspend(offset: number): void {
    this.#ready.removeRange(offset, offset + 1);
  }

  /** A suspended one is ready. Returns whether there is such a one. */
  resume(offset: number): boolean {
    const isSuspended = this.#all.has(offset) && !this.#delayed.has(offset);
    if (isSuspended) this.#ready.add(offset);
    return isSuspended;
  }

  /** Those whose time has come are ready. */
  releaseDue(nowMs: number): void {
    while (this.#dueTimes.nextDue <= nowMs) {
      const offset = this.#dueTimes.pop();
      if (this.#delayed.removeRange(offset, offset + 1) === 1) this.#ready.add(offset);
    }
  }

  removeRange(start: number, end: number): void {
    this.#all.removeRange(start, end);
    this.#ready.removeRange(start, end);
    this.#delayed.removeRange(start, end);
    if (this.#delayed.size === 0 && this.#dueTimes.size > 0) this.#dueTimes.clear();
  }
}
