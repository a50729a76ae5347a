// A message as a client published it: where its parts are in what was read from the socket. Nothing is copied or decoded
// until somebody asks.

import { type LiveMessage, type MessageView, UnstoredMessage } from "../../broker/live-message.js";
import type { OutgoingMessage } from "../../broker/message.js";
import type { EncodedHeaders } from "../../log/record-headers.js";
import { subjectText, toCanonicalSubject } from "./address.js";
import { recordHead } from "./headers.js";
import type { PublishedSubject } from "./subject-table.js";
import type { Bytes } from "./wire/bytes.js";

/** The connection that a message came from. */
export interface Origin {
  /** What it is known by in stored messages; undefined when it wants to see its own messages too. */
  readonly echoToken: string | undefined;
}

/**
 * Hot: one object a message. In the bytes of `read`:
 *
 *   PUB subject [reply-to ]4\r\nbody\r\n
 *       |       |              |   |
 *       |       tailStart      bodyStart, bodyEnd
 *       subjectStart
 *
 * `[tailStart, bodyEnd + 2)` stands in what subscribers get as it was sent. A header block is between `headStart` and
 * `bodyStart`, which are the same without one. The bytes are never written to again, so it may be kept.
 */
export class Publication implements OutgoingMessage, LiveMessage {
  readonly to: PublishedSubject;
  readonly origin: Origin;
  readonly timestampMs: number;
  readonly read: Bytes;
  readonly subjectStart: number;
  readonly tailStart: number;
  /** The reply-to is `[tailStart, replyEnd)`; {@link tailStart} when there is none. */
  readonly replyEnd: number;
  readonly headStart: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  private encoded: EncodedHeaders | undefined;
  private givenId: string | undefined;
  private view: UnstoredMessage | undefined;

  constructor(
    to: PublishedSubject,
    origin: Origin,
    timestampMs: number,
    read: Bytes,
    subjectStart: number,
    tailStart: number,
    replyEnd: number,
    headStart: number,
    bodyStart: number,
    bodyEnd: number,
  ) {
    this.to = to;
    this.origin = origin;
    this.timestampMs = timestampMs;
    this.read = read;
    this.subjectStart = subjectStart;
    this.tailStart = tailStart;
    this.replyEnd = replyEnd;
    this.headStart = headStart;
    this.bodyStart = bodyStart;
    this.bodyEnd = bodyEnd;
    this.encoded = undefined;
    this.givenId = undefined;
    this.view = undefined;
  }

  get subject(): string {
    return this.to.subject!;
  }

  /** It is stored nowhere, as far as those who look on see it. */
  get source(): undefined {
    return undefined;
  }

  get partition(): undefined {
    return undefined;
  }

  get record(): MessageView {
    this.view ??= new UnstoredMessage(this);
    return this.view;
  }

  get key(): null {
    return null;
  }

  get expiresAtMs(): number {
    return 0;
  }

  get value(): Buffer {
    return this.read.bytes.subarray(this.bodyStart, this.bodyEnd);
  }

  get headers(): EncodedHeaders {
    if (this.isPlain) return this.to.headers;
    this.encoded ??= this.encode();
    return this.encoded;
  }

  get id(): string | undefined {
    if (this.headStart === this.bodyStart) return undefined;
    this.encoded ??= this.encode();
    return this.givenId;
  }

  get sizeBytes(): number {
    return this.bodyEnd - this.headStart;
  }

  get hasHeaders(): boolean {
    return this.bodyStart > this.headStart;
  }

  get hasReply(): boolean {
    return this.replyEnd > this.tailStart;
  }

  get replyBytes(): Buffer {
    return this.read.bytes.subarray(this.tailStart, this.replyEnd);
  }

  private get isPlain(): boolean {
    return !this.hasReply && !this.hasHeaders && this.origin.echoToken === undefined;
  }

  private encode(): EncodedHeaders {
    const reply = this.hasReply ? subjectText(this.replyBytes) : undefined;
    const { encoded, id } = recordHead({
      subject: this.subject,
      replyTo: reply === undefined ? undefined : toCanonicalSubject(reply),
      block: this.hasHeaders ? this.read.bytes.subarray(this.headStart, this.bodyStart) : undefined,
      origin: this.origin.echoToken,
    });
    this.givenId = id;
    return encoded;
  }
}
