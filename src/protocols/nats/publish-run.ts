// Messages that one client publishes to one subject, one after another, in one piece of what was read: they are handed over
// together, without an object for each.

import type { MessageRun } from "../../broker/live-message.js";
import { type Origin, Publication } from "./publication.js";
import type { PublishedSubject } from "./subject-table.js";
import { Bytes } from "./wire/bytes.js";

/** Messages of a run, at most. */
const COUNT_MAX = 2048;
/** Numbers that are kept of each message: see `publication.ts`. */
const PLACES = 5;
const REPLY_END = 1;
const HEAD_START = 2;
const BODY_START = 3;
const BODY_END = 4;

/** Hot: there is one for all connections, filled and handed over within one call. */
export class PublishRun implements MessageRun {
  count: number;
  others: number;
  /** What all its messages lie in. */
  source: Bytes;
  /** The subject of its first message, and the blank behind it, in {@link source}. */
  subjectStart: number;
  subjectEnd: number;
  /** Undefined while it is empty. */
  to: PublishedSubject | undefined;
  origin: Origin | undefined;
  timestampMs: number;
  /** Of what stands behind the subject in each message, all together. */
  tailBytes: number;
  /** The longest of them. */
  tailBytesMax: number;
  hasHeaders: boolean;
  hasReplies: boolean;
  /** In messages that several subscriptions get, by what is different in those: their number. */
  private readonly encoded: Map<string, Buffer>;
  private readonly places: Int32Array;

  constructor() {
    this.count = 0;
    this.others = 0;
    this.source = NOTHING;
    this.subjectStart = 0;
    this.subjectEnd = 0;
    this.to = undefined;
    this.origin = undefined;
    this.timestampMs = 0;
    this.tailBytes = 0;
    this.tailBytesMax = 0;
    this.hasHeaders = false;
    this.hasReplies = false;
    this.encoded = new Map();
    this.places = new Int32Array(COUNT_MAX * PLACES);
  }

  get subject(): string {
    return this.to!.subject!;
  }

  /** Hot: whether a message of the same subject can be added: it lies in the same bytes, and the run is not full. */
  takes(bytes: Buffer): boolean {
    return this.source.bytes === bytes && this.count > 0 && this.count < COUNT_MAX;
  }

  /** Only when it is empty. */
  begin(
    to: PublishedSubject,
    origin: Origin,
    source: Bytes,
    subjectStart: number,
    subjectEnd: number,
    timestampMs: number,
  ): void {
    this.to = to;
    this.origin = origin;
    this.source = source;
    this.subjectStart = subjectStart;
    this.subjectEnd = subjectEnd;
    this.timestampMs = timestampMs;
  }

  /** Hot. */
  add(tailStart: number, replyEnd: number, headStart: number, bodyStart: number, bodyEnd: number): void {
    const { places } = this;
    const at = this.count * PLACES;
    places[at] = tailStart;
    places[at + REPLY_END] = replyEnd;
    places[at + HEAD_START] = headStart;
    places[at + BODY_START] = bodyStart;
    places[at + BODY_END] = bodyEnd;
    this.count += 1;
    const tailBytes = bodyEnd + 2 - tailStart;
    this.tailBytes += tailBytes;
    if (tailBytes > this.tailBytesMax) this.tailBytesMax = tailBytes;
    if (bodyStart > headStart) this.hasHeaders = true;
    if (replyEnd > tailStart) this.hasReplies = true;
  }

  /** Lets go of everything. */
  clear(): void {
    this.count = 0;
    this.to = undefined;
    this.origin = undefined;
    this.source = NOTHING;
    this.tailBytes = 0;
    this.tailBytesMax = 0;
    this.hasHeaders = false;
    this.hasReplies = false;
    if (this.encoded.size > 0) this.encoded.clear();
  }

  /** One message, which may be kept. */
  at(index: number): Publication {
    const { places } = this;
    const at = index * PLACES;
    this.source.isKept = true;
    return new Publication(
      this.to!,
      this.origin!,
      this.timestampMs,
      this.source,
      places[at]! - (this.subjectEnd - this.subjectStart),
      places[at]!,
      places[at + REPLY_END]!,
      places[at + HEAD_START]!,
      places[at + BODY_START]!,
      places[at + BODY_END]!,
    );
  }

  tailStart(index: number): number {
    return this.places[index * PLACES]!;
  }

  tailEnd(index: number): number {
    return this.places[index * PLACES + BODY_END]! + 2;
  }

  isPlain(index: number): boolean {
    const at = index * PLACES;
    return this.places[at + BODY_START] === this.places[at + HEAD_START];
  }

  /** What a subscription gets whose number is `sid`: made by `encode`, once for all that have the same. */
  shared(sid: string, encode: () => Buffer): Buffer {
    const known = this.encoded.get(sid);
    if (known !== undefined) return known;
    const made = encode();
    this.encoded.set(sid, made);
    return made;
  }
}

const NOTHING = new Bytes(Buffer.alloc(0));
