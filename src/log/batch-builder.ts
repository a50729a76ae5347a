// Writes the records of one batch, and its header when it is complete.

import { BrokerError } from "../broker-error.js";
import { crc32c } from "../bytes/crc32c.js";
import { writeInt16, writeInt32, writeInt64 } from "../bytes/cursor.js";
import { VARINT_BYTES_MAX, varintSize, varlongSize, writeVarint, writeVarlong } from "../bytes/varint.js";
import {
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
} from "./record-batch.js";
import type { EncodedHeaders } from "./record-headers.js";

const CAPACITY_BYTES = 16 * 1024;
/**
 * Room that a string is offered beyond one byte per UTF-16 unit. Four bytes are the longest character, so a string
 * that is not plain ASCII writes more bytes than it has units, even when it is cut at the end of its room.
 */
const TEXT_SLACK_BYTES = 4;
/** Shorter bytes are copied faster one by one than by a call. */
const SHORT_COPY_BYTES = 12;
/** Shorter texts are written faster unit by unit than by a call. */
const SHORT_TEXT_UNITS = 24;
const BATCH_BYTES_MAX = 0x7fffffff;

/** How far a builder had come. */
export interface BuilderMark {
  readonly recordCount: number;
  readonly sizeBytes: number;
  readonly maxTimestampMs: number;
}

/**
 * Accumulates the records of one batch in one growing buffer: not compressed, timestamps as given, no producer.
 * The memory is the builder's: what `finish` returned is overwritten after `reset`.
 */
export class BatchBuilder {
  /** Records appended since the last reset. */
  recordCount: number;
  /** The batch as it would be finished, its header included. */
  sizeBytes: number;
  private bytes: Buffer;
  private baseTimestampMs: number;
  private maxTimestampMs: number;
  private isFinished: boolean;
  /** Whether the last text was ASCII. Decides which of two ways of writing a text is tried first. */
  private isPlainText: boolean;

  /** `capacityBytes` is what the batch is expected to take; it doubles when that is exceeded. @default 16 KiB */
  constructor(capacityBytes = CAPACITY_BYTES) {
    this.recordCount = 0;
    this.sizeBytes = BATCH_HEADER_BYTES;
    this.bytes = Buffer.allocUnsafeSlow(Math.max(capacityBytes, BATCH_HEADER_BYTES));
    this.baseTimestampMs = 0;
    this.maxTimestampMs = 0;
    this.isFinished = false;
    this.isPlainText = true;
  }

  /**
   * Copies one record to the end of the batch and returns its index in the batch. `timestampMs` is whole;
   * `headers` come from `encodeHeaders` and are not checked. MESSAGE_TOO_LARGE when the batch would pass 2 GiB;
   * nothing is changed then.
   *
   * Hot: every message. No allocation unless the buffer grows. A text is written as if it were ASCII, which saves
   * measuring it first; only when it turns out longer is the record written again with its true length.
   */
  append(
    timestampMs: number,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: EncodedHeaders,
  ): number {
    if (this.isFinished) throw new Error("append to a finished batch");
    const index = this.recordCount;
    if (index === 0) this.baseTimestampMs = this.maxTimestampMs = wholeTimestamp(timestampMs);
    const delta = timestampMs - this.baseTimestampMs;
    if (delta !== (delta | 0)) wholeTimestamp(timestampMs);

    let end = -1;
    if (this.isPlainText) {
      end = this.#write(delta, index, key, sizeIfPlain(key), value, sizeIfPlain(value), headers);
      this.isPlainText = end !== -1;
    }
    if (end === -1) end = this.#writeMeasured(delta, index, key, value, headers);

    this.sizeBytes = end;
    if (timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs;
    this.recordCount = index + 1;
    return index;
  }

  /**
   * Writes the header and returns a view of exactly the batch, valid until `reset`. At least one record must have
   * been appended.
   */
  finish(baseOffset: number): Buffer {
    if (this.isFinished || this.recordCount === 0) throw new Error("finish of an empty or finished batch");
    this.isFinished = true;
    const { bytes, sizeBytes } = this;
    writeInt64(bytes, BASE_OFFSET_AT, baseOffset);
    writeInt32(bytes, LENGTH_AT, sizeBytes - BATCH_PREFIX_BYTES);
    writeInt32(bytes, LEADER_EPOCH_AT, 0);
    bytes[MAGIC_AT] = MAGIC;
    writeInt16(bytes, ATTRIBUTES_AT, 0);
    writeInt32(bytes, LAST_OFFSET_DELTA_AT, this.recordCount - 1);
    writeInt64(bytes, BASE_TIMESTAMP_AT, this.baseTimestampMs);
    writeInt64(bytes, MAX_TIMESTAMP_AT, this.maxTimestampMs);
    writeInt64(bytes, PRODUCER_ID_AT, -1);
    writeInt16(bytes, PRODUCER_EPOCH_AT, -1);
    writeInt32(bytes, BASE_SEQUENCE_AT, -1);
    writeInt32(bytes, RECORD_COUNT_AT, this.recordCount);
    writeInt32(bytes, CRC_AT, crc32c(bytes, ATTRIBUTES_AT, sizeBytes));
    return bytes.subarray(0, sizeBytes);
  }

  /** The state to which {@link BatchBuilder.rewind} goes back. */
  mark(): BuilderMark {
    return {
      recordCount: this.recordCount,
      sizeBytes: this.sizeBytes,
      maxTimestampMs: this.maxTimestampMs,
    };
  }

  /** Forgets the records appended since `mark` was made. The batch must not have been finished or reset since. */
  rewind(mark: BuilderMark): void {
    this.recordCount = mark.recordCount;
    this.sizeBytes = mark.sizeBytes;
    this.maxTimestampMs = mark.maxTimestampMs;
  }

  /** Starts the next batch in the same memory. A view that `finish` returned is overwritten from here on. */
  reset(): void {
    this.recordCount = 0;
    this.sizeBytes = BATCH_HEADER_BYTES;
    this.isFinished = false;
  }

  #writeMeasured(
    delta: number,
    index: number,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: EncodedHeaders,
  ): number {
    const keySize = typeof key === "string" ? Buffer.byteLength(key) : sizeIfPlain(key);
    const valueSize = typeof value === "string" ? Buffer.byteLength(value) : sizeIfPlain(value);
    this.isPlainText = keySize === sizeIfPlain(key) && valueSize === sizeIfPlain(value);
    return this.#write(delta, index, key, keySize, value, valueSize, headers);
  }

