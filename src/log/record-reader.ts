// Walks the records of one uncompressed batch.

import type { BrokerErrorCode } from "../broker-error.js";
import { Cursor } from "../bytes/cursor.js";
import { StoredRecord } from "./record.js";
import { BATCH_HEADER_BYTES } from "./record-batch.js";
import type { StoredBatch } from "./stored-batch.js";

/**
 * A cursor over the records of `batch`, which must be uncompressed (`decompressBatch` makes it so). Every position
 * is checked against the end of the batch before it is used; the inside of a header block is checked when headers
 * are asked for. Malformed records are reported as `code`, at a byte of the batch to which `origin` is added.
 *
 * Hot: one {@link StoredRecord} per record and nothing else.
 */
export class RecordReader {
  private readonly batch: StoredBatch;
  private readonly cursor: Cursor;
  /** How many records were passed. */
  private index: number;

  constructor(batch: StoredBatch, code: BrokerErrorCode = "LOG_CORRUPT", origin = 0) {
    if (batch.codec !== "none")
      throw new Error(`a ${batch.codec} batch must be decompressed before it is read`);
    this.batch = batch;
    this.cursor = new Cursor(batch.bytes, BATCH_HEADER_BYTES, batch.bytes.length, code, origin);
    this.index = 0;
  }

  /** The next record, or undefined after the last. */
  next(): StoredRecord | undefined {
    const { batch, cursor } = this;
    if (this.index >= batch.recordCount) return this.#finish();
    const start = cursor.position;
    const size = cursor.varint("record length");
    const bodyStart = cursor.skip(size, "record");
    const end = cursor.position;
    const batchEnd = cursor.end;
    // Until the record is read, the cursor sees no further than its end.
    cursor.position = bodyStart + 1;
    cursor.end = end;
    const timestampDelta = cursor.varlong("timestamp delta");
    const offsetDelta = cursor.varint("offset delta");
    const keySize = cursor.varint("key length");
    const keyStart = keySize === -1 ? cursor.position : cursor.skip(keySize, "key");
    const valueSize = cursor.varint("value length");
    const valueStart = valueSize === -1 ? cursor.position : cursor.skip(valueSize, "value");
    if (cursor.position >= end) cursor.fail("a record without a header count", start);
    cursor.position = end;
    cursor.end = batchEnd;
    this.index += 1;
    return new StoredRecord(
      batch,
      start,
      end,
      offsetDelta,
      batch.hasAppendTime ? batch.maxTimestampMs - batch.baseTimestampMs : timestampDelta,
      keyStart,
      keySize,
      valueStart,
      valueSize,
    );
  }

  /**
   * Passes every record before `offset`, so that `next()` returns the first one at or after it. Never goes back.
   * Reads lengths only, except in a batch that compaction has thinned out.
   */
  skipTo(offset: number): void {
    const { batch, cursor } = this;
    const delta = offset - batch.baseOffset;
    const isDense = batch.recordCount === batch.lastOffset - batch.baseOffset + 1;
    while (this.index < batch.recordCount) {
      if (isDense && this.index >= delta) return;
      const start = cursor.position;
      const bodyStart = cursor.skip(cursor.varint("record length"), "record");
      const end = cursor.position;
      if (!isDense && this.#offsetDeltaAt(bodyStart) >= delta) {
        cursor.position = start;
        return;
      }
      cursor.position = end;
      this.index += 1;
    }
  }

  #offsetDeltaAt(bodyStart: number): number {
    this.cursor.position = bodyStart + 1;
    this.cursor.varlong("timestamp delta");
    return this.cursor.varint("offset delta");
  }

  #finish(): undefined {
    const cursor = this.cursor;
    if (cursor.position !== cursor.end) cursor.fail("bytes after the last record", cursor.position);
    return undefined;
  }
}
