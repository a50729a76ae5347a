// The messages of one log that were looked at and are neither settled nor in flight: ready again, held back until a
// time, or waiting in the line of their key.

import { DUE_BLOCK_SIZE, DueIndex } from "../collections/due-index.js";
import { RangeSet } from "../collections/range-set.js";
import type { OffsetRange } from "./delivery-changes.js";

/** Offsets in ranges. Of a backlog of delayed messages only those that are due soon have their times in memory. */
export class HeldMessages {
  readonly #all = new RangeSet();
  readonly #ready = new RangeSet();
  readonly #delayed = new RangeSet();
  /** Of the delayed ones, those of which only is known when the first of their block is due. */
  readonly #far = new RangeSet();
  /** May have entries of messages that are not delayed any more, which are passed over. */
  readonly #due = new DueIndex();

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

  /** When a delayed one becomes ready or has to be looked at; Infinity when there is none. It may turn out that none does. */
  get nextDueMs(): number {
    return this.#due.nextMs;
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

  /** Returns whether it was not held before. */
  add(offset: number): boolean {
    return this.#all.add(offset);
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
    this.#due.addAlone(offset, readyAtMs);
  }

  /** As {@link delay}, for one whose own header says so: it may become ready early, to be looked at again. */
  delayAsSent(offset: number, readyAtMs: number, nowMs: number): void {
    this.#ready.removeRange(offset, offset + 1);
    this.#delayed.add(offset);
    if (!this.#due.add(offset, readyAtMs, nowMs)) this.#far.add(offset);
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

  /** Those whose time has come are ready, and those that have to be looked at again because it comes soon for one of them. */
  releaseDue(nowMs: number): void {
    for (let offset = this.#due.takeDue(nowMs); offset >= 0; offset = this.#due.takeDue(nowMs)) {
      if (this.#delayed.removeRange(offset, offset + 1) === 1) this.#ready.add(offset);
      if (this.#far.size > 0) this.#far.removeRange(offset, offset + 1);
    }
    for (let start = this.#due.takeBlock(nowMs); start >= 0; start = this.#due.takeBlock(nowMs))
      this.#releaseBlock(start, start + DUE_BLOCK_SIZE);
  }

  removeRange(start: number, end: number): void {
    this.#all.removeRange(start, end);
    this.#ready.removeRange(start, end);
    this.#delayed.removeRange(start, end);
    this.#far.removeRange(start, end);
    if (this.#delayed.size === 0 && !this.#due.isEmpty) this.#due.clear();
  }

  #releaseBlock(start: number, end: number): void {
    for (const [from, to] of this.#far.pairsWithin(start, end)) {
      this.#delayed.removeRange(from, to);
      this.#ready.addRange(from, to);
    }
    this.#far.removeRange(start, end);
  }
}
