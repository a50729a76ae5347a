// The messages that a queue has taken and that are not committed yet: how many, and how large their bodies are.

import type { PendingAppend } from "../log/pending-append.js";

/** The body sizes of one batch. A step that throws takes its appends back: then there are more sizes than records. */
class BatchBodies {
  readonly pending: PendingAppend;
  readonly #sizes: number[] = [];
  #bytes = 0;

  constructor(pending: PendingAppend) {
    this.pending = pending;
  }

  get count(): number {
    return this.pending.recordCount;
  }

  get bytes(): number {
    this.#trim(this.pending.recordCount);
    return this.#bytes;
  }

  /** Hot: the record was appended last. */
  add(bodyBytes: number): void {
    this.#trim(this.pending.recordCount - 1);
    this.#sizes.push(bodyBytes);
    this.#bytes += bodyBytes;
  }

  #trim(count: number): void {
    while (this.#sizes.length > count) this.#bytes -= this.#sizes.pop()!;
  }
}

export class UncommittedBodies {
  /** Oldest first, and seldom more than two: what is being committed, and what gathers. */
  #batches: BatchBodies[] = [];

  get count(): number {
    let count = 0;
    for (const batch of this.#batches) if (batch.pending.state === "pending") count += batch.count;
    return count;
  }

  get bytes(): number {
    let bytes = 0;
    for (const batch of this.#batches) if (batch.pending.state === "pending") bytes += batch.bytes;
    return bytes;
  }

  /** Hot: a message was appended and is the last of `pending`. Returns whether it is the first one. */
  add(pending: PendingAppend, bodyBytes: number): boolean {
    const newest = this.#batches.at(-1);
    if (newest?.pending === pending) {
      newest.add(bodyBytes);
      return false;
    }
    if (newest?.pending.state === "failed")
      this.#batches = this.#batches.filter((batch) => batch.pending.state !== "failed");
    const batch = new BatchBodies(pending);
    batch.add(bodyBytes);
    this.#batches.push(batch);
    return true;
  }

  /** Forgets what is committed or has failed, and returns what is committed. */
  takeCommitted(): { readonly count: number; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    let batch = this.#batches[0];
    for (; batch !== undefined && batch.pending.state !== "pending"; batch = this.#batches[0]) {
      this.#batches.shift();
      if (batch.pending.state === "failed") continue;
      count += batch.count;
      bytes += batch.bytes;
    }
    return { count, bytes };
  }
}
