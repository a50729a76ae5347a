// What a message says beside its body, on its way in: its properties as AMQP has them, kept as they came, and what of
// them the broker and other protocols understand.

import {
  CONTENT_TYPE_HEADER,
  CORRELATION_HEADER,
  ID_HEADER,
  PRIORITY_HEADER,
  REPLY_TO_HEADER,
  RESERVED_PREFIX,
  SUBJECT_HEADER,
} from "../../broker/message.js";
import type { Queue } from "../../broker/queue.js";
import type { EncodedHeaders } from "../../log/record-headers.js";
import {
  canonicalSubject,
  DIRECT_REPLY,
  queueOfSubject,
  queueSubject,
  replyToOf,
  subjectOf,
  subjectOfDirectReply,
} from "./address.js";
import { preconditionFailed } from "./errors.js";
import type { ExchangeView } from "./exchange-view.js";
import { fieldInteger, headerText } from "./field-text.js";
import { HeaderBlock } from "./header-block.js";
import type { IncomingPublish } from "./incoming-publish.js";
import { AMQP_HEADER_BYTES } from "./original.js";
import { type FieldTable, type FieldValue, NO_FIELDS, readTable } from "./wire/fields.js";
import { PropertyPlaces, readProperties, writeProperties } from "./wire/properties.js";
import { ProtocolError } from "./wire/protocol-error.js";
import { WireReader } from "./wire/reader.js";

const SUBJECT = Buffer.from(SUBJECT_HEADER);
const CONTENT_TYPE = Buffer.from(CONTENT_TYPE_HEADER);
const ID = Buffer.from(ID_HEADER);
const REPLY_TO = Buffer.from(REPLY_TO_HEADER);
const CORRELATION = Buffer.from(CORRELATION_HEADER);
const PRIORITY = Buffer.from(PRIORITY_HEADER);

/** A message whose time is 0 is for consumers that wait for it: so long they have until it is stored. */
export const AT_ONCE_MS = 50;

/** A name with one is no level of a subject: in other protocols it would end the line. */
const CONTROL_CHARACTER = /\p{Cc}/u;

const NOWHERE_ELSE: readonly string[] = [];

/** What a channel says about the messages that are published on it. */
export interface Publisher {
  readonly user: string;
  /** Where direct answers go. Errors: PRECONDITION_FAILED when nobody waits for them. */
  directReplySubject(correlationId: string | undefined): string;
  /** Whether answers to its messages may be put into that queue. */
  mayReplyTo(queue: string): boolean;
}

/** All that messages have in common which were sent to the same place with the same properties. */
export class Envelope {
  readonly exchange: string;
  readonly routingKey: string;
  readonly subject: string;
  /** Complete but for times, which are each message's own. */
  headers: EncodedHeaders;
  readonly id: string | undefined;
  readonly priority: number;
  /** Undefined for a message that does not expire. */
  readonly expiresAfterMs: number | undefined;
  /** What a delayed exchange holds it back for. */
  readonly delayMs: number;
  /** Routing keys by which it goes as well: of CC and BCC. */
  readonly alsoTo: readonly string[];
  /** Whether it answers to a subject, and not to a queue. */
  readonly isDirectReply: boolean;
  /** Of the default exchange: the queue that it is for, which an answer may name by its subject. */
  readonly queueName: string;
  /** Whether it holds for later messages: where direct answers go may change. */
  readonly isLasting: boolean;
  /** Where it was seen to go last. */
  queue: Queue | undefined;
  view: ExchangeView | undefined;
  private propertiesBytes: Uint8Array;

  constructor(
    { exchange, routingKey, propertiesBytes }: IncomingPublish,
    subject: string,
    headers: EncodedHeaders,
    facts: Facts,
  ) {
    this.exchange = exchange;
    this.routingKey = routingKey;
    this.propertiesBytes = propertiesBytes;
    this.subject = subject;
    this.headers = headers;
    this.id = facts.id;
    this.priority = facts.priority;
    this.expiresAfterMs = facts.expiresAfterMs;
    this.delayMs = facts.delayMs;
    this.alsoTo = facts.alsoTo;
    this.isDirectReply = facts.isDirectReply;
    this.queueName = facts.queueName;
    this.isLasting = facts.isLasting;
    this.queue = undefined;
    this.view = undefined;
  }

