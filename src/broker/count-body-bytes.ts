// Finds out how many body bytes a queue holds when it is opened.

import { STEP_BYTES } from "./body-bytes.js";
import type { DeliveryState } from "./delivery-state.js";
import { readRecords } from "./read-records.js";

/** How much of a log is read at most to count; what lies behind it is estimated. */
const READ_BYTES_MAX = 4 * STEP_BYTES;

/**
 * Adds what was committed behind the point for which the sum is stored. That is at most a few megabytes, unless
 * storing has failed for long. Errors: LOG_CORRUPT, STORAGE_FAILED.
 */
export async function countBodyBytes(state: DeliveryState): Promise<void> {
  const { log, bodyBytes } = state;
  const [below, bytes] = bodyBytes.stored;
  let readBytes = 0;
  bodyBytes.unsettled = bytes;
  for (const [start, end] of state.unsettledRanges()) {
    if (end <= below) continue;
    for await (const record of readRecords(log, Math.max(start, below), end)) {
      bodyBytes.unsettled += record.valueSizeBytes;
      readBytes += record.sizeBytes;
      if (readBytes < READ_BYTES_MAX) continue;
      const share = (log.highWatermark - record.offset) / log.recordCount;
      bodyBytes.unsettled += Math.round(share * log.sizeBytes);
      return;
    }
  }
}
