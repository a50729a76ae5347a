// Offsets without a record: where they may be, and what it means where they may not.

import { BrokerError } from "../broker-error.js";
import type { Log } from "../log/log.js";
import { isLost } from "../log/lost-offsets.js";

/**
 * Passing over an offset settles it, so it has to be sure that nothing was there: only compaction, retention and a repair
 * take records out of a log. Anywhere else a record that is not found is a loss, and is not to be hidden. Errors: LOG_CORRUPT.
 */
export function assertGap(log: Log, offset: number): void {
  if (log.options.compact === true || offset < log.logStartOffset || isLost(log.lost, offset)) return;
  throw new BrokerError(
    "LOG_CORRUPT",
    `Record ${offset} of log ${log.name} is not found between its start ${log.logStartOffset} and its end ${log.highWatermark}. Nothing further is delivered from it. \`omnibus verify\` says what is damaged, \`omnibus repair\` goes on without it.`,
    { log: log.name, offset, logStartOffset: log.logStartOffset, highWatermark: log.highWatermark },
  );
}
