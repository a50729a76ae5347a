// One message as it lies in a log.

import {
  decodeHeaders,
  type EncodedHeaders,
  findHeader,
  type Header,
  headerEquals,
} from "./record-headers.js";

/** The bytes that records lie in, and what their offsets and timestamps count from. */
export interface RecordSource {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly baseTimestampMs: number;
}

/**
 * One stored message: positions in the bytes of its batch, which it keeps in memory as long as it lives
 * ({@link StoredRecord.detach} does not). Views and texts are made when asked for, each time anew.
 *
 * Hot: one object per message read. Offset and timestamp are kept as deltas, which are small integers, because
 * each large number in a field would be an allocation of its own.
 */
export class StoredRecord {
  private readonly source: RecordSource;
  /** Where the encoded record lies in the bytes of its batch. */
  readonly start: number;
  readonly end: number;
  private readonly offsetDelta: number;
  private readonly timestampDeltaMs: number;
  private readonly keyStart: number;
  private readonly keySize: number;
  /** Where the value begins in {@link bytes}. */
  readonly valueStart: number;
  private readonly valueSize: number;

  /** Made by a reader, from positions that it has checked. A size of -1 is null. */
  constructor(
    source: RecordSource,
    start: number,
    end: number,
    offsetDelta: number,
    timestampDeltaMs: number,
    keyStart: number,
    keySize: number,
    valueStart: number,
    valueSize: number,
  ) {
    this.source = source;
    this.start = start;
    this.end = end;
    this.offsetDelta = offsetDelta;
    this.timestampDeltaMs = timestampDeltaMs;
    this.keyStart = keyStart;
    this.keySize = keySize;
    this.valueStart = valueStart;
    this.valueSize = valueSize;
  }

  /** Of the whole batch. */
  get bytes(): Buffer {
    return this.source.bytes;
  }

  get offset(): number {
    return this.source.baseOffset + this.offsetDelta;
  }

  /** Milliseconds since 1970: as the sender said, or the time of append where the batch says so. */
  get timestampMs(): number {
    return this.source.baseTimestampMs + this.timestampDeltaMs;
  }

  /** The whole encoded record, its own length included. */
  get sizeBytes(): number {
    return this.end - this.start;
  }

  /** A view of the batch. */
  get key(): Buffer | null {
    return this.keySize < 0 ? null : this.source.bytes.subarray(this.keyStart, this.keyStart + this.keySize);
  }

  /** A view of the batch. */
  get value(): Buffer | null {
    if (this.valueSize < 0) return null;
    return this.source.bytes.subarray(this.valueStart, this.valueStart + this.valueSize);
  }

  /** The length of the value; 0 when it is null. */
  get valueSizeBytes(): number {
    return Math.max(this.valueSize, 0);
  }

  /** The value as UTF-8, straight from the batch; empty when it is null. */
  valueText(): string {
    if (this.valueSize <= 0) return "";
    return this.source.bytes.toString("utf8", this.valueStart, this.valueStart + this.valueSize);
  }

  /** The key as UTF-8, straight from the batch. */
  keyText(): string | null {
    if (this.keySize < 0) return null;
    return this.source.bytes.toString("utf8", this.keyStart, this.keyStart + this.keySize);
  }

  /** Where the headers begin; they end where the record does. */
  get headersStart(): number {
    return this.valueStart + this.valueSizeBytes;
  }

  /** A view of the last header called `name`; undefined when there is none, or its value is null. */
  header(name: string): Buffer | undefined {
    return findHeader(this.source.bytes, this.headersStart, this.end, name);
  }

  /** Whether the last header called `name` has this value; undefined when there is none, or its value is null. */
  headerEquals(name: Uint8Array, value: Uint8Array): boolean | undefined {
    return headerEquals(this.source.bytes, this.headersStart, this.end, name, value);
  }

  /** All headers in their order; values are views. */
  headers(): Header[] {
    return decodeHeaders(this.source.bytes, this.headersStart, this.end);
  }

  /** A view of the headers as they are encoded, to be appended to another log as they are. */
  headersEncoded(): EncodedHeaders {
    return this.source.bytes.subarray(this.headersStart, this.end);
  }

  /** A copy that keeps only its own bytes in memory. */
  detach(): StoredRecord {
    const start = this.start;
    const source: RecordSource = {
      bytes: Buffer.from(this.source.bytes.subarray(start, this.end)),
      baseOffset: this.source.baseOffset,
      baseTimestampMs: this.source.baseTimestampMs,
    };
    return new StoredRecord(
      source,
      0,
      this.end - start,
      this.offsetDelta,
      this.timestampDeltaMs,
      this.keyStart - start,
      this.keySize,
      this.valueStart - start,
      this.valueSize,
    );
  }
}
