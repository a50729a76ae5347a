// Where in a segment a record lies: one entry for every few kilobytes, kept as it is stored in the file.

import { readInt32, writeInt32 } from "../bytes/cursor.js";

/**
 * One entry of an `.index` file, Kafka's format (`OffsetIndex.java`), big-endian:
 *
 *   0                4          8
 *   | relativeOffset | position |
 *
 * `relativeOffset` is the last offset of a batch less the base offset of the segment, and `position` the byte at
 * which that batch begins. Both grow from entry to entry.
 */
const ENTRY_BYTES = 8;
const POSITION_AT = 4;
const CAPACITY_BYTES = 64 * ENTRY_BYTES;

export class OffsetIndex {
  private readonly baseOffset: number;
  private bytes: Buffer;
  private usedBytes: number;

  constructor(baseOffset: number) {
    this.baseOffset = baseOffset;
    this.bytes = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
    this.usedBytes = 0;
  }

  /**
   * What a file held; undefined when it cannot be an index of a segment of `segmentBytes`, because it was cut off or
   * its entries do not grow.
   */
  static parse(baseOffset: number, bytes: Buffer, segmentBytes: number): OffsetIndex | undefined {
    if (bytes.length % ENTRY_BYTES !== 0) return undefined;
    let lastOffset = -1;
    let lastPosition = -1;
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      const offset = readInt32(bytes, at);
      const position = readInt32(bytes, at + POSITION_AT);
      if (offset <= lastOffset || position <= lastPosition || position >= segmentBytes) return undefined;
      lastOffset = offset;
      lastPosition = position;
    }
    const index = new OffsetIndex(baseOffset);
    index.bytes = bytes;
    index.usedBytes = bytes.length;
    return index;
  }

  get entryCount(): number {
    return this.usedBytes / ENTRY_BYTES;
  }

  /** `lastOffset` is the last offset of the batch at `position`. */
  add(lastOffset: number, position: number): void {
    if (this.usedBytes === this.bytes.length) this.bytes = grow(this.bytes, CAPACITY_BYTES);
    writeInt32(this.bytes, this.usedBytes, lastOffset - this.baseOffset);
    writeInt32(this.bytes, this.usedBytes + POSITION_AT, position);
    this.usedBytes += ENTRY_BYTES;
  }

  /** Appends the entries of `later`, which is an index of the same segment from some position on. */
  addAll(later: OffsetIndex): void {
    this.bytes = Buffer.concat([this.encoded(), later.encoded()]);
    this.usedBytes = this.bytes.length;
  }

  /** A position at or before the batch that holds `offset`, at which a batch begins. */
  positionOf(offset: number): number {
    const wanted = offset - this.baseOffset;
    let low = 0;
    let high = this.entryCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (readInt32(this.bytes, middle * ENTRY_BYTES) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : readInt32(this.bytes, (low - 1) * ENTRY_BYTES + POSITION_AT);
  }

  /** The content of the file. A view, valid until the next entry is added. */
  encoded(): Buffer {
    return this.bytes.subarray(0, this.usedBytes);
  }
}

/** A copy with twice the room. */
export function grow(bytes: Buffer, capacityBytesMin: number): Buffer {
  const grown = Buffer.allocUnsafeSlow(Math.max(bytes.length * 2, capacityBytesMin));
  bytes.copy(grown);
  return grown;
}
