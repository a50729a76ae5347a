// The frames around compressed records, as far as their size must be known before a library may see them: none of
// the libraries for snappy and lz4 can be told how much it may allocate.

import { BrokerError, type BrokerErrorCode } from "../broker-error.js";
import { readInt32 } from "../bytes/cursor.js";

/** The compressed records of one batch, and what they may become. */
export class CompressedRecords {
  readonly bytes: Buffer;
  /** The most bytes that the records may take. */
  readonly sizeBytesMax: number;
  private readonly code: BrokerErrorCode;
  private readonly origin: number;

  /** Faults are reported as `code`, at a position to which `origin` is added. */
  constructor(bytes: Buffer, sizeBytesMax: number, code: BrokerErrorCode, origin: number) {
    this.bytes = bytes;
    this.sizeBytesMax = sizeBytesMax;
    this.code = code;
    this.origin = origin;
  }

  /** Throws unless the records may take `sizeBytes`. */
  checkSize(sizeBytes: number): void {
    if (sizeBytes <= this.sizeBytesMax) return;
    throw new BrokerError(
      this.code,
      `Compressed records take more than ${this.sizeBytesMax} bytes when decompressed, which is the limit.`,
      { sizeBytesMax: this.sizeBytesMax, compressedBytes: this.bytes.length },
    );
  }

  /** Throws unless `size` bytes lie at `at`. */
  checkRoom(at: number, size: number): void {
    if (size < 0 || size > this.bytes.length - at) this.fail(`${size} bytes do not fit`, at);
  }

  fail(fault: string, at: number, cause?: unknown): never {
    const position = this.origin + at;
    throw new BrokerError(
      this.code,
      `Malformed compressed records: ${fault}, at byte ${position}.`,
      { position },
      cause,
    );
  }
}

/**
 * Snappy blocks as Kafka's Java client frames them (the "xerial" framing), big-endian. Other clients write one bare
 * block without any of this.
 *
 *   0                        8         12           16
 *   | 82 'S N A P P Y' 00    | version | compatible | (length | block) ...
 */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_BLOCKS_AT = 16;

/** The snappy blocks of `records`, whose declared sizes were summed and found to be within the limit. */
export function snappyBlocks(records: CompressedRecords): Buffer[] {
  const { bytes } = records;
  const blocks: Buffer[] = [];
  let total = 0;
  let at = 0;
  if (bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    for (at = XERIAL_BLOCKS_AT; at < bytes.length; ) {
      records.checkRoom(at, 4);
      const size = readInt32(bytes, at);
      records.checkRoom(at + 4, size);
      total += declaredSnappySize(records, at + 4);
      blocks.push(bytes.subarray(at + 4, at + 4 + size));
      at += 4 + size;
    }
  } else {
    total = declaredSnappySize(records, 0);
    blocks.push(bytes);
  }
  records.checkSize(total);
  return blocks;
}

/** A snappy block begins with its decompressed size: an unsigned varint of at most 32 bits. */
function declaredSnappySize(records: CompressedRecords, at: number): number {
  let size = 0;
  for (let i = 0; i < 5; i += 1) {
    records.checkRoom(at + i, 1);
    const byte = records.bytes[at + i]!;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return size;
  }
  return records.fail("snappy size of more than 32 bits", at);
}

/**
 * LZ4 frame, little-endian. Source: "LZ4 Frame Format Description" 1.6. flags: bit 4 each block ends with a checksum,
 * bit 3 content size present, bit 2 checksum of the content at the end, bit 0 dictionary id present. blockMax: bits
 * 4-6, where 4, 5, 6, 7 mean 64 KiB, 256 KiB, 1 MiB, 4 MiB. The top bit of a block's size says that it is stored as
 * it is; a size of 0 ends the frame.
 *
 *   0       4       5          6
 *   | magic | flags | blockMax | contentSize? (8) | dictionary? (4) | checksum (1) | (size | block | checksum?) ... | 0
 */
const LZ4_MAGIC = 0x184d2204;
const LZ4_STORED_BIT = 0x80000000;
/** No byte of an LZ4 block can become more. */
const LZ4_EXPANSION_MAX = 255;

