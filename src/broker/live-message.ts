// A message as those who look on see it: one that was committed to a topic, or one that was published live and is
// stored nowhere.

import type { StoredRecord } from "../log/record.js";
import { decodeHeaders, findHeader, type Header, headerEquals } from "../log/record-headers.js";
import type { Followed } from "./live-catch-up.js";
import { type OutgoingMessage, SUBJECT_HEADER } from "./message.js";

/** The key of a message that was kept as the last one of its subject. */
export const RETAINED_KEY_HEADER = "omnibus-retained-key";

/** What can be asked of a message, stored or not. */
export interface MessageView {
  /** Its place in its log; -1 when it is stored nowhere. */
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  valueText(): string;
  keyText(): string | null;
  header(name: string): Buffer | undefined;
  headerEquals(name: Uint8Array, value: Uint8Array): boolean | undefined;
  headers(): readonly Header[];
}

/** A message that a live receiver gets. */
export interface LiveMessage {
  readonly subject: string;
  /** The topic; undefined when it was published live. */
  readonly source: string | undefined;
  /** Of the topic; undefined when it was published live. */
  readonly partition: number | undefined;
  readonly record: MessageView;
}

/** Messages of one subject that follow each other. Valid until the call that it was given to returns: what is to be kept is {@link at}. */
export interface MessageRun {
  /** Canonical. */
  readonly subject: string;
  readonly count: number;
  /** How many take it beside the one that it is offered to. */
  others: number;
  at(index: number): OutgoingMessage & LiveMessage;
}

/** Who is offered live messages. */
export interface LiveReceiver {
  /** Of the receivers of one group that match a message, one is offered it. Undefined: it is offered all. */
  readonly group: string | undefined;
  /**
   * Called synchronously, in the order of publishing. Returns false when it did not take the message. It must not throw.
   * The message may be kept.
   */
  offer(message: LiveMessage): boolean;
  /** The same for messages that follow each other; not for a receiver in a group. Returns whether it took any. */
  offerRun?(run: MessageRun): boolean;
}

/** `topic` is the subject of messages that say none. */
export function subjectOf(record: MessageView, topic: string): string {
  return record.header(SUBJECT_HEADER)?.toString("utf8") ?? topic;
}

/** Hot: one object a message that somebody looks on at. */
export class CommittedMessage implements LiveMessage {
  readonly subject: string;
  readonly followed: Followed;
  readonly record: StoredRecord;

  constructor(subject: string, followed: Followed, record: StoredRecord) {
    this.subject = subject;
    this.followed = followed;
    this.record = record;
  }

  get source(): string {
    return this.followed.topic.name;
  }

  get partition(): number {
    return this.followed.partition;
  }
}

/** Hot: one object a message, whoever gets it. Texts and buffers are made when asked for. */
export class UnstoredMessage implements LiveMessage, MessageView {
  readonly source = undefined;
  readonly partition = undefined;
  readonly offset = -1;
  /** As it was published: who published it may know more of it. */
  readonly outgoing: OutgoingMessage;

  constructor(message: OutgoingMessage) {
    this.outgoing = message;
  }

  get record(): MessageView {
    return this;
  }

  get subject(): string {
    return this.outgoing.subject;
  }

  get timestampMs(): number {
    return this.outgoing.timestampMs;
  }

  get key(): Buffer | null {
    return bytesOf(this.outgoing.key);
  }

  get value(): Buffer | null {
    return bytesOf(this.outgoing.value);
  }

  valueText(): string {
    return textOf(this.outgoing.value) ?? "";
  }

  keyText(): string | null {
    return textOf(this.outgoing.key);
  }

  header(name: string): Buffer | undefined {
    const { headers } = this.outgoing;
    return findHeader(viewOf(headers), 0, headers.length, name);
  }

  headerEquals(name: Uint8Array, value: Uint8Array): boolean | undefined {
    const { headers } = this.outgoing;
    return headerEquals(viewOf(headers), 0, headers.length, name, value);
  }

  headers(): readonly Header[] {
    return decodeHeaders(this.outgoing.headers);
  }
}

function bytesOf(content: string | Uint8Array | null): Buffer | null {
  if (content === null) return null;
  return typeof content === "string" ? Buffer.from(content) : viewOf(content);
}

function textOf(content: string | Uint8Array | null): string | null {
  if (content === null || typeof content === "string") return content;
  return viewOf(content).toString("utf8");
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A message that was kept as the last one of its subject. Views live as long as it does. */
export class RetainedMessage implements LiveMessage, MessageView {
  readonly source = undefined;
  readonly partition = undefined;
  readonly offset = -1;
  readonly subject: string;
  readonly #stored: StoredRecord;

  constructor(subject: string, stored: StoredRecord) {
    this.subject = subject;
    this.#stored = stored;
  }

  get record(): MessageView {
    return this;
  }

  get timestampMs(): number {
    return this.#stored.timestampMs;
  }

  get key(): Buffer | null {
    return this.#stored.header(RETAINED_KEY_HEADER) ?? null;
  }

  get value(): Buffer | null {
    return this.#stored.value;
  }

  valueText(): string {
    return this.#stored.valueText();
  }

  keyText(): string | null {
    return this.key?.toString("utf8") ?? null;
  }

  header(name: string): Buffer | undefined {
    return this.#stored.header(name);
  }

  headerEquals(name: Uint8Array, value: Uint8Array): boolean | undefined {
    return this.#stored.headerEquals(name, value);
  }

  headers(): readonly Header[] {
    return this.#stored.headers();
  }
}
