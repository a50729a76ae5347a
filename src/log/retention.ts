// Which segments a log does not need any more, by age, bytes and count.

import type { Segment } from "./segment.js";

/** Whole segments are deleted from the front, as long as what is left still fulfils each bound. */
export interface Retention {
  /** Records older than this are not needed. */
  readonly ageMs?: number;
  /** So many of the last bytes are kept at least. */
  readonly bytes?: number;
  /** So many of the last records are kept at least. */
  readonly count?: number;
}

/** Whether the first segment of a log of that size may go. */
export async function isExpired(
  segment: Segment,
  retention: Retention,
  nowMs: number,
  logBytes: number,
  logRecords: number,
): Promise<boolean> {
  const { ageMs, bytes, count } = retention;
  if (bytes !== undefined && logBytes - segment.sizeBytes >= bytes) return true;
  if (count !== undefined && logRecords - segment.recordCount >= count) return true;
  return ageMs !== undefined && (await isOlder(segment, nowMs - ageMs));
}

/** Whether every record of the segment is from before `timestampMs`. */
export async function isOlder(segment: Segment, timestampMs: number): Promise<boolean> {
  const latestMs = await segment.maxTimestampMs();
  return latestMs !== undefined && latestMs < timestampMs;
}
