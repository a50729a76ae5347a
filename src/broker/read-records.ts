// Reads the records of a range of offsets in order, a batch of batches at a time.

import { isBrokerError } from "../broker-error.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { RecordReader } from "../log/record-reader.js";
import type { StoredBatch } from "../log/stored-batch.js";

const READ_BYTES = 1024 * 1024;

/**
 * Records from `start` up to, not including, `end`, which may be beyond what is readable; what retention has removed,
 * or removes meanwhile, is passed over. Errors: LOG_CORRUPT, STORAGE_FAILED, CLOSED.
 */
export async function* readRecords(log: Log, start: number, end: number): AsyncGenerator<StoredRecord> {
  let offset = start;
  while (offset < end) {
    offset = Math.max(offset, log.logStartOffset);
    if (offset >= Math.min(end, log.highWatermark)) return;
    const batches = await readKept(log, offset);
    if (batches === undefined) continue;
    if (batches.length === 0) return;
    for (const batch of batches) {
      const reader = new RecordReader(batch);
      reader.skipTo(offset);
      for (let record = reader.next(); record !== undefined && record.offset < end; record = reader.next())
        yield record;
      offset = batch.lastOffset + 1;
    }
  }
}

/** Batches from `offset` on, or undefined when retention removed that offset before it was read. Errors as above. */
export async function readKept(log: Log, offset: number): Promise<StoredBatch[] | undefined> {
  try {
    return await log.read(offset, READ_BYTES);
  } catch (error) {
    if (isBrokerError(error, "OFFSET_OUT_OF_RANGE") && log.logStartOffset > offset) return undefined;
    throw error;
  }
}
