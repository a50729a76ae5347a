// Checks encoded batches that came from outside, before they may be appended as they are.

import { BrokerError, type BrokerErrorCode } from "../broker-error.js";
import { type BatchFault, batchSizeAt, findBatchFault, RECORD_COUNT_AT } from "./record-batch.js";
import { HeaderCursor } from "./record-headers.js";
import { RecordReader } from "./record-reader.js";
import { StoredBatch } from "./stored-batch.js";

/**
 * The batches that fill `bytes` exactly, as views of it. Checks everything that a reader will rely on: magic, sizes,
 * checksum, record count, every record and header, and that offset deltas run from 0 without a gap. The records of
 * a compressed batch are not looked at: `validateRecords` does that once it is decompressed. INVALID_PAYLOAD says
 * what is wrong and at which byte of `bytes`.
 */
export function validateBatches(bytes: Uint8Array): StoredBatch[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const batches: StoredBatch[] = [];
  let start = 0;
  while (start < buffer.length || batches.length === 0) {
    const fault = findBatchFault(buffer, start);
    if (fault !== undefined) throw batchFaultError("INVALID_PAYLOAD", fault);
    const end = start + batchSizeAt(buffer, start);
    const batch = new StoredBatch(buffer.subarray(start, end));
    validateOffsets(batch, start);
    if (batch.codec === "none") validateRecords(batch, start);
    batches.push(batch);
    start = end;
  }
  return batches;
}

/**
 * Checks every record of an uncompressed or decompressed batch from outside. `origin` is added to the positions in
 * errors. INVALID_PAYLOAD says what is wrong and at which byte.
 */
export function validateRecords(batch: StoredBatch, origin = 0): void {
  const reader = new RecordReader(batch, "INVALID_PAYLOAD", origin);
  let expected = batch.baseOffset;
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    if (record.offset !== expected) {
      const delta = record.offset - batch.baseOffset;
      throw batchFaultError("INVALID_PAYLOAD", {
        what: "offset delta",
        position: origin + record.start,
        expected: expected - batch.baseOffset,
        found: delta,
      });
    }
    expected += 1;
    const headers = new HeaderCursor(batch.bytes, record.headersStart, record.end, "INVALID_PAYLOAD", origin);
    while (headers.next());
  }
}

/** The error for a fault that `findBatchFault` found. */
function batchFaultError(code: BrokerErrorCode, fault: BatchFault): BrokerError {
  const { what, position, expected, found } = fault;
  return new BrokerError(
    code,
    `Malformed record batch: ${what} is ${found}, expected ${expected}, at byte ${position}.`,
    { what, position, expected, found },
  );
}

function validateOffsets(batch: StoredBatch, start: number): void {
  const expected = batch.lastOffset - batch.baseOffset + 1;
  if (batch.recordCount === expected) return;
  throw batchFaultError("INVALID_PAYLOAD", {
    what: "record count",
    position: start + RECORD_COUNT_AT,
    expected,
    found: batch.recordCount,
  });
}
