// The bytes of journal entries.

import { crc32c } from "../bytes/crc32c.js";
import { readInt16, readInt32, readInt64, writeInt16, writeInt32, writeInt64 } from "../bytes/cursor.js";

/**
 * Journal entry, big-endian. It begins at a multiple of {@link BLOCK_BYTES} of its file and is filled up with zeros
 * to the next one. `length` counts the bytes from `number` to the last part; `crc` is their CRC-32C.
 *
 *   0        4     8        16           24     28     29      32      36
 *   | length | crc | number | neededFrom | pass | kind | zeros | count | parts ...
 *
 * `neededFrom` is the number of the oldest entry whose bytes were not known to be synced in their segments when this
 * one was written; files that were kept because that failed are not counted. Entries of one pass over a file lie back to back from its beginning, with consecutive numbers and the same random
 * `pass`: so what an earlier pass left behind them is never taken for theirs. Kinds, and what is repeated `count`
 * times:
 *
 * 1, data: bytes that were committed to a segment at a position.
 *
 *   | nameLength (2) | name of the log | segment base offset (8) | position (8) | size (4) | bytes |
 *
 * 2, void: parts of the entry before it that were never committed, by their index in it.
 *
 *   | index (4) |
 *
 * 3, blank: nothing. The first entry of a file whose content is not needed any more.
 */
export const BLOCK_BYTES = 4096;
const LENGTH_AT = 0;
const CRC_AT = 4;
const NUMBER_AT = 8;
const NEEDED_FROM_AT = 16;
const PASS_AT = 24;
const KIND_AT = 28;
const COUNT_AT = 32;
const PARTS_AT = 36;
const PART_NUMBERS_BYTES = 2 + 8 + 8 + 4;

const DATA = 1;
const VOID = 2;
const BLANK = 3;

export interface EntryHeader {
  readonly number: number;
  readonly neededFrom: number;
  readonly pass: number;
}

/** Bytes of one log in an entry. */
export interface JournalPart {
  readonly logName: string;
  readonly segmentBase: number;
  readonly position: number;
  readonly bytes: Buffer;
}

export interface JournalEntry extends EntryHeader {
  /** Whole blocks. */
  readonly sizeBytes: number;
  readonly isBlank: boolean;
  /** Empty unless it is data. */
  readonly parts: readonly JournalPart[];
  /** The voided parts of the entry before; empty unless it is a void. */
  readonly voided: readonly number[];
}

export function blocksOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** How large a data entry is, in whole blocks. */
export function dataEntryBytes(parts: readonly JournalPart[]): number {
  let sizeBytes = PARTS_AT;
  for (const part of parts) sizeBytes += PART_NUMBERS_BYTES + part.logName.length + part.bytes.length;
  return blocksOf(sizeBytes);
}

/** How large an entry is that voids at most `count` parts. */
export function voidEntryBytes(count: number): number {
  return blocksOf(PARTS_AT + 4 * count);
}

/** Writes a data entry to the front of `target`, which has {@link dataEntryBytes} at least. */
export function encodeData(target: Buffer, header: EntryHeader, parts: readonly JournalPart[]): Buffer {
  let at = PARTS_AT;
  for (const part of parts) {
    const nameSize = target.write(part.logName, at + 2, "latin1");
    writeInt16(target, at, nameSize);
    at += 2 + nameSize;
    writeInt64(target, at, part.segmentBase);
    writeInt64(target, at + 8, part.position);
    writeInt32(target, at + 16, part.bytes.length);
    part.bytes.copy(target, at + 20);
    at += 20 + part.bytes.length;
  }
  return finish(target, header, DATA, parts.length, at);
}

export function encodeVoid(header: EntryHeader, indexes: readonly number[]): Buffer {
  const target = Buffer.alloc(voidEntryBytes(indexes.length));
  for (let i = 0; i < indexes.length; i += 1) writeInt32(target, PARTS_AT + 4 * i, indexes[i]!);
  return finish(target, header, VOID, indexes.length, PARTS_AT + 4 * indexes.length);
}

export function encodeBlank(header: EntryHeader): Buffer {
  return finish(Buffer.alloc(BLOCK_BYTES), header, BLANK, 0, PARTS_AT);
}

function finish(target: Buffer, header: EntryHeader, kind: number, count: number, end: number): Buffer {
  writeInt32(target, LENGTH_AT, end - NUMBER_AT);
  writeInt64(target, NUMBER_AT, header.number);
  writeInt64(target, NEEDED_FROM_AT, header.neededFrom);
  writeInt32(target, PASS_AT, header.pass);
  writeInt32(target, KIND_AT, kind << 24);
  writeInt32(target, COUNT_AT, count);
  writeInt32(target, CRC_AT, crc32c(target, NUMBER_AT, end));
  return target.fill(0, end, blocksOf(end)).subarray(0, blocksOf(end));
}

/** The whole entry at `start`; undefined when there is none. */
export function decodeEntry(bytes: Buffer, start: number): JournalEntry | undefined {
  if (start + PARTS_AT > bytes.length) return undefined;
  const length = readInt32(bytes, start + LENGTH_AT);
  const end = start + NUMBER_AT + length;
  if (length < PARTS_AT - NUMBER_AT || end > bytes.length) return undefined;
  if (readInt32(bytes, start + CRC_AT) !== (crc32c(bytes, start + NUMBER_AT, end) | 0)) return undefined;
  const kind = bytes[start + KIND_AT];
  const count = readInt32(bytes, start + COUNT_AT);
  return {
    number: readInt64(bytes, start + NUMBER_AT),
    neededFrom: readInt64(bytes, start + NEEDED_FROM_AT),
    pass: readInt32(bytes, start + PASS_AT),
    sizeBytes: blocksOf(end - start),
    isBlank: kind === BLANK,
    parts: kind === DATA ? decodeParts(bytes, start + PARTS_AT, count) : [],
    voided: kind === VOID ? decodeIndexes(bytes, start + PARTS_AT, count) : [],
  };
}

function decodeParts(bytes: Buffer, start: number, count: number): JournalPart[] {
  const parts: JournalPart[] = [];
  let at = start;
  for (let i = 0; i < count; i += 1) {
    const nameEnd = at + 2 + readInt16(bytes, at);
    const logName = bytes.toString("latin1", at + 2, nameEnd);
    const end = nameEnd + 20 + readInt32(bytes, nameEnd + 16);
    parts.push({
      logName,
      segmentBase: readInt64(bytes, nameEnd),
      position: readInt64(bytes, nameEnd + 8),
      bytes: bytes.subarray(nameEnd + 20, end),
    });
    at = end;
  }
  return parts;
}

function decodeIndexes(bytes: Buffer, start: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => readInt32(bytes, start + 4 * i));
}
