// Compaction: of the records with the same key only the last one stays. Offsets stay as they are.

import { BrokerError } from "../broker-error.js";
import { crc32c } from "../bytes/crc32c.js";
import { readInt16, writeInt16, writeInt32, writeInt64 } from "../bytes/cursor.js";
import type { Files, OpenFile } from "../io/io.js";
import { decompressBatch } from "./compression.js";
import type { StoredRecord } from "./record.js";
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  COMPRESSION_MASK,
  CRC_AT,
  LENGTH_AT,
  MAX_TIMESTAMP_AT,
  RECORD_COUNT_AT,
} from "./record-batch.js";
import { RecordReader } from "./record-reader.js";
import type { Segment } from "./segment.js";
import { SegmentScan } from "./segment-scan.js";
import { diskFull, isOutOfSpace, logCorrupt, storageFailed } from "./storage-errors.js";
import { StoredBatch } from "./stored-batch.js";
import { removeIfThere, TEMPORARY_SUFFIX, writeFully } from "./write-file.js";

/** The memory for the keys of one pass; more keys take more passes. */
const KEYS_BYTES_MAX = 64 * 1024 * 1024;
/** What an entry of the map takes beside its key. */
const KEY_OVERHEAD_BYTES = 100;
const COPY_BYTES = 1024 * 1024;

/** The last offset of every key, for the offsets from some on up to `endOffset`. */
export class LastOffsets {
  endOffset: number;
  private readonly byKey: Map<string, number>;
  private keysBytes: number;

  constructor(fromOffset: number) {
    this.endOffset = fromOffset;
    this.byKey = new Map();
    this.keysBytes = 0;
  }

  get isFull(): boolean {
    return this.keysBytes >= KEYS_BYTES_MAX;
  }

  async add(batch: StoredBatch): Promise<void> {
    for (const record of recordsOf(await decompressBatch(batch))) {
      const key = keyOf(record);
      if (key === undefined) continue;
      if (!this.byKey.has(key)) this.keysBytes += key.length + KEY_OVERHEAD_BYTES;
      this.byKey.set(key, record.offset);
    }
    this.endOffset = batch.lastOffset + 1;
  }

  /** Whether a later record is known to have the same key. */
  isReplaced(record: StoredRecord, key: string): boolean {
    return (this.byKey.get(key) ?? -1) > record.offset;
  }
}

/** A segment without the records that nobody needs. */
export interface CompactedFile {
  /** A synced file that is not in its place yet. */
  readonly temporaryPath: string;
  readonly sizeBytes: number;
  readonly recordCount: number;
}

/**
 * Reads the keys from `fromOffset` on, until the segments end or the memory for keys is used up, but at least one
 * batch. `segments` are sealed.
 */
export async function readLastOffsets(
  logName: string,
  segments: readonly Segment[],
  fromOffset: number,
): Promise<LastOffsets> {
  const last = new LastOffsets(fromOffset);
  for (const segment of segments) {
    if (segment.nextOffset <= fromOffset) continue;
    for await (const batch of batchesOf(logName, segment)) {
      if (batch.lastOffset < fromOffset) continue;
      if (last.isFull) return last;
      await last.add(batch);
    }
    last.endOffset = segment.nextOffset;
  }
  return last;
}

/**
 * Writes what is needed of a sealed segment into a file beside it; undefined when that is everything. Records without
 * a key stay. A record without a value goes when it is from before `tombstonesUntilMs`: by then everybody has seen
 * that its key was deleted.
 */
export async function compactSegment(
  logName: string,
  files: Files,
  segment: Segment,
  last: LastOffsets,
  tombstonesUntilMs: number,
): Promise<CompactedFile | undefined> {
  const isNeeded = (record: StoredRecord): boolean => {
    if (record.offset >= last.endOffset) return true;
    const key = keyOf(record);
    if (key === undefined) return true;
    if (last.isReplaced(record, key)) return false;
    return record.value !== null || record.timestampMs >= tombstonesUntilMs;
  };
  const output = new CompactedOutput(files, segment);
  try {
    let position = 0;
    for await (const batch of batchesOf(logName, segment)) {
      const kept = batch.isControl ? batch : await keepRecords(batch, isNeeded);
      if (kept !== batch) await output.start(position);
      if (kept !== undefined) await output.add(kept);
      position += batch.sizeBytes;
    }
    return await output.finish();
  } catch (error) {
    await output.discard();
    if (error instanceof BrokerError) throw error;
    if (isOutOfSpace(error)) throw diskFull(segment.path, segment.sizeBytes, error);
    throw storageFailed(segment.path, "Compacting", error);
  }
}

