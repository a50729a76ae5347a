// The batches that were committed last, over all logs of a store, within one budget of memory: a consumer right
// behind its publisher never touches the disk.

import type { StoredBatch } from "./stored-batch.js";

/** What a batch takes beside its bytes: its objects, and its places in two queues. */
const BATCH_OVERHEAD_BYTES = 400;
/** Queues drop the room of what left at their front in one go. */
const SPARE_ENTRIES = 256;

/** One budget. The batch that was added first, of whatever log, leaves first. */
export class TailCache {
  readonly budgetBytes: number;
  usedBytes: number;
  /** One entry for each batch ever added, oldest first; it stands for the oldest batch of that tail. */
  private order: LogTail[];
  private orderHead: number;
  /** Entries whose batch left otherwise. */
  staleCount: number;

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes;
    this.usedBytes = 0;
    this.order = [];
    this.orderHead = 0;
    this.staleCount = 0;
  }

  add(tail: LogTail, memoryBytes: number): void {
    this.usedBytes += memoryBytes;
    this.order.push(tail);
    while (this.usedBytes > this.budgetBytes) this.#evict();
    if (this.staleCount > SPARE_ENTRIES && this.staleCount * 2 > this.order.length - this.orderHead) {
      this.#removeStale();
    }
  }

  #evict(): void {
    const tail = this.order[this.orderHead]!;
    this.orderHead += 1;
    if (tail.staleCount > 0) this.#forgetStale(tail);
    else tail.removeFirst();
    if (this.orderHead > SPARE_ENTRIES && this.orderHead * 2 > this.order.length) {
      this.order = this.order.slice(this.orderHead);
      this.orderHead = 0;
    }
  }

  #removeStale(): void {
    const kept: LogTail[] = [];
    for (let i = this.orderHead; i < this.order.length; i += 1) {
      const tail = this.order[i]!;
      if (tail.staleCount > 0) this.#forgetStale(tail);
      else kept.push(tail);
    }
    this.order = kept;
    this.orderHead = 0;
  }

  #forgetStale(tail: LogTail): void {
    tail.staleCount -= 1;
    this.staleCount -= 1;
  }
}

/** The cached batches of one log: those after some offset, in order and without a gap. */
export class LogTail {
  /** How many of its entries in the order of the cache have no batch here any more. */
  staleCount: number;
  private readonly cache: TailCache;
  private batches: (StoredBatch | undefined)[];
  private memoryBytes: number[];
  private head: number;
  /** Where the last search ended. */
  private lastFound: number;

  constructor(cache: TailCache) {
    this.staleCount = 0;
    this.cache = cache;
    this.batches = [];
    this.memoryBytes = [];
    this.head = 0;
    this.lastFound = 0;
  }

  /** Adds the batch behind the others. `memoryBytes` is what keeping its bytes costs. */
  add(batch: StoredBatch, memoryBytes: number): void {
    const cost = memoryBytes + BATCH_OVERHEAD_BYTES;
    if (cost > this.cache.budgetBytes) {
      this.clear();
      return;
    }
    this.batches.push(batch);
    this.memoryBytes.push(cost);
    this.cache.add(this, cost);
  }

  /**
   * The batch that holds `offset`.
   *
   * Hot: every step of a consumer, which mostly asks for the batch it was given last or the one after.
   */
  find(offset: number): StoredBatch | undefined {
    const { batches } = this;
    for (let at = this.lastFound; at <= this.lastFound + 1; at += 1) {
      const batch = batches[at];
      if (batch === undefined || offset < batch.baseOffset || offset > batch.lastOffset) continue;
      this.lastFound = at;
      return batch;
    }
    return this.#search(offset);
  }

  /** Lets go of the batches that end before `offset`. */
  dropBefore(offset: number): void {
    while (this.head < this.batches.length && this.batches[this.head]!.lastOffset < offset) {
      this.removeFirst();
      this.staleCount += 1;
      this.cache.staleCount += 1;
    }
  }

  clear(): void {
    this.dropBefore(Number.POSITIVE_INFINITY);
  }

  /** For the cache, which has taken the entry out of its order. */
  removeFirst(): void {
    this.cache.usedBytes -= this.memoryBytes[this.head]!;
    this.batches[this.head] = undefined;
    this.head += 1;
    if (this.head <= SPARE_ENTRIES || this.head * 2 <= this.batches.length) return;
    this.batches = this.batches.slice(this.head);
    this.memoryBytes = this.memoryBytes.slice(this.head);
    this.lastFound = Math.max(this.lastFound - this.head, 0);
    this.head = 0;
  }

  #search(offset: number): StoredBatch | undefined {
    let low = this.head;
    let high = this.batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.batches[middle]!.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    const batch = this.batches[low];
    if (batch === undefined || offset < batch.baseOffset) return undefined;
    this.lastFound = low;
    return batch;
  }
}
