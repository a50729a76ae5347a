// Opens the segments of one log, or makes the first: the last one is recovered, the others are only looked up.

import { readInt64 } from "../bytes/cursor.js";
import type { Files, OpenFile } from "../io/io.js";
import type { RecoveryPoint } from "./data-directory.js";
import type { RecoveredLog } from "./journal-recovery.js";
import { BASE_TIMESTAMP_AT, BATCH_HEADER_BYTES } from "./record-batch.js";
import { scanTail } from "./recovery.js";
import { baseOffsetOf, Segment, segmentPath } from "./segment.js";
import type { SegmentPool } from "./segment-pool.js";
import { SegmentScan } from "./segment-scan.js";
import { logCorrupt } from "./storage-errors.js";
import { TEMPORARY_SUFFIX, writeFully } from "./write-file.js";

const COPY_BYTES = 1024 * 1024;

export interface LogLocation {
  readonly name: string;
  readonly files: Files;
  readonly directory: string;
  readonly pool: SegmentPool;
  readonly isReadOnly: boolean;
}

/** What is known of the log before its files are looked at. */
export interface LogKnowledge {
  /** Whether its batches were synced one by one. */
  readonly isSynced: boolean;
  /** Whether compaction may have removed records from sealed segments. */
  readonly isCompacted: boolean;
  readonly point: RecoveryPoint | undefined;
  readonly journaled: RecoveredLog | undefined;
}

/**
 * The segments of the log in that folder, the active one last. There may be none. Errors: LOG_CORRUPT, also when the one
 * that the last checkpoint knew is gone: going on without it would give its offsets to others.
 */
export async function openSegments(location: LogLocation, known: LogKnowledge): Promise<Segment[]> {
  const { files, directory, pool, isReadOnly } = location;
  const names = await files.list(directory);
  if (!isReadOnly) await removeLeftOvers(files, directory, names);
  const bases = names.map(baseOffsetOf).filter((base) => base !== undefined);
  const segments = bases.map((base) => new Segment(files, pool, directory, base));
  const active = segments.at(-1);
  if (active === undefined) {
    assertReached(location, known.point, 0);
    return [];
  }
  for (let i = 0; i < segments.length - 1; i += 1) {
    await lookUpSealed(segments[i]!, bases[i + 1]!, known.isCompacted);
  }
  await openActive(location, active, known);
  try {
    assertReached(location, known.point, active.nextOffset);
  } catch (error) {
    await active.retire();
    throw error;
  }
  return segments;
}

/** Whether what was found goes as far as the last checkpoint did. Errors: LOG_CORRUPT. */
export function assertReached(
  { name, directory }: LogLocation,
  point: RecoveryPoint | undefined,
  nextOffset: number,
): void {
  if (point === undefined || nextOffset >= point.nextOffset) return;
  const path = `${segmentPath(directory, point.segmentBase)}.log`;
  const what = "the offset after the last record";
  throw logCorrupt(name, path, { what, position: 0, expected: point.nextOffset, found: nextOffset });
}

/** Makes the first segment of a log, durably but for the entry of its folder. */
export async function createSegments(location: LogLocation): Promise<Segment[]> {
  const { files, directory, pool } = location;
  const segment = new Segment(files, pool, directory, 0);
  await segment.create();
  await files.syncDirectory(directory);
  return [segment];
}

/** Index files of segments that are gone, and files that were never completed. */
async function removeLeftOvers(files: Files, directory: string, names: readonly string[]): Promise<void> {
  const present = new Set(names);
  for (const name of names) {
    const owner = name.replace(/\.(time)?index$/, ".log");
    if (name.endsWith(TEMPORARY_SUFFIX) || !present.has(owner)) await files.remove(`${directory}/${name}`);
  }
}

async function lookUpSealed(segment: Segment, nextBase: number, isCompacted: boolean): Promise<void> {
  segment.isSealed = true;
  segment.nextOffset = nextBase;
  segment.recordCount = nextBase - segment.baseOffset;
  const file = await segment.acquire();
  try {
    segment.sizeBytes = await file.size();
    segment.syncedBytes = segment.sizeBytes;
    if (isCompacted) segment.recordCount = await countRecords(file, segment.sizeBytes);
  } finally {
    segment.release();
  }
}

/** As the headers of the batches say. */
async function countRecords(file: OpenFile, sizeBytes: number): Promise<number> {
  const scan = new SegmentScan(file, 0, sizeBytes);
  scan.checkedFrom = Number.POSITIVE_INFINITY;
  let count = 0;
  while (await scan.load()) {
    for (let batch = scan.next(); batch !== undefined; batch = scan.next()) count += batch.recordCount;
  }
  return count;
}

/** The active segment stays in use by its log. */
async function openActive(location: LogLocation, segment: Segment, known: LogKnowledge): Promise<void> {
  const file = await segment.acquire();
  try {
    const fileBytes = await file.size();
    const point = known.point?.segmentBase === segment.baseOffset ? known.point : undefined;
    const journaled = known.journaled?.segmentBase === segment.baseOffset ? known.journaled.endPosition : 0;
    const startBytes = point?.sizeBytes ?? 0;
    if (startBytes > fileBytes) {
      const fault = {
        what: "the end of the file",
        position: fileBytes,
        expected: startBytes,
        found: fileBytes,
      };
      throw logCorrupt(location.name, segment.path, fault);
    }
    segment.sizeBytes = startBytes;
    segment.nextOffset = point?.nextOffset ?? segment.baseOffset;
    segment.recordCount = segment.nextOffset - segment.baseOffset;
    segment.startIndexAt(startBytes);
    const soundBytes = Math.max(startBytes, journaled);
    const found = await scanTail(location.name, segment, fileBytes, { soundBytes, isSynced: known.isSynced });
    const isKnown = point !== undefined && fileBytes === startBytes;
    if (!location.isReadOnly && !isKnown) {
      await makeDurable(location, segment, known.isSynced ? found.lastBatchPosition : startBytes);
    }
    segment.syncedBytes = segment.sizeBytes;
    segment.startedMs = await firstTimestampMs(segment);
  } catch (error) {
    await segment.retire();
    throw error;
  }
}

/**
 * Makes what was found in a segment durable before anybody reads it: the last process may have died before it had
 * synced, and then nobody may rely on it. What may have been lost in a sync that failed is written again from
 * `suspectFrom` on: the operating system would not write it a second time. Of a log that is synced commit by commit
 * that is at most the last batch; what the journal held for it has been written again already.
 */
async function makeDurable(location: LogLocation, segment: Segment, suspectFrom: number): Promise<void> {
  const { files, directory } = location;
  const file = segment.openFile;
  for (let at = suspectFrom; at < segment.sizeBytes; at += COPY_BYTES) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, segment.sizeBytes - at));
    await file.read(chunk, at);
    await writeFully(file, chunk, at);
  }
  await segment.rollBack();
  await files.syncDirectory(directory);
}

async function firstTimestampMs(segment: Segment): Promise<number | undefined> {
  if (segment.sizeBytes === 0) return undefined;
  const header = Buffer.alloc(BATCH_HEADER_BYTES);
  await segment.openFile.read(header, 0);
  return readInt64(header, BASE_TIMESTAMP_AT);
}
