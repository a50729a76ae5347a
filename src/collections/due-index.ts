// Numbers by the time at which they are due, in bounded memory: those that are due soon one by one, of all others only
// the earliest time of each block.

import { DueHeap } from "./due-heap.js";

/** Numbers of one block share one entry. */
export const DUE_BLOCK_SIZE = 1024;
/** How many are kept one by one at most, apart from those that are due already. */
const SOON_MAX = 65_536;
/** How far ahead is soon, as long as few are kept one by one. The more there are, the shorter it gets. */
const SOON_MS = 60 * 60 * 1000;
/** A block is asked for this long before its earliest number is due, so that there is time to look at it. */
const LEAD_MS = 10_000;

/**
 * The index does not know what is due in a block: {@link takeBlock} names one whose numbers have to be added anew, each
 * with its time. About 100 bytes per block, and 16 per number that is due soon. A number may come more than once.
 */
export class DueIndex {
  readonly #soon = new DueHeap();
  /** The earliest time of each block that has one. */
  readonly #earliest = new Map<number, number>();
  /** Blocks by that time. Has entries of times that are no longer the earliest, which are passed over. */
  readonly #blocks = new DueHeap();

  /** Of the block that was taken last: its numbers that are due earlier are kept by themselves, and not to be added. */
  takenDueMs = 0;

  /** Whether nothing is in it. */
  get isEmpty(): boolean {
    return this.#soon.size === 0 && this.#earliest.size === 0;
  }

  /** Entries, of whatever kind: what it costs. */
  get entryCount(): number {
    return this.#soon.size + this.#blocks.size;
  }

  /** When {@link takeDue} or {@link takeBlock} has something to give; Infinity when nothing is left. */
  get nextMs(): number {
    return Math.min(this.#soon.nextDue, this.#blocks.nextDue - this.#leadMs);
  }

  /** Adds one by itself, however far ahead. */
  addAlone(value: number, dueMs: number): void {
    this.#soon.push(dueMs, value);
  }

  /** Returns whether it is kept by itself; else only its block is known to have something at that time. */
  add(value: number, dueMs: number, nowMs: number): boolean {
    const isSoon = dueMs <= nowMs + this.#soonMs;
    if (isSoon) this.#soon.push(dueMs, value);
    else this.#addToBlock(value, dueMs);
    return isSoon;
  }

  /** Takes a number that is due, the earliest first, or returns -1. */
  takeDue(nowMs: number): number {
    return this.#soon.nextDue <= nowMs ? this.#soon.pop() : -1;
  }

  /** Takes a block that something is soon due in: its first number, or -1. Its entry is gone until numbers are added again. */
  takeBlock(nowMs: number): number {
    while (this.#blocks.nextDue - this.#leadMs <= nowMs) {
      const dueMs = this.#blocks.nextDue;
      const block = this.#blocks.pop();
      if (this.#earliest.get(block) !== dueMs) continue;
      this.#earliest.delete(block);
      this.takenDueMs = dueMs;
      return block * DUE_BLOCK_SIZE;
    }
    return -1;
  }

  clear(): void {
    this.#soon.clear();
    this.#earliest.clear();
    this.#blocks.clear();
  }

  #addToBlock(value: number, dueMs: number): void {
    const block = Math.floor(value / DUE_BLOCK_SIZE);
    const known = this.#earliest.get(block);
    if (known !== undefined && known <= dueMs) return;
    this.#earliest.set(block, dueMs);
    this.#blocks.push(dueMs, block);
  }

  get #soonMs(): number {
    return SOON_MS * Math.max(0, 1 - this.#soon.size / SOON_MAX);
  }

  /** Shorter than what is soon, so that a block is not asked for again before time has passed. */
  get #leadMs(): number {
    return Math.min(LEAD_MS, this.#soonMs / 4);
  }
}
