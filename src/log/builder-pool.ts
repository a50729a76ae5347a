// Batch builders, reused while batches are small and given away with their memory when they are large.

import { BatchBuilder } from "./batch-builder.js";

const SMALL_BYTES = 4096;
const SPARE_MAX = 128;

export class BuilderPool {
  private readonly spare: BatchBuilder[];

  constructor() {
    this.spare = [];
  }

  /** A builder for about as much as `expectedBytes`. */
  take(expectedBytes: number): BatchBuilder {
    if (expectedBytes > SMALL_BYTES) return new BatchBuilder(expectedBytes);
    return this.spare.pop() ?? new BatchBuilder(SMALL_BYTES);
  }

  /**
   * The finished batch, in memory that nobody else writes to. A batch that fills most of its builder keeps that
   * memory; a small one is copied, and its builder is used again.
   */
  finish(builder: BatchBuilder, baseOffset: number): Buffer {
    const view = builder.finish(baseOffset);
    const capacityBytes = view.buffer.byteLength;
    if (capacityBytes > SMALL_BYTES && view.length * 2 >= capacityBytes) return view;
    const copy = Buffer.allocUnsafe(view.length);
    view.copy(copy);
    if (capacityBytes <= SMALL_BYTES) this.giveBack(builder);
    return copy;
  }

  /** The builder must be out of use. */
  giveBack(builder: BatchBuilder): void {
    if (this.spare.length >= SPARE_MAX) return;
    builder.reset();
    this.spare.push(builder);
  }
}
