// Headers of NATS and headers of the broker's records. What was sent is kept as it was where it could not be built again.

import {
  CONTENT_TYPE_HEADER,
  CORRELATION_HEADER,
  ID_HEADER,
  REPLY_TO_HEADER,
  RESERVED_PREFIX,
  SUBJECT_HEADER,
} from "../../broker/message.js";
import { type EncodedHeaders, encodeHeaders, type Header } from "../../log/record-headers.js";
import { formatHeaderBlock, parseHeaderBlock, type WireHeader } from "./wire/header-block.js";

/** The block as it was sent, where the other headers do not say it all. */
const ORIGINAL_HEADER = "omnibus-nats";
/** The connection that it came from, where that does not want to see it again. */
const ORIGIN_HEADER = "omnibus-nats-origin";
const ANSWER_HEADER = "omnibus-answer";
const ERROR_HEADER = "omnibus-error";
const FAILED = Buffer.from("failed");

/** Names that mean the same: as NATS writes them, in lower case, and as the broker has them. */
const namesOfNats = new Map([
  ["content-type", CONTENT_TYPE_HEADER],
  ["nats-msg-id", ID_HEADER],
  ["correlation-id", CORRELATION_HEADER],
]);
const namesOfRecords = new Map([
  [CONTENT_TYPE_HEADER, "Content-Type"],
  [ID_HEADER, "Nats-Msg-Id"],
  [CORRELATION_HEADER, "Correlation-Id"],
]);

const NOT_IN_A_NAME = /[^!-9;-~]/g;

/** What a message says besides its body. */
export interface MessageHead {
  /** In canonical text, like the next. */
  readonly subject: string;
  readonly replyTo: string | undefined;
  /** The header block. */
  readonly block: Buffer | undefined;
  /** Who does not want to see it again. */
  readonly origin: string | undefined;
}

export interface RecordHead {
  readonly encoded: EncodedHeaders;
  readonly id: string | undefined;
}

/** The headers that the broker keeps with a message. */
export function recordHead({ subject, replyTo, block, origin }: MessageHead): RecordHead {
  const headers: Header[] = [[SUBJECT_HEADER, subject]];
  if (replyTo !== undefined) headers.push([REPLY_TO_HEADER, replyTo]);
  if (origin !== undefined) headers.push([ORIGIN_HEADER, origin]);
  let id: string | undefined;
  if (block !== undefined) {
    for (const [name, value] of parseHeaderBlock(block)?.headers ?? []) {
      const lower = name.toLowerCase();
      // Nobody but the broker itself says these.
      if (lower.startsWith(RESERVED_PREFIX)) continue;
      const known = namesOfNats.get(lower);
      if (known === ID_HEADER) id = value.toString("utf8");
      headers.push([known ?? name, value]);
    }
    if (!blockOf(headers)?.equals(block)) headers.push([ORIGINAL_HEADER, block]);
  }
  return { encoded: encodeHeaders(headers), id };
}

/** The header block of a message with these headers; undefined when there is nothing to say in one. */
export function blockOf(headers: readonly Header[]): Buffer | undefined {
  const wire: WireHeader[] = [];
  for (const [name, value] of headers) {
    if (name === ORIGINAL_HEADER && value !== null) return bytesOf(value);
    const header = wireHeader(name, bytesOf(value ?? ""));
    if (header !== undefined) wire.push(header);
  }
  return wire.length === 0 ? undefined : formatHeaderBlock(wire);
}

/** The connection that does not want to see a stored message again. */
export function originOf(record: { header(name: string): Buffer | undefined }): string | undefined {
  return record.header(ORIGIN_HEADER)?.toString("latin1");
}

/** Undefined for what only the broker looks at. A request that failed says so as the services of NATS do. */
function wireHeader(name: string, value: Buffer): WireHeader | undefined {
  const known = namesOfRecords.get(name);
  if (known !== undefined) return [known, onOneLine(value)];
  if (name === ANSWER_HEADER && value.equals(FAILED)) return ["Nats-Service-Error-Code", Buffer.from("500")];
  if (name === ERROR_HEADER) return ["Nats-Service-Error", onOneLine(value)];
  if (name === "" || name.startsWith(RESERVED_PREFIX)) return undefined;
  return [nameOnTheWire(name), onOneLine(value)];
}

/** What cannot stand in a name is written as the percent-encoding of its bytes. */
function nameOnTheWire(name: string): string {
  NOT_IN_A_NAME.lastIndex = 0;
  if (!NOT_IN_A_NAME.test(name)) return name;
  return Buffer.from(name)
    .toString("latin1")
    .replace(NOT_IN_A_NAME, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

/** A line break would begin another header, which nobody sent. */
function onOneLine(value: Buffer): Buffer {
  if (!value.includes(10) && !value.includes(13)) return value;
  const line = Buffer.from(value);
  for (let at = 0; at < line.length; at += 1) if (line[at] === 10 || line[at] === 13) line[at] = 32;
  return line;
}

function bytesOf(value: string | Uint8Array): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
