// Decompresses batches that others wrote. Omnibus itself writes no compressed batch.

import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { BrokerError, type BrokerErrorCode } from "../broker-error.js";
import { crc32c } from "../bytes/crc32c.js";
import { readInt16, writeInt16, writeInt32 } from "../bytes/cursor.js";
import { CompressedRecords, checkLz4Frame, checkZstdFrames, snappyBlocks } from "./compressed-frames.js";
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  COMPRESSION_MASK,
  type CompressionCodec,
  CRC_AT,
  LENGTH_AT,
} from "./record-batch.js";
import { StoredBatch } from "./stored-batch.js";

const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

export interface DecompressOptions {
  /** The most bytes that the records of one batch may take. @default 64 MiB */
  readonly sizeBytesMax?: number;
  /** What a batch that cannot be decompressed, or is larger, is reported as. @default "LOG_CORRUPT" */
  readonly code?: BrokerErrorCode;
}

/**
 * The same batch without compression: a copy with its own checksum, or `batch` itself when it is not compressed.
 * COMPRESSION_UNAVAILABLE names the package to install when its codec needs one that is not there.
 */
export async function decompressBatch(
  batch: StoredBatch,
  options: DecompressOptions = {},
): Promise<StoredBatch> {
  if (batch.codec === "none") return batch;
  const { sizeBytesMax = DECOMPRESSED_BYTES_MAX, code = "LOG_CORRUPT" } = options;
  const compressed = batch.bytes.subarray(BATCH_HEADER_BYTES);
  const records = new CompressedRecords(compressed, sizeBytesMax, code, BATCH_HEADER_BYTES);
  const plain = await decompress(batch.codec, records);
  records.checkSize(plain.length);
  return uncompressedBatch(batch.bytes, plain);
}

async function decompress(
  codec: Exclude<CompressionCodec, "none">,
  records: CompressedRecords,
): Promise<Uint8Array> {
  try {
    return await decompressors[codec](records);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    if (isCalled(error, "ERR_BUFFER_TOO_LARGE")) records.checkSize(Number.POSITIVE_INFINITY);
    return records.fail(`${codec} data cannot be decompressed`, 0, error);
  }
}

const decompressors = { gzip: gunzip, snappy: unsnappy, lz4: unlz4, zstd: unzstd };

const gunzipAsync = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip);

function gunzip(records: CompressedRecords): Promise<Buffer> {
  return gunzipAsync(records.bytes, { maxOutputLength: records.sizeBytesMax });
}

async function unsnappy(records: CompressedRecords): Promise<Buffer> {
  const blocks = snappyBlocks(records);
  const { uncompress } = await library("snappy", () => import("snappy"));
  const parts = await Promise.all(blocks.map((block) => uncompress(block, { asBuffer: true })));
  return Buffer.concat(parts as Buffer[]);
}

async function unlz4(records: CompressedRecords): Promise<Buffer> {
  checkLz4Frame(records);
  const { decompressFrame } = await library("lz4-napi", () => import("lz4-napi"));
  return decompressFrame(records.bytes);
}

/** Node has had Zstandard since 22.15. */
interface ZlibWithZstd {
  readonly zstdDecompress?: (
    bytes: Buffer,
    options: { maxOutputLength: number },
    done: (error: Error | null, plain: Buffer) => void,
  ) => void;
}

async function unzstd(records: CompressedRecords): Promise<Uint8Array> {
  checkZstdFrames(records);
  const { zstdDecompress } = zlib as ZlibWithZstd;
  if (zstdDecompress !== undefined) {
    return promisify(zstdDecompress)(records.bytes, { maxOutputLength: records.sizeBytesMax });
  }
  const { Decompress } = await library("fzstd", () => import("fzstd"));
  const parts: Uint8Array[] = [];
  let total = 0;
  new Decompress((part) => {
    total += part.length;
    records.checkSize(total);
    parts.push(part);
  }).push(records.bytes, true);
  return Buffer.concat(parts);
}

async function library<Library>(name: string, load: () => Promise<Library>): Promise<Library> {
  try {
    return await load();
  } catch (error) {
    const isMissing = isCalled(error, "ERR_MODULE_NOT_FOUND");
    throw new BrokerError(
      "COMPRESSION_UNAVAILABLE",
      `Reading this batch needs the package "${name}", which ${isMissing ? "is not installed" : "does not load"}. Install it: npm install ${name}`,
      { package: name },
      error,
    );
  }
}

function isCalled(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function uncompressedBatch(compressed: Buffer, records: Uint8Array): StoredBatch {
  const bytes = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + records.length);
  compressed.copy(bytes, 0, 0, BATCH_HEADER_BYTES);
  bytes.set(records, BATCH_HEADER_BYTES);
  writeInt32(bytes, LENGTH_AT, bytes.length - BATCH_PREFIX_BYTES);
  writeInt16(bytes, ATTRIBUTES_AT, readInt16(compressed, ATTRIBUTES_AT) & ~COMPRESSION_MASK);
  writeInt32(bytes, CRC_AT, crc32c(bytes, ATTRIBUTES_AT));
  return new StoredBatch(bytes);
}