  /** Writes a record whose key and value take so many bytes; -1 when a text turns out longer than that. */
  #write(
    delta: number,
    index: number,
    key: Uint8Array | string | null,
    keySize: number,
    value: Uint8Array | string | null,
    valueSize: number,
    headers: EncodedHeaders,
  ): number {
    const bodySize =
      1 + varlongSize(delta) + varintSize(index) + fieldSize(keySize) + fieldSize(valueSize) + headers.length;
    const needed = this.sizeBytes + bodySize + VARINT_BYTES_MAX + TEXT_SLACK_BYTES;
    if (needed > this.bytes.length) this.#grow(needed);
    const bytes = this.bytes;
    let at = writeVarint(bytes, this.sizeBytes, bodySize);
    bytes[at++] = 0;
    at = writeVarlong(bytes, at, delta);
    at = writeVarint(bytes, at, index);
    at = writeField(bytes, at, key, keySize);
    if (at !== -1) at = writeField(bytes, at, value, valueSize);
    return at === -1 ? -1 : copy(bytes, at, headers);
  }

  #grow(needed: number): void {
    if (needed > BATCH_BYTES_MAX) throw tooLarge(needed);
    const grown = Buffer.allocUnsafeSlow(Math.min(Math.max(needed, this.bytes.length * 2), BATCH_BYTES_MAX));
    this.bytes.copy(grown, 0, 0, this.sizeBytes);
    this.bytes = grown;
  }
}

/** The bytes of a field if a text in it is ASCII; -1 for null. */
function sizeIfPlain(field: Uint8Array | string | null): number {
  return field === null ? -1 : field.length;
}

function fieldSize(size: number): number {
  return size < 0 ? 1 : varintSize(size) + size;
}

/** Writes length and content, and returns the position after it; -1 when a text does not take `size` bytes. */
function writeField(
  bytes: Buffer,
  position: number,
  field: Uint8Array | string | null,
  size: number,
): number {
  const at = writeVarint(bytes, position, size);
  if (field === null) return at;
  if (typeof field !== "string") return copy(bytes, at, field);
  if (size < SHORT_TEXT_UNITS && size === field.length) return writeShortPlainText(bytes, at, field);
  return bytes.write(field, at, size + TEXT_SLACK_BYTES, "utf8") === size ? at + size : -1;
}

/** Returns the position after the text; -1 when it is not ASCII. */
function writeShortPlainText(bytes: Buffer, position: number, text: string): number {
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return -1;
    bytes[position + i] = unit;
  }
  return position + text.length;
}

function copy(target: Uint8Array, position: number, source: Uint8Array): number {
  const size = source.length;
  if (size < SHORT_COPY_BYTES) for (let i = 0; i < size; i += 1) target[position + i] = source[i]!;
  else target.set(source, position);
  return position + size;
}

function wholeTimestamp(timestampMs: number): number {
  if (!Number.isSafeInteger(timestampMs))
    throw new Error(`timestamp ${timestampMs} is not whole milliseconds`);
  return timestampMs;
}

function tooLarge(sizeBytes: number): BrokerError {
  return new BrokerError(
    "MESSAGE_TOO_LARGE",
    `A batch of ${sizeBytes} bytes would pass the format's limit of ${BATCH_BYTES_MAX}. Send less at once.`,
    { sizeBytes, bytesMax: BATCH_BYTES_MAX },
  );
}
