// What the broker needs to know about a message beside its body, and how that is kept in record headers.

import { BrokerError } from "../broker-error.js";
import type { StoredRecord } from "../log/record.js";
import { appendHeaders, type EncodedHeaders, encodeHeaders, type Header } from "../log/record-headers.js";

/** Headers that begin so belong to the broker; an application may not set them. */
export const RESERVED_PREFIX = "omnibus-";
export const SUBJECT_HEADER = "omnibus-subject";
export const ID_HEADER = "omnibus-id";
/** Milliseconds since 1970 in decimal: not handed out before then. */
export const READY_AT_HEADER = "omnibus-ready-at";
/** Milliseconds since 1970 in decimal: not handed out from then on. */
export const EXPIRES_AT_HEADER = "omnibus-expires-at";
/** A whole number in decimal, 0 when there is none: the level at which it waits in queues that have so many. */
export const PRIORITY_HEADER = "omnibus-priority";
/** How often the message was forwarded, in decimal. */
export const FORWARDS_HEADER = "omnibus-forwards";
export const CONTENT_TYPE_HEADER = "content-type";
/** The subject to which an answer to this message is published live. */
export const REPLY_TO_HEADER = "omnibus-reply-to";
/** Given back with every answer, as it is. */
export const CORRELATION_HEADER = "omnibus-correlation-id";

/** A message on its way in. The broker copies body and key before `append` returns. */
export interface OutgoingMessage {
  readonly subject: string;
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
  /** Complete: subject, id and application headers included. Made once per message type where they are constant. */
  readonly headers: EncodedHeaders;
  /** As its headers say it; 0 for never. */
  readonly expiresAtMs: number;
  readonly timestampMs: number;
  /** Its {@link ID_HEADER}, for what finds duplicates by it. */
  readonly id?: string | undefined;
  /** A whole number: its {@link PRIORITY_HEADER}. Queues with fewer levels take it for their highest one. @default 0 */
  readonly priority?: number | undefined;
}

/** The constant headers of one kind of message. The subject is left out where it is the queue's own name. */
export function constantHeaders(
  subject: string | undefined,
  contentType: string | undefined,
): EncodedHeaders {
  const headers: Header[] = [];
  if (subject !== undefined) headers.push([SUBJECT_HEADER, subject]);
  if (contentType !== undefined) headers.push([CONTENT_TYPE_HEADER, contentType]);
  return encodeHeaders(headers);
}

/** What one message adds to the constant headers. */
export interface MessageProperties {
  readonly id?: string | undefined;
  readonly contentType?: string | undefined;
  readonly readyAtMs?: number | undefined;
  readonly expiresAtMs?: number | undefined;
  readonly priority?: number | undefined;
  readonly replyTo?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Bytes of the names and values of an application's headers, at most: they are kept with every copy of the message. */
const HEADERS_BYTES_MAX = 64 * 1024;

/**
 * Errors: INVALID_OPTION for a reserved header name, an empty one, a value that is no string, a time that is none;
 * MESSAGE_TOO_LARGE for headers beyond {@link HEADERS_BYTES_MAX}.
 */
export function withProperties(base: EncodedHeaders, properties: MessageProperties): EncodedHeaders {
  const more: Header[] = [];
  if (properties.id !== undefined) more.push([ID_HEADER, properties.id]);
  const { contentType, readyAtMs, expiresAtMs, priority = 0 } = properties;
  if (contentType !== undefined) more.push([CONTENT_TYPE_HEADER, contentType]);
  if (readyAtMs !== undefined) more.push([READY_AT_HEADER, timeText("delay", readyAtMs)]);
  if (expiresAtMs !== undefined) more.push([EXPIRES_AT_HEADER, timeText("expiry", expiresAtMs)]);
  if (priority > 0) more.push([PRIORITY_HEADER, String(priority)]);
  const { replyTo, correlationId } = properties;
  if (replyTo !== undefined) more.push([REPLY_TO_HEADER, replyTo]);
  if (correlationId !== undefined) more.push([CORRELATION_HEADER, correlationId]);
  let bytes = 0;
  for (const [name, value] of Object.entries(properties.headers ?? {})) {
    assertHeader(name, value);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    more.push([name, value]);
  }
  if (bytes > HEADERS_BYTES_MAX) throw headersTooLarge(bytes);
  return more.length === 0 ? base : appendHeaders(base, more);
}

function headersTooLarge(sizeBytes: number): BrokerError {
  return new BrokerError(
    "MESSAGE_TOO_LARGE",
    `The headers of the message have ${sizeBytes} bytes; they may have ${HEADERS_BYTES_MAX}. Put large content into the body.`,
    { sizeBytes, bytesMax: HEADERS_BYTES_MAX },
  );
}

function timeText(option: string, timeMs: number): string {
  if (Number.isSafeInteger(timeMs)) return String(timeMs);
  throw new BrokerError(
    "INVALID_OPTION",
    `The ${option} of a message ends at ${timeMs}, which is no time in milliseconds since 1970.`,
    { option, value: String(timeMs) },
  );
}

function assertHeader(name: string, value: unknown): void {
  if (name.toLowerCase() === CONTENT_TYPE_HEADER) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The header '${name}' is not set by hand: the codec of a message type says it, and of a body without a type the option contentType does.`,
      { header: name },
    );
  }
  if (name === "" || name.toLowerCase().startsWith(RESERVED_PREFIX)) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The header name '${name}' is ${name === "" ? "empty" : "reserved"}; choose one that does not begin with '${RESERVED_PREFIX}'.`,
      { header: name },
    );
  }
  if (typeof value !== "string") {
    throw new BrokerError(
      "INVALID_OPTION",
      `The header '${name}' is ${value === null ? "null" : `a ${typeof value}`}; header values are strings.`,
      { header: name },
    );
  }
}

/** See {@link PRIORITY_HEADER}. */
export function priorityOf(record: { header(name: string): Buffer | undefined }): number {
  const value = record.header(PRIORITY_HEADER);
  return value === undefined ? 0 : Number(value.toString("latin1"));
}

/** Hot: asked of every record that is handed out. 0 when there is no such header. */
export function timeHeader(record: StoredRecord, name: string): number {
  const value = record.header(name);
  return value === undefined ? 0 : Number(value.toString("latin1"));
}
