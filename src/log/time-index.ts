// From which offset on a segment may hold records of some time, kept as it is stored in the file.

import { readInt32, readInt64, writeInt32, writeInt64 } from "../bytes/cursor.js";
import { grow } from "./offset-index.js";

/**
 * One entry of a `.timeindex` file, Kafka's format (`TimeIndex.java`), big-endian:
 *
 *   0           8                12
 *   | timestamp | relativeOffset |
 *
 * No record of the segment up to the offset is later than `timestamp`; the offset is the last one of the first batch
 * that holds that timestamp. Both grow from entry to entry. The last entry of a sealed segment is the latest of all.
 */
const ENTRY_BYTES = 12;
const OFFSET_AT = 8;
const CAPACITY_BYTES = 64 * ENTRY_BYTES;

export class TimeIndex {
  private readonly baseOffset: number;
  private bytes: Buffer;
  private usedBytes: number;

  constructor(baseOffset: number) {
    this.baseOffset = baseOffset;
    this.bytes = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
    this.usedBytes = 0;
  }

  /** What a file held; undefined when it was cut off or its entries do not grow. */
  static parse(baseOffset: number, bytes: Buffer): TimeIndex | undefined {
    if (bytes.length % ENTRY_BYTES !== 0) return undefined;
    let lastOffset = -1;
    let lastTimestampMs = Number.NEGATIVE_INFINITY;
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      const timestampMs = readInt64(bytes, at);
      const offset = readInt32(bytes, at + OFFSET_AT);
      if (offset <= lastOffset || timestampMs <= lastTimestampMs) return undefined;
      lastOffset = offset;
      lastTimestampMs = timestampMs;
    }
    const index = new TimeIndex(baseOffset);
    index.bytes = bytes;
    index.usedBytes = bytes.length;
    return index;
  }

  get entryCount(): number {
    return this.usedBytes / ENTRY_BYTES;
  }

  /** The latest timestamp in the index; undefined when it is empty. */
  get lastTimestampMs(): number | undefined {
    return this.usedBytes === 0 ? undefined : readInt64(this.bytes, this.usedBytes - ENTRY_BYTES);
  }

  /** Adds an entry unless the index already reaches that timestamp. */
  add(timestampMs: number, offset: number): void {
    const last = this.lastTimestampMs;
    if (last !== undefined && timestampMs <= last) return;
    if (this.usedBytes === this.bytes.length) this.bytes = grow(this.bytes, CAPACITY_BYTES);
    writeInt64(this.bytes, this.usedBytes, timestampMs);
    writeInt32(this.bytes, this.usedBytes + OFFSET_AT, offset - this.baseOffset);
    this.usedBytes += ENTRY_BYTES;
  }

  /** Appends the entries of `later`, which is an index of the same segment from some position on. */
  addAll(later: TimeIndex): void {
    for (let at = 0; at < later.usedBytes; at += ENTRY_BYTES) {
      this.add(readInt64(later.bytes, at), this.baseOffset + readInt32(later.bytes, at + OFFSET_AT));
    }
  }

  /** An offset before which every record is earlier than `timestampMs`. */
  offsetBefore(timestampMs: number): number {
    let low = 0;
    let high = this.entryCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (readInt64(this.bytes, middle * ENTRY_BYTES) < timestampMs) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return this.baseOffset;
    return this.baseOffset + readInt32(this.bytes, (low - 1) * ENTRY_BYTES + OFFSET_AT) + 1;
  }

  /** The content of the file. A view, valid until the next entry is added. */
  encoded(): Buffer {
    return this.bytes.subarray(0, this.usedBytes);
  }
}
