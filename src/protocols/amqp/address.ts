// Names and routing keys of AMQP, and the names and subjects of the broker that they stand for.
//
//   AMQP name            any UTF-8, 255 bytes    <->  broker name: percent-encoded where a byte is not allowed
//   routing key          words joined by dots    <->  subject: the words are its levels
//   binding key          words, `*` and `#`      ->   pattern: `*` and `#` mean the same, `>` is an ordinary word
//   reply_to             a queue                 <->  the subject `_queue.<queue>`
//   reply_to             amq.rabbitmq.reply-to.S <->  the subject S, percent-encoded

import { BUS_EXCHANGE } from "../../broker/binding.js";
import { formatSubject, parseSubject } from "../../broker/subject.js";

/** What a short string holds, at most. */
const SHORT_BYTES_MAX = 255;

/** Characters that stay as they are in a token. */
const PLAIN_TOKEN = /^[A-Za-z0-9_-]*$/;
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._:-]*$/;
/** Characters that read otherwise in the text of a subject than in a routing key. */
const SPECIAL_IN_SUBJECT = /[\\*#>]/;
const SPECIAL_IN_PATTERN = /[\\>]/;

/** The broker's name for an AMQP queue or exchange. Hot where there is nothing to encode. */
export function brokerName(name: string): string {
  return PLAIN_NAME.test(name) ? name : percentEncoded(name, isNameByte);
}

/** The inverse of {@link brokerName}. */
export function amqpName(name: string): string {
  return percentDecoded(name);
}

/** The bus itself, as AMQP has it. */
export const AMQ_TOPIC = "amq.topic";

/** The AMQP name of an exchange of the broker. */
export function exchangeName(name: string): string {
  return name === BUS_EXCHANGE ? AMQ_TOPIC : amqpName(name);
}

/** Hot where no word is a wildcard and there is no backslash: then they are the same text. */
export function subjectOf(routingKey: string): string {
  return SPECIAL_IN_SUBJECT.test(routingKey) ? formatSubject(routingKey.split(".")) : routingKey;
}

/**
 * The inverse of {@link subjectOf}. A level that holds a dot, which no routing key can say, reads as two words; what is
 * longer than a short string is cut.
 */
export function routingKeyOf(subject: string): string {
  const text = subject.includes("\\") ? parseSubject(subject).join(".") : subject;
  return shortened(text);
}

/** What a topic exchange matches for this binding key. */
export function patternOf(bindingKey: string): string {
  if (!SPECIAL_IN_PATTERN.test(bindingKey)) return bindingKey;
  return bindingKey
    .split(".")
    .map((word) => (word === "*" || word === "#" ? word : formatSubject([word])))
    .join(".");
}

/** Below this are the subjects of queues: what is published there is appended to the queue that the second level names. */
const QUEUE_PREFIX = "_queue.";
export const QUEUES_PATTERN = "_queue.*";

/** The subject that stands for answers to a queue. */
export function queueSubject(queue: string): string {
  return QUEUE_PREFIX + formatSubject([queue]);
}

/** The AMQP name of the queue, when `subject` is such a subject. */
export function queueOfSubject(subject: string): string | undefined {
  if (!subject.startsWith(QUEUE_PREFIX)) return undefined;
  const levels = parseSubject(subject);
  return levels.length === 2 ? levels[1] : undefined;
}

/** The pseudo-queue for direct answers. */
export const DIRECT_REPLY = "amq.rabbitmq.reply-to";
const DIRECT_REPLY_PREFIX = `${DIRECT_REPLY}.`;

/** The `reply_to` that an AMQP consumer sees for a subject; undefined when that is too long for a short string. */
export function replyToOf(subject: string): string | undefined {
  const queue = queueOfSubject(subject);
  if (queue !== undefined) return queue;
  const text = DIRECT_REPLY_PREFIX + percentEncoded(subject, isUnreserved);
  return text.length > SHORT_BYTES_MAX ? undefined : text;
}

/** The subject that a routing key of the default exchange names, when it is one of {@link replyToOf} and no queue. It is what a client says: see {@link canonicalSubject}. */
export function subjectOfDirectReply(routingKey: string): string | undefined {
  if (!routingKey.startsWith(DIRECT_REPLY_PREFIX)) return undefined;
  return percentDecoded(routingKey.slice(DIRECT_REPLY_PREFIX.length));
}

/**
 * The one text of a subject that a client wrote: backslashes that say nothing are gone, so that nobody is led past a look at
 * its beginning. Errors: INVALID_SUBJECT for what is none; line breaks would be read as something else by others.
 */
export function canonicalSubject(text: string): string {
  const levels = parseSubject(text);
  return text.includes("\\") ? formatSubject(levels) : text;
}

/** A level that any protocol can write, for any text, and its inverse. */
export function tokenOf(text: string): string {
  return PLAIN_TOKEN.test(text) ? text : percentEncoded(text, isUnreserved);
}

export function textOfToken(token: string): string {
  return percentDecoded(token);
}

function isNameByte(byte: number, index: number): boolean {
  return (
    isAlphanumeric(byte) || byte === 0x5f || (index > 0 && (byte === 0x2d || byte === 0x2e || byte === 0x3a))
  );
}

function isUnreserved(byte: number): boolean {
  return isAlphanumeric(byte) || byte === 0x2d || byte === 0x5f;
}

function isAlphanumeric(byte: number): boolean {
  const lower = byte | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39);
}

function percentEncoded(text: string, isPlain: (byte: number, index: number) => boolean): string {
  let encoded = "";
  for (const [index, byte] of Buffer.from(text).entries())
    encoded += isPlain(byte, index)
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return encoded;
}

/** What is no escape stays as it is. */
function percentDecoded(text: string): string {
  if (!text.includes("%")) return text;
  const bytes = Buffer.from(text);
  let size = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const escaped = bytes[at] === 0x25 ? bytes.toString("latin1", at + 1, at + 3) : "";
    const isEscape = /^[0-9A-F]{2}$/.test(escaped);
    bytes[size] = isEscape ? Number.parseInt(escaped, 16) : bytes[at]!;
    size += 1;
    if (isEscape) at += 2;
  }
  return bytes.toString("utf8", 0, size);
}

function shortened(text: string): string {
  if (text.length * 3 <= SHORT_BYTES_MAX) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= SHORT_BYTES_MAX) return text;
  let end = SHORT_BYTES_MAX;
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.toString("utf8", 0, end);
}
