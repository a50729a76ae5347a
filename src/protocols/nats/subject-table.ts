// The subjects that one client publishes to, found by their bytes: what has to be known of each is found out once.

import { constantHeaders } from "../../broker/message.js";
import type { EncodedHeaders } from "../../log/record-headers.js";
import { isLiteral, subjectText, toCanonicalSubject } from "./address.js";
import { areBytes, isPlainText } from "./wire/bytes.js";

/** A power of two. What has the place of another takes it. */
const PLACES = 1024;

/** A subject that a client publishes to. */
export class PublishedSubject {
  /** As NATS writes it. */
  readonly text: string;
  /** Canonical; undefined when the broker has no such subject. */
  readonly subject: string | undefined;
  /** Whether the client may publish to it, as was asked last. */
  isAllowed: boolean;
  /** The number of the chunk for which that was asked; -1 for none. */
  askedIn: number;
  /** Its bytes; undefined when it is not remembered. */
  readonly bytes: Uint8Array | undefined;
  private constant: EncodedHeaders | undefined;

  constructor(chunk: Buffer, start: number, end: number, isRemembered: boolean) {
    if (isPlainText(chunk, start, end)) {
      this.text = chunk.toString("latin1", start, end);
      this.subject = this.text;
    } else {
      const bytes = chunk.subarray(start, end);
      const text = subjectText(bytes);
      this.text = text ?? bytes.toString("latin1");
      this.subject = text === undefined ? undefined : toCanonicalSubject(text);
    }
    this.isAllowed = false;
    this.askedIn = -1;
    this.bytes = isRemembered ? new Uint8Array(chunk.subarray(start, end)) : undefined;
    this.constant = undefined;
  }

  /** Whether a pedantic client may publish to it. */
  get isLiteral(): boolean {
    return isLiteral(this.text);
  }

  /** Of a message that says nothing else. */
  get headers(): EncodedHeaders {
    this.constant ??= constantHeaders(this.subject ?? "", undefined);
    return this.constant;
  }
}

/** Subjects that come once, as those of answers do, are not remembered: only those that come again. */
export class SubjectTable {
  private places: (PublishedSubject | undefined)[];
  /** Of what had each place last. */
  private hashes: Int32Array;

  constructor() {
    this.places = [];
    this.hashes = NO_HASHES;
  }

  /** Hot: the subject in `chunk[start, end)`, whose hash by `hashByte` is `hash`. No text is made of one that is known. */
  find(chunk: Buffer, start: number, end: number, hash: number): PublishedSubject {
    const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
    const known = this.places[place];
    if (known?.bytes !== undefined && areBytes(chunk, start, end, known.bytes)) return known;
    if (this.hashes.length === 0) this.hashes = new Int32Array(PLACES);
    const isBack = this.hashes[place] === hash;
    this.hashes[place] = hash;
    const found = new PublishedSubject(chunk, start, end, isBack);
    if (isBack) this.remember(place, found);
    return found;
  }

  /** What was found out is to be found out again. */
  clear(): void {
    this.places = [];
    this.hashes = NO_HASHES;
  }

  private remember(place: number, subject: PublishedSubject): void {
    if (this.places.length === 0) this.places = new Array(PLACES).fill(undefined);
    this.places[place] = subject;
  }
}

const NO_HASHES = new Int32Array(0);
