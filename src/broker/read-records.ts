// Reads the records of a range of offsets in order, a batch of batches at a time.

import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { RecordReader } from "../log/record-reader.js";

const READ_BYTES = 1024 * 1024;

/** Records from `start` up to, not including, `end`; what retention has removed is passed over. Errors: LOG_CORRUPT. */
export async function* readRecords(log: Log, start: number, end: number): AsyncGenerator<StoredRecord> {
  let offset = Math.max(start, log.logStartOffset);
  while (offset < end) {
    const batches = await log.read(offset, READ_BYTES);
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