  /** From now on it holds no more memory than it needs. */
  detach(): void {
    this.headers = exactCopy(this.headers);
    this.propertiesBytes = exactCopy(this.propertiesBytes);
  }

  /** Hot: whether the message is one of those that this is about. */
  isOf({ exchange, routingKey, propertiesBytes }: IncomingPublish): boolean {
    if (routingKey !== this.routingKey || exchange !== this.exchange) return false;
    const known = this.propertiesBytes;
    if (known === propertiesBytes) return true;
    const { length } = propertiesBytes;
    if (known.length !== length) return false;
    for (let i = length - 1; i >= 0; i -= 1) if (known[i] !== propertiesBytes[i]) return false;
    return true;
  }
}

function exactCopy(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

interface Facts {
  readonly id: string | undefined;
  readonly priority: number;
  readonly expiresAfterMs: number | undefined;
  readonly delayMs: number;
  readonly alsoTo: readonly string[];
  readonly isDirectReply: boolean;
  readonly queueName: string;
  readonly isLasting: boolean;
}

/** Hot where properties differ from message to message. One serves all channels. */
export class EnvelopeWriter {
  private readonly block = new HeaderBlock();
  private readonly places = new PropertyPlaces();
  private readonly reader = new WireReader(Buffer.alloc(0));

  /** Errors: FRAME_ERROR for what are no properties, PRECONDITION_FAILED for values that they may not have. */
  write(publish: IncomingPublish, publisher: Publisher): Envelope {
    const { propertiesBytes: bytes, exchange, routingKey } = publish;
    const { places } = this;
    places.find(bytes);
    assertUser(places.userId.textIn(bytes), publisher.user);
    const expiresAfterMs = expiry(places.expiration.textIn(bytes));
    const table = this.table(bytes);
    const alsoTo = table.size === 0 ? NOWHERE_ELSE : carbonCopies(table);
    const id = places.messageId.textIn(bytes);
    const { priority } = places;
    const delayMs = table.size === 0 ? 0 : Math.max(0, fieldInteger(table, "x-delay") ?? 0);
    const replyTo = places.replyTo.textIn(bytes);
    const replySubject = replyTo === undefined ? undefined : this.replySubject(replyTo, bytes, publisher);
    const { subject, queueName, isDirectReply } =
      exchange === "" ? addressOf(routingKey) : exchangeAddress(routingKey, alsoTo);
    const { block } = this;
    block.begin();
    block.joined(
      AMQP_HEADER_BYTES,
      publish.addressBytes,
      visibleProperties(bytes, table, replyTo, replySubject),
    );
    if (exchange !== "" || isDirectReply) block.text(SUBJECT, subject);
    if (places.contentType.isThere)
      this.place(CONTENT_TYPE, bytes, places.contentType.start, places.contentType.end);
    if (places.messageId.isThere) this.place(ID, bytes, places.messageId.start, places.messageId.end);
    if (places.correlationId.isThere)
      this.place(CORRELATION, bytes, places.correlationId.start, places.correlationId.end);
    if (replySubject !== undefined) block.text(REPLY_TO, replySubject);
    if (priority > 0) block.text(PRIORITY, String(priority));
    if (table.size > 0) for (const [name, field] of table) this.applicationHeader(name, field);
    const isLasting = replyTo !== DIRECT_REPLY;
    const facts = { id, priority, expiresAfterMs, delayMs, alsoTo, isDirectReply, queueName, isLasting };
    return new Envelope(publish, subject, block.end(), facts);
  }

  private place(name: Uint8Array, bytes: Buffer, start: number, end: number): void {
    this.block.bytes(name, bytes, start, end);
  }

  private table(bytes: Buffer): FieldTable {
    const { headers } = this.places;
    if (headers.end <= headers.start) return NO_FIELDS;
    this.reader.bytes = bytes;
    this.reader.position = headers.start - 4;
    this.reader.end = headers.end;
    return readTable(this.reader);
  }

  private replySubject(replyTo: string, bytes: Buffer, publisher: Publisher): string | undefined {
    if (replyTo === DIRECT_REPLY)
      return publisher.directReplySubject(this.places.correlationId.textIn(bytes));
    const named = subjectOfDirectReply(replyTo);
    const subject = named === undefined ? undefined : canonicalSubject(named);
    const queue = subject === undefined ? replyTo : queueOfSubject(subject);
    if (queue === undefined) return subject;
    if (queue === "" || CONTROL_CHARACTER.test(queue)) return undefined;
    return publisher.mayReplyTo(queue) ? queueSubject(queue) : undefined;
  }

  /** Nobody makes the broker believe what is for it to say. */
  private applicationHeader(name: string, field: FieldValue): void {
    const lower = name.toLowerCase();
    if (name === "" || lower.startsWith(RESERVED_PREFIX) || lower === CONTENT_TYPE_HEADER) return;
    const value = headerText(field);
    if (typeof value === "string") this.block.text(Buffer.from(name), value);
    else if (value !== undefined) this.block.bytes(Buffer.from(name), value, 0, value.length);
  }
}

type Address = Pick<Envelope, "subject" | "queueName" | "isDirectReply">;

/** Of the default exchange: a queue, the subject of a queue, or another subject to answer to. Errors: INVALID_SUBJECT. */
function addressOf(routingKey: string): Address {
  const named = subjectOfDirectReply(routingKey);
  const answered = named === undefined ? undefined : canonicalSubject(named);
  const queueName = (answered === undefined ? undefined : queueOfSubject(answered)) ?? routingKey;
  const isDirectReply = answered !== undefined && queueName === routingKey;
  return { subject: isDirectReply ? answered : subjectOf(queueName), queueName, isDirectReply };
}

/**
 * Of another exchange. What is published to the subject of a queue is appended to it, and would be confirmed before that.
 * Errors: ACCESS_REFUSED.
 */
function exchangeAddress(routingKey: string, alsoTo: readonly string[]): Address {
  for (const key of [routingKey, ...alsoTo]) {
    const queue = queueOfSubject(subjectOf(key));
    if (queue === undefined) continue;
    throw new ProtocolError(
      "ACCESS_REFUSED",
      `routing key '${key}' names a queue: publish to the default exchange with '${queue}'`,
    );
  }
  return { subject: subjectOf(routingKey), queueName: routingKey, isDirectReply: false };
}

/** The properties as consumers see them: without BCC, and a direct reply-to that names who asks. */
function visibleProperties(
  bytes: Buffer,
  table: FieldTable,
  replyTo: string | undefined,
  replySubject: string | undefined,
): Buffer {
  const isDirect = replyTo === DIRECT_REPLY;
  const hasBlind = table.has("BCC");
  if (!isDirect && !hasBlind) return bytes;
  const properties = readProperties(bytes);
  const headers = hasBlind ? new Map([...table].filter(([name]) => name !== "BCC")) : properties.headers;
  return writeProperties({
    ...properties,
    headers,
    replyTo: isDirect ? replyToOf(replySubject!) : properties.replyTo,
  });
}

function assertUser(claimed: string | undefined, user: string): void {
  if (claimed !== undefined && claimed !== user)
    throw preconditionFailed(`user_id property set to '${claimed}' but authenticated user was '${user}'`);
}

function expiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const digits = /^[+-]?\d+/.exec(text)?.[0] ?? "";
  const problem = expiryProblem(text, digits);
  if (problem !== undefined) throw preconditionFailed(`invalid expiration '${text}': ${problem}`);
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER / 2) || AT_ONCE_MS;
}

/** `digits` is what of the text is a number. */
function expiryProblem(text: string, digits: string): string | undefined {
  if (digits === "") return "no_integer";
  if (digits.length < text.length) return `{leftover_string,"${text.slice(digits.length)}"}`;
  return Number(digits) < 0 ? `{value_negative,${Number(digits)}}` : undefined;
}

function carbonCopies(table: FieldTable): readonly string[] {
  const copies = table.get("CC");
  const blind = table.get("BCC");
  if (copies === undefined && blind === undefined) return NOWHERE_ELSE;
  return [...routingKeys("CC", copies), ...routingKeys("BCC", blind)];
}

function routingKeys(name: string, field: FieldValue | undefined): string[] {
  if (field === undefined) return [];
  if (field.type !== "array")
    throw preconditionFailed(`invalid message: {unacceptable_type_in_header,"${name}",${field.type}}`);
  return field.value.flatMap((one) => (one.type === "longstr" ? [one.value.toString("utf8")] : []));
}
