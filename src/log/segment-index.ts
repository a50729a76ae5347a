// Both indexes of one segment, filled as batches are committed, and how they are stored beside it.

import type { Files } from "../io/io.js";
import { OffsetIndex } from "./offset-index.js";
import { isMissing } from "./storage-errors.js";
import type { StoredBatch } from "./stored-batch.js";
import { TimeIndex } from "./time-index.js";
import { writeFileWhole } from "./write-file.js";

/** About one entry for as many bytes of the segment. Kafka, whose index format this is, has the same default. */
export const INDEX_INTERVAL_BYTES = 4096;

export class SegmentIndex {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
  /** What lies before this byte of the segment is not in the index. */
  readonly startPosition: number;
  /** The latest timestamp seen; undefined before the first batch. */
  maxTimestampMs: number | undefined;
  private maxTimestampOffset: number;
  private bytesSinceEntry: number;

  constructor(baseOffset: number, startPosition = 0, offsets?: OffsetIndex, times?: TimeIndex) {
    this.offsets = offsets ?? new OffsetIndex(baseOffset);
    this.times = times ?? new TimeIndex(baseOffset);
    this.startPosition = startPosition;
    this.maxTimestampMs = this.times.lastTimestampMs;
    this.maxTimestampOffset = baseOffset;
    this.bytesSinceEntry = 0;
  }

  /** Hot: every batch. `position` is where it begins in the segment. */
  add(batch: StoredBatch, position: number): void {
    if (this.maxTimestampMs === undefined || batch.maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = batch.maxTimestampMs;
      this.maxTimestampOffset = batch.lastOffset;
    }
    if (this.bytesSinceEntry > INDEX_INTERVAL_BYTES) {
      this.offsets.add(batch.lastOffset, position);
      this.times.add(this.maxTimestampMs, this.maxTimestampOffset);
      this.bytesSinceEntry = 0;
    }
    this.bytesSinceEntry += batch.sizeBytes;
  }

  /** Puts the entries of `later`, which starts where this index ends, behind its own. */
  addAll(later: SegmentIndex): void {
    this.offsets.addAll(later.offsets);
    this.times.addAll(later.times);
    this.bytesSinceEntry = later.bytesSinceEntry;
    if (later.maxTimestampMs === undefined) return;
    if (this.maxTimestampMs !== undefined && later.maxTimestampMs <= this.maxTimestampMs) return;
    this.maxTimestampMs = later.maxTimestampMs;
    this.maxTimestampOffset = later.maxTimestampOffset;
  }

  /** Makes the latest timestamp the last entry, as a sealed segment must have it, and stores both files. */
  async store(files: Files, pathWithoutSuffix: string): Promise<void> {
    if (this.maxTimestampMs !== undefined) this.times.add(this.maxTimestampMs, this.maxTimestampOffset);
    await writeFileWhole(files, `${pathWithoutSuffix}.index`, this.offsets.encoded());
    await writeFileWhole(files, `${pathWithoutSuffix}.timeindex`, this.times.encoded());
  }

  /** What is stored beside a segment; undefined when it is missing or cannot be right. */
  static async load(
    files: Files,
    pathWithoutSuffix: string,
    baseOffset: number,
    segmentBytes: number,
  ): Promise<SegmentIndex | undefined> {
    const [offsetBytes, timeBytes] = await Promise.all([
      readIfPresent(files, `${pathWithoutSuffix}.index`),
      readIfPresent(files, `${pathWithoutSuffix}.timeindex`),
    ]);
    if (offsetBytes === undefined || timeBytes === undefined) return undefined;
    const offsets = OffsetIndex.parse(baseOffset, offsetBytes, segmentBytes);
    const times = TimeIndex.parse(baseOffset, timeBytes);
    if (offsets === undefined || times === undefined) return undefined;
    if (times.entryCount === 0 && segmentBytes > 0) return undefined;
    return new SegmentIndex(baseOffset, 0, offsets, times);
  }
}

async function readIfPresent(files: Files, path: string): Promise<Buffer | undefined> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
