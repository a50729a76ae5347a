// A message on its way out: exchange, routing key and properties, as they came in, or made from what other protocols say.

import { DEAD_LETTER_HEADER, deadLetterHistory } from "../../broker/dead-letter.js";
import type { MessageView } from "../../broker/live-message.js";
import {
  CONTENT_TYPE_HEADER,
  CORRELATION_HEADER,
  ID_HEADER,
  PRIORITY_HEADER,
  REPLY_TO_HEADER,
  RESERVED_PREFIX,
  SUBJECT_HEADER,
} from "../../broker/message.js";
import type { StoredRecord } from "../../log/record.js";
import { DIRECT_REPLY, replyToOf, routingKeyOf } from "./address.js";
import { afterDeath } from "./death.js";
import { addressSize, type OutgoingContent } from "./wire/basic.js";
import { type FieldTable, type FieldValue, textField } from "./wire/fields.js";
import { type BasicProperties, readProperties, writeProperties } from "./wire/properties.js";

/**
 * The first header of every record that came by AMQP: exchange and routing key as short strings, then property flags
 * and list, byte for byte.
 */
const AMQP_HEADER = `${RESERVED_PREFIX}amqp`;
export const AMQP_HEADER_BYTES: Uint8Array = Buffer.from(AMQP_HEADER);
/** How one header is counted at the beginning of encoded headers. */
const ONE_HEADER = 2;

/**
 * Hot: finds exchange, routing key, flags and properties of a message as its publisher sent them, in the encoded headers
 * that begin at `start`. False when it did not come by AMQP.
 */
export function placeOriginal(content: OutgoingContent, headers: Uint8Array, start: number): boolean {
  const nameSize = AMQP_HEADER_BYTES.length;
  const nameAt = start + ((headers[start]! & 0x80) === 0 ? 2 : 3);
  if (headers[nameAt - 1] !== nameSize * 2) return false;
  for (let i = 0; i < nameSize; i += 1) if (headers[nameAt + i] !== AMQP_HEADER_BYTES[i]) return false;
  let at = nameAt + nameSize;
  let zigzag = 0;
  let shift = 0;
  for (; (headers[at]! & 0x80) !== 0; at += 1) {
    zigzag |= (headers[at]! & 0x7f) << shift;
    shift += 7;
  }
  zigzag |= headers[at]! << shift;
  content.setOriginal(headers, at + 1, at + 1 + (zigzag >>> 1));
  return true;
}

/** Where a stored message was found. */
export interface Found {
  /** The AMQP name of the queue. */
  readonly queue: string;
  /** Tries that failed, where the queue counts them; else 0. */
  readonly failedTries: number;
}

/** Hot: a stored message for who consumes it: its body, exchange, routing key and properties. */
export function place(content: OutgoingContent, record: StoredRecord, found: Found): void {
  const { bytes, headersStart, valueStart } = record;
  content.setBody(bytes, valueStart, valueStart + record.valueSizeBytes);
  const hasOriginal = placeOriginal(content, bytes, headersStart);
  if (hasOriginal && found.failedTries === 0) {
    if (bytes[headersStart] === ONE_HEADER || record.header(DEAD_LETTER_HEADER) === undefined) return;
  }
  const original = hasOriginal ? bytes.subarray(content.originalStart, content.originalEnd) : undefined;
  content.setOriginal(rewritten(record, original, found));
}

function rewritten(record: StoredRecord, original: Uint8Array | undefined, found: Found): Uint8Array {
  let content = original === undefined ? neutral(record, found.queue, 2) : parsed(original);
  const history = deadLetterHistory(record);
  if (history.length > 0) content = afterDeath(content, history);
  if (found.failedTries === 0) return encoded(content);
  const headers = new Map(content.properties.headers);
  headers.set("x-delivery-count", { type: "long", value: found.failedTries });
  return encoded({ ...content, properties: { ...content.properties, headers } });
}

/**
 * An answer as who asked for it sees it: sent to the default exchange. The correlation id is put in when the answer does
 * not say it.
 */
export function outgoingAnswer(
  message: MessageView,
  subject: string,
  correlationId: string | undefined,
): Uint8Array {
  const original = message.header(AMQP_HEADER);
  const content =
    original === undefined
      ? { ...neutral(message, "", undefined), exchange: "", routingKey: replyToOf(subject) ?? DIRECT_REPLY }
      : parsed(original);
  const properties = {
    ...content.properties,
    correlationId: content.properties.correlationId ?? short(correlationId),
  };
  return encoded({ ...content, properties });
}

interface Content {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: BasicProperties;
}

function parsed(original: Uint8Array): Content {
  const bytes = Buffer.from(original.buffer, original.byteOffset, original.length);
  const size = addressSize(original);
  const exchangeEnd = 1 + bytes[0]!;
  return {
    exchange: bytes.toString("utf8", 1, exchangeEnd),
    routingKey: bytes.toString("utf8", exchangeEnd + 1, size),
    properties: readProperties(bytes.subarray(size)),
  };
}

function encoded({ exchange, routingKey, properties }: Content): Buffer {
  return Buffer.concat([shortText(exchange), shortText(routingKey), writeProperties(properties)]);
}

function shortText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** What was sent to a queue itself says no subject: on AMQP that is the default exchange. */
function neutral(message: MessageView, queue: string, deliveryMode: number | undefined): Content {
  const text = (name: string): string | undefined => message.header(name)?.toString("utf8");
  const subject = text(SUBJECT_HEADER);
  const replyTo = text(REPLY_TO_HEADER);
  const priority = text(PRIORITY_HEADER);
  const headers = applicationHeaders(message);
  return {
    exchange: subject === undefined ? "" : "amq.topic",
    routingKey: subject === undefined ? queue : routingKeyOf(subject),
    properties: {
      contentType: short(text(CONTENT_TYPE_HEADER)),
      headers: headers.size === 0 ? undefined : headers,
      deliveryMode,
      priority: priority === undefined ? undefined : Math.min(255, Number(priority)),
      correlationId: short(text(CORRELATION_HEADER)),
      replyTo: replyTo === undefined ? undefined : short(replyToOf(replyTo)),
      messageId: short(text(ID_HEADER)),
    },
  };
}

/** Headers of the application; of the broker's own only what says how an answer went. */
function applicationHeaders(message: MessageView): FieldTable {
  const table = new Map<string, FieldValue>();
  for (const [name, value] of message.headers()) {
    const isOurs = name.startsWith(RESERVED_PREFIX) && !ANSWER_HEADERS.includes(name);
    if (isOurs || name === CONTENT_TYPE_HEADER || value === null || Buffer.byteLength(name) > 255) continue;
    table.set(
      name,
      typeof value === "string" ? textField(value) : { type: "longstr", value: Buffer.from(value) },
    );
  }
  return table;
}

const ANSWER_HEADERS = ["omnibus-answer", "omnibus-error"];

/** A text that is too long for a short string is left out: a part of an id would be another id. */
function short(text: string | undefined): string | undefined {
  return text === undefined || Buffer.byteLength(text) > 255 ? undefined : text;
}
