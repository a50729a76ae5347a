// Reading a log: batches from an offset, and the offset of a time.

import { BrokerError } from "../broker-error.js";
import { decompressBatch } from "./compression.js";
import { RecordReader } from "./record-reader.js";
import type { Segment } from "./segment.js";
import type { SegmentScan } from "./segment-scan.js";
import { isMissing, logCorrupt, storageFailed } from "./storage-errors.js";
import type { StoredBatch } from "./stored-batch.js";
import type { LogTail } from "./tail-cache.js";

/** A log, as far as a reader is concerned. */
export interface ReadableLog {
  readonly name: string;
  readonly tail: LogTail;
  readonly segments: readonly Segment[];
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly isReadOnly: boolean;
  refresh(): Promise<void>;
  /** Throws when the log failed or was closed. */
  checkUsable(): void;
  /** Throws as well when the offset is not in the log. */
  checkReadable(offset: number): void;
}

/** `Log.read`. The offset has been checked. */
export async function readBatches(
  log: ReadableLog,
  fromOffset: number,
  bytesMax: number,
  raw: boolean,
): Promise<StoredBatch[]> {
  const cached = readCached(log, fromOffset, bytesMax);
  const batches = cached.length > 0 ? cached : await readStored(log, fromOffset, bytesMax);
  if (!raw) {
    for (let i = 0; i < batches.length; i += 1) {
      if (batches[i]!.codec !== "none") batches[i] = await decompressBatch(batches[i]!);
    }
  }
  return batches;
}

/** `Log.offsetAtTime`. */
export async function offsetAtTime(log: ReadableLog, timestampMs: number): Promise<number | undefined> {
  const endOffset = log.highWatermark;
  let from = log.logStartOffset;
  while (from < endOffset) {
    const segment = segmentAt(log, from);
    const found = await whileOpen(log, segment, () => findTime(log, segment, from, timestampMs));
    if (found !== undefined && found !== GONE) return found;
    from = found === GONE ? Math.max(from, log.logStartOffset) : segment.nextOffset;
  }
  return undefined;
}

/** The last segment that begins at or before `offset`. */
function segmentAt(log: ReadableLog, offset: number): Segment {
  const { segments } = log;
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (segments[middle]!.baseOffset <= offset) low = middle;
    else high = middle - 1;
  }
  return segments[low]!;
}

function readCached(log: ReadableLog, fromOffset: number, bytesMax: number): StoredBatch[] {
  const batches: StoredBatch[] = [];
  let sizeBytes = 0;
  let batch = log.tail.find(fromOffset);
  while (batch !== undefined && (batches.length === 0 || sizeBytes + batch.sizeBytes <= bytesMax)) {
    batches.push(batch);
    sizeBytes += batch.sizeBytes;
    batch = log.tail.find(batch.lastOffset + 1);
  }
  return batches;
}

async function readStored(log: ReadableLog, fromOffset: number, bytesMax: number): Promise<StoredBatch[]> {
  let from = fromOffset;
  while (from < log.highWatermark) {
    const segment = segmentAt(log, from);
    const nextOffset = segment.nextOffset;
    const batches = await whileOpen(log, segment, () => readSegment(log, segment, from, bytesMax));
    if (batches === GONE) log.checkReadable(from);
    else if (batches.length > 0) return batches;
    // Compaction left nothing from here to the end of the segment.
    else from = nextOffset;
  }
  return [];
}

/** The segment has left the log: it was deleted or replaced. */
const GONE = Symbol("gone");

async function whileOpen<T>(
  log: ReadableLog,
  segment: Segment,
  action: () => Promise<T>,
): Promise<T | typeof GONE> {
  try {
    await segment.acquire();
    try {
      return await action();
    } finally {
      segment.release();
    }
  } catch (error) {
    log.checkUsable();
    // Its file may have been replaced while it was being opened, so that what is known of it was not true.
    if (segment.isRetired) return GONE;
    if (isMissing(error) && log.isReadOnly) {
      await log.refresh();
      return GONE;
    }
    throw error instanceof BrokerError ? error : storageFailed(segment.path, "Reading", error);
  }
}

async function readSegment(
  log: ReadableLog,
  segment: Segment,
  fromOffset: number,
  bytesMax: number,
): Promise<StoredBatch[]> {
  const index = await segment.completeIndex();
  const batches = await collect(segment.scanFrom(index, fromOffset, bytesMax), fromOffset, bytesMax);
  if (Array.isArray(batches)) return batches;
  // An index that a crash damaged may point into the middle of a batch.
  const scan = segment.scanFrom(await segment.rebuildIndex(), fromOffset, bytesMax);
  const again = await collect(scan, fromOffset, bytesMax);
  if (Array.isArray(again)) return again;
  throw logCorrupt(log.name, segment.path, again.fault!);
}

/** The batches that were asked for, or the scan when it met a fault before the first of them. */
async function collect(
  scan: SegmentScan,
  fromOffset: number,
  bytesMax: number,
): Promise<StoredBatch[] | SegmentScan> {
  const batches: StoredBatch[] = [];
  let sizeBytes = 0;
  scan.checkedFrom = fromOffset;
  while (batches.length === 0 && (await scan.load())) {
    for (let batch = scan.next(); batch !== undefined; batch = scan.next()) {
      if (batch.lastOffset < fromOffset) continue;
      if (batches.length > 0 && sizeBytes + batch.sizeBytes > bytesMax) return batches;
      batches.push(batch);
      sizeBytes += batch.sizeBytes;
    }
  }
  return scan.fault !== undefined && batches.length === 0 ? scan : batches;
}

async function findTime(
  log: ReadableLog,
  segment: Segment,
  fromOffset: number,
  timestampMs: number,
): Promise<number | undefined> {
  const index = await segment.completeIndex();
  if (index.maxTimestampMs === undefined || index.maxTimestampMs < timestampMs) return undefined;
  const from = Math.max(fromOffset, index.times.offsetBefore(timestampMs));
  const scan = segment.scanFrom(index, from);
  scan.checkedFrom = from;
  while (await scan.load()) {
    for (let batch = scan.next(); batch !== undefined; batch = scan.next()) {
      if (batch.lastOffset < from || batch.maxTimestampMs < timestampMs) continue;
      const offset = await findTimeInBatch(batch, from, timestampMs);
      if (offset !== undefined) return offset;
    }
  }
  if (scan.fault !== undefined) throw logCorrupt(log.name, segment.path, scan.fault);
  return undefined;
}

async function findTimeInBatch(
  stored: StoredBatch,
  fromOffset: number,
  timestampMs: number,
): Promise<number | undefined> {
  const reader = new RecordReader(await decompressBatch(stored));
  reader.skipTo(fromOffset);
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    if (record.timestampMs >= timestampMs) return record.offset;
  }
  return undefined;
}
