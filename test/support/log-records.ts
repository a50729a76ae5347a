// Appending to and reading from a log, in as few words as a test wants to spend on it.

import type { Log } from "../../src/log/log.js";
import type { PendingAppend } from "../../src/log/pending-append.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { RecordReader } from "../../src/log/record-reader.js";

const FETCH_BYTES = 64 * 1024;

export function append(
  log: Log,
  value: string,
  key: string | null = null,
  timestampMs = 1_000,
): PendingAppend {
  return log.append(timestampMs, key, value, NO_HEADERS);
}

/** Every readable record's value, by offset. */
export async function valuesByOffset(log: Log): Promise<Map<number, string>> {
  const values = new Map<number, string>();
  let offset = log.logStartOffset;
  while (offset < log.highWatermark) {
    const batches = await log.read(offset, FETCH_BYTES);
    if (batches.length === 0) break;
    for (const batch of batches) {
      const reader = new RecordReader(batch);
      reader.skipTo(offset);
      for (let record = reader.next(); record !== undefined; record = reader.next()) {
        values.set(record.offset, record.valueText());
      }
      offset = batch.lastOffset + 1;
    }
  }
  return values;
}

export async function values(log: Log): Promise<string[]> {
  return [...(await valuesByOffset(log)).values()];
}