/** Checks that `records` are one LZ4 frame that cannot become larger than its limit, up to one block. */
export function checkLz4Frame(records: CompressedRecords): void {
  const { bytes } = records;
  records.checkRoom(0, 7);
  if (bytes.readUInt32LE(0) !== LZ4_MAGIC) records.fail("no LZ4 frame", 0);
  const flags = bytes[4]!;
  const blockMax = 2 ** (8 + 2 * ((bytes[5]! >> 4) & 7));
  const checksumSize = flags & 0x10 ? 4 : 0;
  let at = 6 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0) + 1;
  let total = 0;
  for (;;) {
    records.checkRoom(at, 4);
    const word = bytes.readUInt32LE(at);
    if (word === 0) break;
    const isStored = word >= LZ4_STORED_BIT;
    const size = isStored ? word - LZ4_STORED_BIT : word;
    records.checkRoom(at + 4, size + checksumSize);
    total += isStored ? size : Math.min(size * LZ4_EXPANSION_MAX, blockMax);
    records.checkSize(total - blockMax);
    at += 4 + size + checksumSize;
  }
  at += 4 + (flags & 0x04 ? 4 : 0);
  if (at !== bytes.length) records.fail("bytes after the LZ4 frame", Math.min(at, bytes.length));
}

/**
 * Zstandard frame, little-endian. Source: RFC 8878, 3.1.1. descriptor: bits 6-7 size of the content size, bit 5 no
 * window byte, bit 2 checksum of 4 bytes at the end, bits 0-1 size of the dictionary id. A block header has 3
 * bytes: bit 0 last, bits 1-2 type (1 is one byte repeated), the rest its size.
 *
 *   0       4            5
 *   | magic | descriptor | window? (1) | dictionary? (0-4) | contentSize? (0-8) | (header | block) ... | checksum? (4)
 */
const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_RLE_BLOCK = 1;
/** A decoder allocates the window at once, whatever the content takes. The highest ordinary level uses 8 MiB. */
const ZSTD_WINDOW_BYTES_MAX = 64 * 1024 * 1024;

/** Checks that `records` are Zstandard frames that declare no more than the limit and no larger window. */
export function checkZstdFrames(records: CompressedRecords): void {
  let at = 0;
  do at = checkZstdFrame(records, at);
  while (at < records.bytes.length);
}

/** Returns where the frame at `start` ends. */
function checkZstdFrame(records: CompressedRecords, start: number): number {
  const { bytes } = records;
  records.checkRoom(start, 6);
  if (bytes.readUInt32LE(start) !== ZSTD_MAGIC) records.fail("no Zstandard frame", start);
  const descriptor = bytes[start + 4]!;
  const hasWindow = (descriptor & 0x20) === 0;
  const contentSizeSize = [hasWindow ? 0 : 1, 2, 4, 8][descriptor >> 6]!;
  const contentSizeAt = start + 5 + (hasWindow ? 1 : 0) + [0, 1, 2, 4][descriptor & 3]!;
  records.checkRoom(contentSizeAt, contentSizeSize);
  const windowSize = hasWindow ? zstdWindowSize(bytes[start + 5]!) : 0;
  if (windowSize > ZSTD_WINDOW_BYTES_MAX) {
    records.fail(
      `Zstandard window of ${windowSize} bytes, expected at most ${ZSTD_WINDOW_BYTES_MAX}`,
      start + 5,
    );
  }
  if (contentSizeSize > 0) records.checkSize(readUintLE(bytes, contentSizeAt, contentSizeSize));
  const end = skipZstdBlocks(records, contentSizeAt + contentSizeSize) + (descriptor & 0x04 ? 4 : 0);
  if (end > bytes.length) records.fail("Zstandard checksum cut off", bytes.length);
  return end;
}

function skipZstdBlocks(records: CompressedRecords, start: number): number {
  let at = start;
  let isLast = false;
  while (!isLast) {
    records.checkRoom(at, 3);
    const header = readUintLE(records.bytes, at, 3);
    const size = ((header >> 1) & 3) === ZSTD_RLE_BLOCK ? 1 : header >> 3;
    records.checkRoom(at + 3, size);
    isLast = (header & 1) === 1;
    at += 3 + size;
  }
  return at;
}

function zstdWindowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function readUintLE(bytes: Buffer, at: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i -= 1) value = value * 256 + bytes[at + i]!;
  return value;
}
