// The headers of a record, kept in their encoded form: built once, copied into many records, decoded when asked for.

import type { BrokerErrorCode } from "../broker-error.js";
import { Cursor } from "../bytes/cursor.js";
import { varintSize, writeVarint } from "../bytes/varint.js";

/**
 * Record headers, encoded as in a record (drawn in `record-batch.ts`): varint count, then (varint length, name,
 * varint length, value)*. Built once per message type and reused. Trusted where it is given to a builder.
 */
export type EncodedHeaders = Uint8Array;

/** A name may occur more than once. A string value is stored as UTF-8. */
export type Header = readonly [name: string, value: Uint8Array | string | null];

/** The encoding of no headers at all. */
export const NO_HEADERS: EncodedHeaders = Uint8Array.of(0);

/** Encodes `headers` in their order. */
export function encodeHeaders(headers: readonly Header[]): EncodedHeaders {
  return headers.length === 0 ? NO_HEADERS : appendHeaders(NO_HEADERS, headers);
}

/** `base` and then `more`, without decoding `base`. */
export function appendHeaders(base: EncodedHeaders, more: readonly Header[]): EncodedHeaders {
  if (more.length === 0) return base;
  const cursor = new Cursor(base, 0, base.length, "LOG_CORRUPT");
  const count = cursor.varint("header count") + more.length;
  const rest = base.subarray(cursor.position);
  let sizeBytes = varintSize(count) + rest.length;
  for (const header of more) sizeBytes += headerSize(header);

  const encoded = Buffer.allocUnsafeSlow(sizeBytes);
  let at = writeVarint(encoded, 0, count);
  encoded.set(rest, at);
  at += rest.length;
  for (const [name, value] of more) {
    at = writeField(encoded, at, name);
    at = writeField(encoded, at, value);
  }
  return encoded;
}

function headerSize([name, value]: Header): number {
  const nameSize = fieldSize(name);
  const valueSize = fieldSize(value);
  return varintSize(nameSize) + nameSize + varintSize(value === null ? -1 : valueSize) + valueSize;
}

function fieldSize(field: Uint8Array | string | null): number {
  if (field === null) return 0;
  return typeof field === "string" ? Buffer.byteLength(field) : field.length;
}

function writeField(target: Buffer, position: number, field: Uint8Array | string | null): number {
  if (field === null) return writeVarint(target, position, -1);
  const size = fieldSize(field);
  const at = writeVarint(target, position, size);
  if (typeof field === "string") target.write(field, at, size, "utf8");
  else target.set(field, at);
  return at + size;
}

/** Every header in `bytes[start, end)`, values as views of `bytes`. LOG_CORRUPT when it is not a header block. */
export function decodeHeaders(bytes: Uint8Array, start = 0, end: number = bytes.length): Header[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const cursor = new HeaderCursor(buffer, start, end, "LOG_CORRUPT");
  const headers: Header[] = [];
  while (cursor.next()) {
    const name = buffer.toString("utf8", cursor.nameStart, cursor.nameEnd);
    const isNull = cursor.valueEnd < 0;
    headers.push([name, isNull ? null : buffer.subarray(cursor.valueStart, cursor.valueEnd)]);
  }
  return headers;
}

/**
 * The value of the last header called `name` in `bytes[start, end)`, a view. Undefined when there is none or its
 * value is null.
 *
 * Hot: asked several times of every message that is handled, mostly for a header that is not there. No view, string or
 * cursor is made for that while there are fewer than 64 headers, names below 64 bytes and values below 8 KiB, as almost
 * all are.
 */
export function findHeader(bytes: Buffer, start: number, end: number, name: string): Buffer | undefined {
  let valueStart = 0;
  let valueEnd = -1;
  let at = start + 1;
  for (let left = bytes[start]!; left > 0; left -= 2) {
    const nameSize = bytes[at]!;
    let valueAt = at + 1 + (nameSize >> 1);
    const nameEnd = valueAt;
    let valueSize = bytes[valueAt]!;
    valueAt += 1;
    if (valueSize >= 0x80) {
      valueSize = (valueSize & 0x7f) | (bytes[valueAt]! << 7);
      valueAt += 1;
    }
    // A varint with an even value is a length; at the end of the bytes there is none, and its third byte has not been read.
    if (((left | nameSize) & 0x81) !== 0 || (valueSize & 1) !== 0 || valueSize >= 0x4000 || valueAt > end)
      return findHeaderAnyway(bytes, start, end, name);
    const isNamed = isTextAt(bytes, at + 1, nameEnd, name);
    at = valueAt + (valueSize >> 1);
    if (isNamed) {
      valueStart = valueAt;
      valueEnd = at;
    }
  }
  if (at !== end) return findHeaderAnyway(bytes, start, end, name);
  return valueEnd < 0 ? undefined : bytes.subarray(valueStart, valueEnd);
}

