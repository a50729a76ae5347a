// The layout of a record batch, the unit of append, checksum and compression, and the checks of its header.

import { crc32c } from "../bytes/crc32c.js";
import { readInt16, readInt32, readInt64, writeInt64 } from "../bytes/cursor.js";

/**
 * Record batch, Kafka's format "v2" (magic 2), big-endian. Source: "Record Batch" in Kafka's documentation of its
 * message format, and `DefaultRecordBatch.java`. `length` counts the bytes after itself; `crc` is the CRC-32C of
 * everything after itself. So the first twelve bytes, the base offset and the epoch can be rewritten without a
 * new checksum.
 *
 *    0            8        12            16      17    21           23
 *    | baseOffset | length | leaderEpoch | magic | crc | attributes | lastOffsetDelta
 *
 *    27              35             43           51              53             57            61
 *    | baseTimestamp | maxTimestamp | producerId | producerEpoch | baseSequence | recordCount | records ...
 *
 * attributes: bits 0-2 compression (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd), 3 timestamps are the time of append,
 * 4 transactional, 5 control, 6 baseTimestamp is a delete horizon, the rest unused. When compressed, the records
 * are, all together, and the header is not.
 *
 * Record, where every number but `attributes` (one byte, unused) is a zigzag varint, and a length of -1 means null:
 *
 *    | length | attributes | timestampDelta | offsetDelta | keyLength | key | valueLength | value | headers
 *
 * `length` counts the bytes after itself; `timestampDelta` is a varint of 64 bits, the others of 32. Headers:
 *
 *    | count | (nameLength | name | valueLength | value) ...
 */
export const BASE_OFFSET_AT = 0;
export const LENGTH_AT = 8;
export const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const RECORD_COUNT_AT = 57;
export const BATCH_HEADER_BYTES = 61;

/** The bytes before those that `length` counts: enough of a batch to know its size. */
export const BATCH_PREFIX_BYTES = 12;
export const MAGIC = 2;
/** No record is shorter: length, attributes, two deltas, two lengths, header count. */
const RECORD_BYTES_MIN = 7;

export const COMPRESSION_MASK = 0x07;
export const APPEND_TIME_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;

/** The compression codecs by their number in the attributes. */
export const COMPRESSION_CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type CompressionCodec = (typeof COMPRESSION_CODECS)[number];

/** What is wrong with a batch, and at which byte of the bytes that were looked at. */
export interface BatchFault {
  readonly what: string;
  readonly position: number;
  readonly expected: number | string;
  readonly found: number;
}

/** The bytes of the whole batch that starts at `start`. Needs {@link BATCH_PREFIX_BYTES}; they are not checked. */
export function batchSizeAt(bytes: Uint8Array, start: number): number {
  return BATCH_PREFIX_BYTES + readInt32(bytes, start + LENGTH_AT);
}

/** Gives the batch that starts at `start` another base offset. Its checksum stays right. */
export function writeBaseOffset(bytes: Uint8Array, start: number, baseOffset: number): void {
  writeInt64(bytes, start + BASE_OFFSET_AT, baseOffset);
}

/**
 * What is wrong with the batch that starts at `start` and must end by `end`: sizes, magic, checksum, header fields.
 * Undefined when nothing is. Its records are not looked at.
 */
export function findBatchFault(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): BatchFault | undefined {
  return findFrameFault(bytes, start, end) ?? findCrcFault(bytes, start) ?? findHeaderFault(bytes, start);
}

function findFrameFault(bytes: Uint8Array, start: number, end: number): BatchFault | undefined {
  const available = end - start;
  if (available < BATCH_HEADER_BYTES) {
    return fault("batch header cut off, bytes", start, `at least ${BATCH_HEADER_BYTES}`, available);
  }
  const magic = bytes[start + MAGIC_AT]!;
  if (magic !== MAGIC) return fault("magic", start + MAGIC_AT, MAGIC, magic);
  const size = batchSizeAt(bytes, start);
  if (size < BATCH_HEADER_BYTES || size > available) {
    const expected = `${BATCH_HEADER_BYTES} to ${available}`;
    return fault("batch size", start + LENGTH_AT, expected, size);
  }
  return undefined;
}

function findCrcFault(bytes: Uint8Array, start: number): BatchFault | undefined {
  const stored = readInt32(bytes, start + CRC_AT) >>> 0;
  const computed = crc32c(bytes, start + ATTRIBUTES_AT, start + batchSizeAt(bytes, start));
  return stored === computed ? undefined : fault("checksum", start + CRC_AT, computed, stored);
}

function findHeaderFault(bytes: Uint8Array, start: number): BatchFault | undefined {
  const codec = readInt16(bytes, start + ATTRIBUTES_AT) & COMPRESSION_MASK;
  if (codec >= COMPRESSION_CODECS.length) {
    return fault("compression", start + ATTRIBUTES_AT, `0 to ${COMPRESSION_CODECS.length - 1}`, codec);
  }
  const recordBytes = batchSizeAt(bytes, start) - BATCH_HEADER_BYTES;
  const countMax = codec === 0 ? Math.floor(recordBytes / RECORD_BYTES_MIN) : 0x7fffffff;
  return (
    findInt64Fault("base offset", bytes, start + BASE_OFFSET_AT, 0) ??
    findInt64Fault("base timestamp", bytes, start + BASE_TIMESTAMP_AT, Number.MIN_SAFE_INTEGER) ??
    findInt64Fault("max timestamp", bytes, start + MAX_TIMESTAMP_AT, Number.MIN_SAFE_INTEGER) ??
    findInt64Fault("producer id", bytes, start + PRODUCER_ID_AT, -1) ??
    findInt32Fault("last offset delta", bytes, start + LAST_OFFSET_DELTA_AT, 0x7fffffff) ??
    findInt32Fault("record count", bytes, start + RECORD_COUNT_AT, countMax)
  );
}

function findInt64Fault(what: string, bytes: Uint8Array, at: number, min: number): BatchFault | undefined {
  const value = readInt64(bytes, at);
  if (value >= min && Number.isSafeInteger(value)) return undefined;
  return fault(what, at, `${min} to ${Number.MAX_SAFE_INTEGER}`, value);
}

function findInt32Fault(what: string, bytes: Uint8Array, at: number, max: number): BatchFault | undefined {
  const value = readInt32(bytes, at);
  return value >= 0 && value <= max ? undefined : fault(what, at, `0 to ${max}`, value);
}

function fault(what: string, position: number, expected: number | string, found: number): BatchFault {
  return { what, position, expected, found };
}
