// Finds out how many body bytes a queue holds when it is opened.

import { isBrokerError } from "../broker-error.js";
import { STEP_BYTES } from "./body-bytes.js";
import type { DeliveryState } from "./delivery-state.js";
import { readRecords } from "./read-records.js";

/** How much of a log is read at most to count; what lies behind it is estimated. */
const READ_BYTES_MAX = 4 * STEP_BYTES;

/**
 * Adds what was committed behind the point for which the sum is stored. That is at most a few megabytes, unless
 * storing has failed for long. What cannot be read is estimated too: whoever consumes it will be told why.
 */
export async function countBodyBytes(state: DeliveryState): Promise<void> {
  const { log, bodyBytes } = state;
  bodyBytes.unsettled = bodyBytes.stored[1];
  const uncountedFrom = await count(state);
  if (uncountedFrom >= log.highWatermark || log.recordCount === 0) return;
  const share = (log.highWatermark - uncountedFrom) / log.recordCount;
  bodyBytes.unsettled += Math.round(share * log.sizeBytes);
}

/** Returns the first offset that was not counted. */
async function count(state: DeliveryState): Promise<number> {
  const { log, bodyBytes } = state;
  const [below] = bodyBytes.stored;
  let next = below;
  let readBytes = 0;
  try {
    for (const [start, end] of state.unsettledRanges()) {
      for await (const record of readRecords(log, Math.max(start, below), end)) {
        if (readBytes >= READ_BYTES_MAX) return next;
        bodyBytes.unsettled += record.valueSizeBytes;
        readBytes += record.sizeBytes;
        next = record.offset + 1;
      }
    }
    return log.highWatermark;
  } catch (error) {
    if (isBrokerError(error, "LOG_CORRUPT")) return next;
    throw error;
  }
}