/** Errors: LOG_CORRUPT. */
function findHeaderAnyway(bytes: Buffer, start: number, end: number, name: string): Buffer | undefined {
  const cursor = new HeaderCursor(bytes, start, end, "LOG_CORRUPT");
  let valueStart = 0;
  let valueEnd = -1;
  while (cursor.next()) {
    if (!isTextAt(bytes, cursor.nameStart, cursor.nameEnd, name)) continue;
    valueStart = cursor.valueStart;
    valueEnd = cursor.valueEnd;
  }
  return valueEnd < 0 ? undefined : bytes.subarray(valueStart, valueEnd);
}

/**
 * Whether the value of the last header called `name` in `bytes[start, end)` is `value`; undefined when there is none.
 *
 * Hot: asked of every message that is handled. No view, string or cursor is made while every length takes one byte,
 * as almost all do, and bytes are compared with bytes.
 */
export function headerEquals(
  bytes: Buffer,
  start: number,
  end: number,
  name: Uint8Array,
  value: Uint8Array,
): boolean | undefined {
  let isEqual: boolean | undefined;
  let at = start + 1;
  for (let left = bytes[start]!; left > 0; left -= 2) {
    const nameSize = bytes[at]!;
    const valueAt = at + 1 + (nameSize >> 1);
    const valueSize = bytes[valueAt]!;
    // A varint of one byte with an even value is a length below 64; at the end of the bytes there is none.
    if (((left | nameSize | valueSize) & 0x81) !== 0 || valueAt >= end)
      return headerEqualsAnyway(bytes, start, end, name, value);
    const isNamed = areBytesAt(bytes, at + 1, valueAt, name);
    at = valueAt + 1 + (valueSize >> 1);
    if (isNamed) isEqual = areBytesAt(bytes, valueAt + 1, at, value);
  }
  return at === end ? isEqual : headerEqualsAnyway(bytes, start, end, name, value);
}

/** Errors: LOG_CORRUPT. */
function headerEqualsAnyway(
  bytes: Buffer,
  start: number,
  end: number,
  name: Uint8Array,
  value: Uint8Array,
): boolean | undefined {
  const found = findHeaderAnyway(bytes, start, end, Buffer.from(name).toString("utf8"));
  return found === undefined ? undefined : areBytesAt(found, 0, found.length, value);
}

function areBytesAt(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (end - start !== expected.length) return false;
  for (let i = 0; i < expected.length; i += 1) if (bytes[start + i] !== expected[i]) return false;
  return true;
}

function isTextAt(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return bytes.toString("utf8", start, end) === text;
    if (bytes[start + i] !== unit) return false;
  }
  return end - start === text.length;
}

/** Walks the headers in `bytes[start, end)`, which they must fill exactly. Malformed ones are reported as `code`. */
export class HeaderCursor {
  nameStart: number;
  nameEnd: number;
  valueStart: number;
  /** -1 when the value is null. */
  valueEnd: number;
  private readonly cursor: Cursor;
  private remaining: number;

  constructor(bytes: Uint8Array, start: number, end: number, code: BrokerErrorCode, origin = 0) {
    this.nameStart = start;
    this.nameEnd = start;
    this.valueStart = start;
    this.valueEnd = start;
    this.cursor = new Cursor(bytes, start, end, code, origin);
    this.remaining = this.cursor.varint("header count");
    if (this.remaining < 0) this.cursor.fail(`header count is ${this.remaining}`, start);
  }

  /** Moves to the next header. False when there is none. */
  next(): boolean {
    const cursor = this.cursor;
    if (this.remaining === 0) {
      if (cursor.position !== cursor.end) cursor.fail("bytes after the last header", cursor.position);
      return false;
    }
    this.remaining -= 1;
    this.nameStart = cursor.skip(cursor.varint("header name length"), "header name");
    this.nameEnd = cursor.position;
    const valueSize = cursor.varint("header value length");
    this.valueStart = valueSize === -1 ? cursor.position : cursor.skip(valueSize, "header value");
    this.valueEnd = valueSize === -1 ? -1 : cursor.position;
    return true;
  }
}
