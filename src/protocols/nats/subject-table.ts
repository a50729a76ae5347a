// The subjects that one client publishes to, found by their bytes: what has to be known of each is found out once.

import { constantHeaders } from "../../broker/message.js";
import type { EncodedHeaders } from "../../log/record-headers.js";
import { isLiteral, subjectText, toCanonicalSubject } from "./address.js";
import { areBytes, Bytes } from "./wire/bytes.js";

/** A power of two. What has the place of another takes it. */
const PLACES = 1024;

/** A subject that a client publishes to. */
export class PublishedSubject {
  readonly bytes: Buffer;
  /** `HMSG subject `; without its first byte, what a message without headers begins with. */
  readonly line: Bytes;
  /** As NATS writes it. */
  readonly text: string;
  /** Canonical; undefined when the broker has no such subject. */
  readonly subject: string | undefined;
  /** Whether a pedantic client may publish to it. */
  readonly isLiteral: boolean;
  /** Whether the client may publish to it, as was asked last. */
  isAllowed: boolean;
  /** The number of the chunk for which that was asked; -1 for none. */
  askedIn: number;
  #headers: EncodedHeaders | undefined;

  /** `bytes` are kept. */
  constructor(bytes: Buffer) {
    const text = subjectText(bytes);
    const subject = text === undefined ? undefined : toCanonicalSubject(text);
    this.bytes = bytes;
    this.line = new Bytes(Buffer.concat([Buffer.from("HMSG "), bytes, Buffer.from(" ")]));
    this.text = text ?? bytes.toString("latin1");
    this.subject = subject;
    this.isLiteral = text !== undefined && isLiteral(text);
    this.isAllowed = false;
    this.askedIn = -1;
    this.#headers = undefined;
  }

  /** Of a message that says nothing else. */
  get headers(): EncodedHeaders {
    this.#headers ??= constantHeaders(this.subject ?? "", undefined);
    return this.#headers;
  }
}

export class SubjectTable {
  private places: (PublishedSubject | undefined)[];
  private last: PublishedSubject | undefined;

  constructor() {
    this.places = [];
    this.last = undefined;
  }

  /** Hot: the subject in `chunk[start, end)`, whose hash by `hashByte` is `hash`. No text is made of one that is known. */
  find(chunk: Buffer, start: number, end: number, hash: number): PublishedSubject {
    const { last } = this;
    if (last !== undefined && areBytes(chunk, start, end, last.bytes)) return last;
    if (this.places.length === 0) this.places = new Array(PLACES).fill(undefined);
    const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
    let found = this.places[place];
    if (found === undefined || !areBytes(chunk, start, end, found.bytes)) {
      found = new PublishedSubject(Buffer.from(chunk.subarray(start, end)));
      this.places[place] = found;
    }
    this.last = found;
    return found;
  }

  /** What was found out is to be found out again. */
  clear(): void {
    this.places = [];
    this.last = undefined;
  }
}
