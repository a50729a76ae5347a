// Looks at every byte of a segment: which batches are sound, and what lies between them that is none.

import { isBrokerError } from "../broker-error.js";
import { readInt64 } from "../bytes/cursor.js";
import {
  BATCH_HEADER_BYTES,
  type BatchFault,
  batchSizeAt,
  findBatchFault,
  MAGIC,
  MAGIC_AT,
} from "./record-batch.js";
import { RecordReader } from "./record-reader.js";
import { StoredBatch } from "./stored-batch.js";

/** Bytes of a segment that are no batch that may stand there. */
export interface Damage {
  /** `[position, endPosition)` of the file. */
  readonly position: number;
  readonly endPosition: number;
  readonly fault: BatchFault;
  /** The first offset that may be lost by it, and the first that is not; the latter is unknown when nothing sound follows. */
  readonly lostFrom: number;
  readonly lostTo: number | undefined;
}

export interface SegmentSurvey {
  readonly damages: readonly Damage[];
  readonly batchCount: number;
  readonly recordCount: number;
  /** Where the last sound batch ends, and the offset after it. */
  readonly soundEnd: number;
  readonly nextOffset: number;
  /** Missing offsets between sound batches, as compaction and earlier repairs leave them. */
  readonly gaps: readonly (readonly [start: number, end: number])[];
}

/** `bytes` is the whole segment. */
export function surveySegment(bytes: Buffer, baseOffset: number): SegmentSurvey {
  const damages: Damage[] = [];
  const gaps: [number, number][] = [];
  let batchCount = 0;
  let recordCount = 0;
  let soundEnd = 0;
  let nextOffset = baseOffset;
  for (let at = 0; at < bytes.length; ) {
    const fault = faultAt(bytes, at, nextOffset);
    if (fault !== undefined) {
      const endPosition = nextSound(bytes, at + 1, nextOffset);
      const lostTo =
        endPosition < bytes.length ? new StoredBatch(bytes.subarray(endPosition)).baseOffset : undefined;
      damages.push({ position: at, endPosition, fault, lostFrom: nextOffset, lostTo });
      nextOffset = lostTo ?? nextOffset;
      at = endPosition;
      continue;
    }
    const batch = new StoredBatch(bytes.subarray(at, at + batchSizeAt(bytes, at)));
    if (batch.baseOffset > nextOffset) gaps.push([nextOffset, batch.baseOffset]);
    batchCount += 1;
    recordCount += batch.recordCount;
    nextOffset = batch.lastOffset + 1;
    at += batch.sizeBytes;
    soundEnd = at;
  }
  return { damages, batchCount, recordCount, soundEnd, nextOffset, gaps };
}

/** Why no batch with `nextOffset` or a later one begins at `at`. */
function faultAt(bytes: Buffer, at: number, nextOffset: number): BatchFault | undefined {
  const fault = findBatchFault(bytes, at);
  if (fault !== undefined) return fault;
  const batch = new StoredBatch(bytes.subarray(at, at + batchSizeAt(bytes, at)));
  const { baseOffset: found } = batch;
  if (found < nextOffset)
    return { what: "base offset", position: at, expected: `at least ${nextOffset}`, found };
  // No checksum covers the base offset: what follows tells whether this one has gone too far.
  if (found > nextOffset && isOvertaken(bytes, at + batch.sizeBytes, nextOffset, found))
    return { what: "base offset", position: at, expected: nextOffset, found };
  return batch.codec === "none" ? recordFault(batch, at) : undefined;
}

/** Whether the next sound batch, at `from` or later, has an offset of `[start, end)`. */
function isOvertaken(bytes: Buffer, from: number, start: number, end: number): boolean {
  for (
    let magic = bytes.indexOf(MAGIC, from + MAGIC_AT);
    magic !== -1;
    magic = bytes.indexOf(MAGIC, magic + 1)
  ) {
    const at = magic - MAGIC_AT;
    if (at + BATCH_HEADER_BYTES > bytes.length) return false;
    const offset = readInt64(bytes, at);
    if (offset >= start && findBatchFault(bytes, at) === undefined) return offset < end;
  }
  return false;
}

function recordFault(batch: StoredBatch, at: number): BatchFault | undefined {
  try {
    const reader = new RecordReader(batch, "LOG_CORRUPT", at);
    while (reader.next() !== undefined);
    return undefined;
  } catch (error) {
    if (!isBrokerError(error, "LOG_CORRUPT")) throw error;
    return { what: error.message, position: at, expected: "whole records", found: batch.recordCount };
  }
}

/** The position of the next sound batch; the end when there is none. */
function nextSound(bytes: Buffer, from: number, nextOffset: number): number {
  for (
    let magic = bytes.indexOf(MAGIC, from + MAGIC_AT);
    magic !== -1;
    magic = bytes.indexOf(MAGIC, magic + 1)
  ) {
    const at = magic - MAGIC_AT;
    if (at + BATCH_HEADER_BYTES > bytes.length) break;
    if (faultAt(bytes, at, nextOffset) === undefined) return at;
  }
  return bytes.length;
}
