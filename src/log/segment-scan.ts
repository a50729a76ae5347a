// Walks the batches of a segment file in order, a large read at a time.

import { readInt64 } from "../bytes/cursor.js";
import type { OpenFile } from "../io/io.js";
import {
  BASE_OFFSET_AT,
  BATCH_HEADER_BYTES,
  type BatchFault,
  batchSizeAt,
  findBatchFault,
  MAGIC,
  MAGIC_AT,
} from "./record-batch.js";
import { StoredBatch } from "./stored-batch.js";

const CHUNK_BYTES = 1024 * 1024;

/** Which offsets lie in what is scanned, where that is known: checksums do not cover the offset of a batch. */
export interface ScannedOffsets {
  /** None is lower. */
  readonly from: number;
  /** All are lower. */
  readonly end: number;
}

/**
 * `while (await scan.load()) for (let b = scan.next(); b; b = scan.next()) ...` gives every whole batch of
 * `[start, end)`. It stops at the first byte that is not one: then `fault` says why.
 */
export class SegmentScan {
  /** Where the batch that `next` returns begins, counted in the file. */
  position: number;
  /** Why the scan stopped before the end, with its position in the file. */
  fault: BatchFault | undefined;
  /** Checksums of batches that end before this offset are not computed. @default 0: all are */
  checkedFrom: number;
  private readonly file: OpenFile;
  private readonly chunkBytes: number;
  private end: number;
  private chunk: Buffer;
  private chunkStart: number;
  private neededBytes: number;
  private readonly offsets: ScannedOffsets | undefined;
  /** The next batch does not begin before. */
  private nextOffset: number;

  /** `offsets`: those of `[start, end)`, which is committed; without them, the order of batches is not looked at. */
  constructor(
    file: OpenFile,
    start: number,
    end: number,
    offsets?: ScannedOffsets,
    chunkBytes = CHUNK_BYTES,
  ) {
    this.position = start;
    this.fault = undefined;
    this.checkedFrom = 0;
    this.file = file;
    this.chunkBytes = chunkBytes;
    this.end = end;
    this.chunk = Buffer.alloc(0);
    this.chunkStart = start;
    this.neededBytes = 0;
    this.offsets = offsets;
    this.nextOffset = offsets?.from ?? 0;
  }

  /** Reads on from `position`; false at the end or after a fault. */
  async load(): Promise<boolean> {
    const remaining = this.end - this.position;
    if (remaining <= 0 || this.fault !== undefined) return false;
    const wanted = Math.min(Math.max(this.chunkBytes, this.neededBytes), remaining);
    const chunk = Buffer.allocUnsafeSlow(wanted);
    const found = await this.file.read(chunk, this.position);
    if (found < wanted) this.end = this.position + found;
    this.chunk = chunk.subarray(0, found);
    this.chunkStart = this.position;
    return found > 0;
  }

  /** The next batch of what was loaded, a view of memory that is its own. Undefined when more must be loaded. */
  next(): StoredBatch | undefined {
    const at = this.position - this.chunkStart;
    const available = this.chunk.length - at;
    const remaining = this.end - this.position;
    if (remaining === 0 || this.fault !== undefined) return undefined;
    if (available < Math.min(BATCH_HEADER_BYTES, remaining)) return this.#need(BATCH_HEADER_BYTES);
    if (remaining < BATCH_HEADER_BYTES) return this.#check(at, this.chunk.length);
    const sizeBytes = batchSizeAt(this.chunk, at);
    if (this.chunk[at + MAGIC_AT] !== MAGIC || sizeBytes < BATCH_HEADER_BYTES || sizeBytes > remaining) {
      return this.#check(at, this.chunk.length);
    }
    if (sizeBytes > available) return this.#need(sizeBytes);
    const batch = new StoredBatch(this.chunk.subarray(at, at + sizeBytes));
    if (batch.lastOffset >= this.checkedFrom) this.#check(at, at + sizeBytes);
    if (this.fault === undefined && this.offsets !== undefined) this.#checkOrder(batch, at);
    if (this.fault !== undefined) return undefined;
    this.position += sizeBytes;
    return batch;
  }

  /** Batches are in order, and the last one ends where the next one begins, or before. */
  #checkOrder({ baseOffset, lastOffset, sizeBytes }: StoredBatch, at: number): void {
    const following = at + sizeBytes;
    const isNextThere = following + BASE_OFFSET_AT + 8 <= this.chunk.length;
    const end = isNextThere ? readInt64(this.chunk, following + BASE_OFFSET_AT) : this.offsets!.end;
    if (baseOffset < this.nextOffset || lastOffset >= end) {
      const expected = `${this.nextOffset} to ${end - 1 - (lastOffset - baseOffset)}`;
      const position = this.position + BASE_OFFSET_AT;
      this.fault = { what: "base offset", position, expected, found: baseOffset };
    }
    this.nextOffset = lastOffset + 1;
  }

  #need(sizeBytes: number): undefined {
    this.neededBytes = sizeBytes;
    return undefined;
  }

  #check(start: number, end: number): undefined {
    const fault = findBatchFault(this.chunk, start, end);
    if (fault !== undefined) this.fault = { ...fault, position: fault.position + this.chunkStart };
    return undefined;
  }
}
