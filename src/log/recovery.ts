// Finds where a segment ends after a crash: cuts off what a torn write left, and tells that from damage.

import { readInt32 } from "../bytes/cursor.js";
import type { OpenFile } from "../io/io.js";
import {
  BATCH_HEADER_BYTES,
  type BatchFault,
  batchSizeAt,
  findBatchFault,
  LAST_OFFSET_DELTA_AT,
  MAGIC,
  MAGIC_AT,
} from "./record-batch.js";
import type { Segment } from "./segment.js";
import { SegmentScan } from "./segment-scan.js";
import { logCorrupt } from "./storage-errors.js";
import { StoredBatch } from "./stored-batch.js";

/** What is known of a segment before it is looked at. */
export interface KnownSegment {
  /** Everything up to this byte was committed and is on disk: damage there is never cut off. */
  readonly soundBytes: number;
  /** Whether batches behind that were synced one by one, so that only the last one can be torn. */
  readonly isSynced: boolean;
}

export interface FoundTail {
  /** What is wrong with what follows the last whole batch; undefined when nothing follows. */
  readonly fault: BatchFault | undefined;
  /** Where the last batch begins that was found; the end of the segment when none was. */
  readonly lastBatchPosition: number;
}

/**
 * Reads the active segment from its committed end to the end of its file and commits every whole batch. LOG_CORRUPT
 * when what follows cannot be the trace of a torn write.
 */
export async function scanTail(
  logName: string,
  segment: Segment,
  fileBytes: number,
  known: KnownSegment,
): Promise<FoundTail> {
  const file = segment.openFile;
  const scan = new SegmentScan(file, segment.sizeBytes, fileBytes);
  let fault: BatchFault | undefined;
  let lastBatchPosition = segment.sizeBytes;
  while (fault === undefined && (await scan.load())) {
    for (let batch = scan.next(); batch !== undefined; batch = scan.next()) {
      if (batch.baseOffset !== segment.nextOffset) {
        fault = wrongOffset(segment, batch);
        break;
      }
      lastBatchPosition = segment.sizeBytes;
      segment.commit(batch);
    }
  }
  fault ??= scan.fault;
  if (fault === undefined && segment.sizeBytes < known.soundBytes) fault = cutOff(segment, known.soundBytes);
  if (fault === undefined) return { fault, lastBatchPosition };
  const isDamage =
    segment.sizeBytes < known.soundBytes ||
    (known.isSynced && (await isFollowedByBatch(file, segment, fileBytes)));
  if (isDamage) throw logCorrupt(logName, segment.path, fault);
  return { fault, lastBatchPosition };
}

function wrongOffset(segment: Segment, batch: StoredBatch): BatchFault {
  const { nextOffset: expected, sizeBytes: position } = segment;
  return { what: "base offset", position, expected, found: batch.baseOffset };
}

function cutOff(segment: Segment, soundBytes: number): BatchFault {
  const found = segment.sizeBytes;
  return { what: "the end of the file", position: found, expected: soundBytes, found };
}

/** Whether somewhere behind the end of the segment a later batch begins, from which on the file is sound. */
async function isFollowedByBatch(file: OpenFile, segment: Segment, fileBytes: number): Promise<boolean> {
  const rest = Buffer.allocUnsafeSlow(Math.max(fileBytes - segment.sizeBytes, 0));
  const bytes = rest.subarray(0, await file.read(rest, segment.sizeBytes));
  if (hasNext(bytes, segment.nextOffset)) return true;
  for (let at = bytes.indexOf(MAGIC, MAGIC_AT + 1); at !== -1; at = bytes.indexOf(MAGIC, at + 1)) {
    if (isSoundFrom(bytes, at - MAGIC_AT, segment.nextOffset)) return true;
  }
  return false;
}

/**
 * Whether a whole batch lies where the first one ends, and goes on where that says. What follows it may be torn: two things
 * went wrong then. A message that looks like batches lies within its own batch, so it is not taken for one.
 */
function hasNext(bytes: Buffer, baseOffset: number): boolean {
  if (bytes.length < BATCH_HEADER_BYTES) return false;
  const at = batchSizeAt(bytes, 0);
  if (at < BATCH_HEADER_BYTES || findBatchFault(bytes, at) !== undefined) return false;
  return (
    new StoredBatch(bytes.subarray(at)).baseOffset === baseOffset + readInt32(bytes, LAST_OFFSET_DELTA_AT) + 1
  );
}

/** Batches with consecutive offsets from `start` on, the last of which may be cut off by the end of the file. */
function isSoundFrom(bytes: Buffer, start: number, nextOffset: number): boolean {
  let expected = -1;
  for (let at = start; at < bytes.length; ) {
    const isFirst = at === start;
    if (at + BATCH_HEADER_BYTES > bytes.length) return !isFirst;
    const batch = new StoredBatch(bytes.subarray(at));
    const isExpected = isFirst ? batch.baseOffset > nextOffset : batch.baseOffset === expected;
    if (!isExpected || bytes[at + MAGIC_AT] !== MAGIC) return false;
    const end = at + batchSizeAt(bytes, at);
    if (end > bytes.length) return !isFirst;
    if (findBatchFault(bytes, at) !== undefined) return false;
    expected = batch.lastOffset + 1;
    at = end;
  }
  return true;
}