/** `batch` itself when every record is needed, a smaller one with the same offsets, or undefined. */
async function keepRecords(
  batch: StoredBatch,
  isNeeded: (record: StoredRecord) => boolean,
): Promise<StoredBatch | undefined> {
  const source = await decompressBatch(batch);
  const kept: StoredRecord[] = [];
  for (const record of recordsOf(source)) if (isNeeded(record)) kept.push(record);
  if (kept.length === source.recordCount) return batch;
  return kept.length === 0 ? undefined : batchOf(source, kept);
}

/** An uncompressed batch with the header of `source` and some of its records, as they are encoded there. */
function batchOf(source: StoredBatch, kept: readonly StoredRecord[]): StoredBatch {
  const pieces: Buffer[] = [Buffer.from(source.bytes.subarray(0, BATCH_HEADER_BYTES))];
  let maxTimestampMs = Number.NEGATIVE_INFINITY;
  for (const record of kept) {
    pieces.push(source.bytes.subarray(record.start, record.end));
    maxTimestampMs = Math.max(maxTimestampMs, record.timestampMs);
  }
  const bytes = Buffer.concat(pieces);
  writeInt32(bytes, LENGTH_AT, bytes.length - BATCH_PREFIX_BYTES);
  writeInt16(bytes, ATTRIBUTES_AT, readInt16(bytes, ATTRIBUTES_AT) & ~COMPRESSION_MASK);
  writeInt64(bytes, MAX_TIMESTAMP_AT, maxTimestampMs);
  writeInt32(bytes, RECORD_COUNT_AT, kept.length);
  writeInt32(bytes, CRC_AT, crc32c(bytes, ATTRIBUTES_AT));
  return new StoredBatch(bytes);
}

/** The file that takes the place of a segment. Made when the first record is left out. */
class CompactedOutput {
  private readonly files: Files;
  private readonly segment: Segment;
  private readonly temporaryPath: string;
  private file: OpenFile | undefined;
  private sizeBytes: number;
  private recordCount: number;
  private pending: Buffer[];
  private pendingBytes: number;

  constructor(files: Files, segment: Segment) {
    this.files = files;
    this.segment = segment;
    this.temporaryPath = segment.path + TEMPORARY_SUFFIX;
    this.file = undefined;
    this.sizeBytes = 0;
    this.recordCount = 0;
    this.pending = [];
    this.pendingBytes = 0;
  }

  /** Copies the segment up to `position`, unless something was left out before. */
  async start(position: number): Promise<void> {
    if (this.file !== undefined) return;
    await removeIfThere(this.files, this.temporaryPath);
    this.file = await this.files.open(this.temporaryPath, "create");
    const source = await this.segment.acquire();
    try {
      while (this.sizeBytes < position) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, position - this.sizeBytes));
        await source.read(chunk, this.sizeBytes);
        await writeFully(this.file, chunk, this.sizeBytes);
        this.sizeBytes += chunk.length;
      }
    } finally {
      this.segment.release();
    }
  }

  async add(batch: StoredBatch): Promise<void> {
    this.recordCount += batch.recordCount;
    if (this.file === undefined) return;
    this.pending.push(batch.bytes);
    this.pendingBytes += batch.sizeBytes;
    if (this.pendingBytes >= COPY_BYTES) await this.#write();
  }

  async finish(): Promise<CompactedFile | undefined> {
    if (this.file === undefined) return undefined;
    await this.#write();
    await this.file.sync();
    await this.file.close();
    const { temporaryPath, sizeBytes, recordCount } = this;
    return { temporaryPath, sizeBytes, recordCount };
  }

  /** Gives up. What cannot even be removed is when the log is opened again. */
  async discard(): Promise<void> {
    await this.file?.close().catch(() => {});
    await removeIfThere(this.files, this.temporaryPath).catch(() => {});
  }

  async #write(): Promise<void> {
    await writeFully(this.file!, Buffer.concat(this.pending), this.sizeBytes);
    this.sizeBytes += this.pendingBytes;
    this.pending = [];
    this.pendingBytes = 0;
  }
}

async function* batchesOf(logName: string, segment: Segment): AsyncGenerator<StoredBatch> {
  const file = await segment.acquire();
  try {
    const scan = new SegmentScan(file, 0, segment.sizeBytes, segment.offsets);
    while (await scan.load()) {
      for (let batch = scan.next(); batch !== undefined; batch = scan.next()) yield batch;
    }
    if (scan.fault !== undefined) throw logCorrupt(logName, segment.path, scan.fault);
  } finally {
    segment.release();
  }
}

function* recordsOf(batch: StoredBatch): Generator<StoredRecord> {
  if (batch.isControl) return;
  const reader = new RecordReader(batch);
  for (let record = reader.next(); record !== undefined; record = reader.next()) yield record;
}

/** The bytes of the key as a text that can be compared; undefined when it has none. */
function keyOf(record: StoredRecord): string | undefined {
  return record.key?.toString("latin1");
}
