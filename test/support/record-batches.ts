// Batches for tests: records as plain values, encoded and read back, and bytes that were tampered with.

import { crc32c } from "../../src/bytes/crc32c.js";
import { writeInt32 } from "../../src/bytes/cursor.js";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import { ATTRIBUTES_AT, BATCH_PREFIX_BYTES, CRC_AT, LENGTH_AT } from "../../src/log/record-batch.js";
import { encodeHeaders } from "../../src/log/record-headers.js";
import { RecordReader } from "../../src/log/record-reader.js";
import type { StoredBatch } from "../../src/log/stored-batch.js";

/** A record as plain values. */
export interface Row {
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [name: string, value: string | null])[];
}

export function encodeRows(rows: readonly Row[], baseOffset = 0): Buffer {
  const builder = new BatchBuilder();
  for (const row of rows) builder.append(row.timestampMs, row.key, row.value, encodeHeaders(row.headers));
  return builder.finish(baseOffset);
}

export function rowsOf(batch: StoredBatch): Row[] {
  const rows: Row[] = [];
  const reader = new RecordReader(batch);
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    rows.push({
      timestampMs: record.timestampMs,
      key: record.keyText(),
      value: record.value === null ? null : record.valueText(),
      headers: record.headers().map(([name, value]) => [name, value === null ? null : value.toString()]),
    });
  }
  return rows;
}

/** Makes the length and the checksum of one batch right again, in place, after its bytes were changed. */
export function reseal(batch: Buffer): Buffer {
  writeInt32(batch, LENGTH_AT, batch.length - BATCH_PREFIX_BYTES);
  writeInt32(batch, CRC_AT, crc32c(batch, ATTRIBUTES_AT));
  return batch;
}
