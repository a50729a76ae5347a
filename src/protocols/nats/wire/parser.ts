// What a client sends, in pieces of any size: control lines, and bodies of announced length.

import { CONTROL_LINE_EXCEEDED, PARSER_ERROR, PAYLOAD_EXCEEDED, UNKNOWN_OPERATION } from "../errors.js";
import { hashByte } from "./bytes.js";
import { PartialFrame } from "./frame.js";

/** The longest control line, in bytes. */
export const CONTROL_LINE_BYTES_MAX = 4096;
/** A subject up to this length is known again when it comes once more. */
const LAST_SUBJECT_BYTES_MAX = 64;
/** Digits of a size. */
const SIZE_DIGITS_MAX = 9;
const INCOMPLETE = -1;

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const PUB = Buffer.from("PUB ");
const HPUB = Buffer.from("HPUB ");

/** What clients say. Verbs of routes and leaf nodes are no verbs here. */
const VERBS = ["pub", "hpub", "sub", "unsub", "ping", "pong", "connect", "info", "+ok", "-err"];
const VERB_LENGTH_MAX = 7;
/** These may be followed by anything up to the end of the line. */
const LOOSE_VERB = /^(?:ping|pong|\+ok|-err|info)/;

/** Who does what a client says. Buffers are views of what was read, which is never written to again. */
export interface ClientOperations {
  connect(json: string): void;
  /**
   * Hot: numbers are places in `bytes`, drawn in `publication.ts`; `hash` is the subject's, made by {@link hashByte}.
   * `isSameSubject`: the message before had it too.
   */
  publish(
    bytes: Buffer,
    subjectStart: number,
    hash: number,
    isSameSubject: boolean,
    tailStart: number,
    replyEnd: number,
    headStart: number,
    bodyStart: number,
    bodyEnd: number,
  ): void;
  subscribe(subject: Buffer, queue: Buffer | undefined, sid: Buffer): void;
  /** `max` is how many messages it takes in all; 0 for none from now on. */
  unsubscribe(sid: Buffer, max: number): void;
  ping(): void;
  /** The client told of an error, and wants to go. */
  leave(): void;
  /** Nothing of what follows can be read. The parser has stopped. */
  refuse(text: string): void;
  /** Something other than CONNECT came while only that may. The parser has stopped. */
  refuseLocked(): void;
}

export class ClientParser {
  /** Only CONNECT may come. */
  isLocked: boolean;
  private readonly operations: ClientOperations;
  private readonly bodyBytesMax: number;
  /** What was read and not looked at, while {@link isSuspended}. */
  private rest: Buffer | undefined;
  private isSuspended: boolean;
  private isStopped: boolean;
  private partial: PartialFrame | undefined;
  /** All bytes of the frame that is incomplete; 0 when its control line is. */
  private frameBytes: number;
  /** Of the control line that was scanned last: its subject's hash, what stands behind that, and the blanks in it or -1. */
  private hash: number;
  private tailStart: number;
  private first: number;
  private second: number;
  /** The subject of the message that came last, and whether that of the next is the same. */
  private readonly last: Uint8Array;
  private lastLength: number;
  private isSame: boolean;

  constructor(operations: ClientOperations, bodyBytesMax: number) {
    this.isLocked = false;
    this.operations = operations;
    this.bodyBytesMax = bodyBytesMax;
    this.rest = undefined;
    this.isSuspended = false;
    this.isStopped = false;
    this.partial = undefined;
    this.frameBytes = 0;
    this.hash = 0;
    this.tailStart = 0;
    this.first = -1;
    this.second = -1;
    this.last = new Uint8Array(LAST_SUBJECT_BYTES_MAX);
    this.lastLength = 0;
    this.isSame = false;
  }

  /** Whether it has a view of what was read. */
  get hasRest(): boolean {
    return this.rest !== undefined;
  }

  /** Looks at nothing more until {@link resume}. */
  suspend(): void {
    this.isSuspended = true;
  }

  resume(): void {
    this.isSuspended = false;
    const { rest } = this;
    this.rest = undefined;
    if (rest !== undefined) this.parse(rest);
  }

  /** Looks at nothing more. */
  stop(): void {
    this.isStopped = true;
    this.rest = undefined;
    this.partial = undefined;
  }

  /** Hot: does what is complete, and keeps what is not. `chunk` may not be written to any more. */
  parse(chunk: Buffer): void {
    if (this.isStopped) return;
    if (this.isSuspended) {
      this.rest = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk]);
      return;
    }
    let at = this.partial === undefined ? 0 : this.complete(this.partial, chunk);
    const end = chunk.length;
    while (at < end) {
      if (this.isStopped) return;
      if (this.isSuspended) {
        this.rest = chunk.subarray(at);
        return;
      }
      const next = this.frame(chunk, at, end);
      if (next === INCOMPLETE) {
        if (!this.isStopped) this.partial = new PartialFrame(chunk, at, this.frameBytes);
        return;
      }
      at = next;
    }
  }

  /** Adds to the frame what it lacks, and does it when it is complete. Returns how much of `chunk` that took. */
  private complete(partial: PartialFrame, chunk: Buffer): number {
    let at = 0;
    for (;;) {
      const end = this.lackingEnd(partial, chunk, at);
      partial.append(chunk, at, end);
      at = end;
      if (partial.length < partial.sizeBytes) return at;
      const next = this.frame(partial.bytes, 0, partial.length);
      if (next !== INCOMPLETE) {
        this.partial = undefined;
        return at;
      }
      if (this.isStopped || this.frameBytes === 0) return at;
      partial.sizeBytes = this.frameBytes;
    }
  }

  /** Where in `chunk` ends what the frame lacks, as far as is known: its control line, or all of it. */
  private lackingEnd(partial: PartialFrame, chunk: Buffer, at: number): number {
    if (partial.sizeBytes > 0) return Math.min(chunk.length, at + partial.sizeBytes - partial.length);
    const lf = chunk.indexOf(LF, at);
    return lf < 0 ? Math.min(chunk.length, at + CONTROL_LINE_BYTES_MAX + VERB_LENGTH_MAX + 2) : lf + 1;
  }

  /** Hot: does the frame that begins at `at`; returns where it ends, or {@link INCOMPLETE}. */
  private frame(chunk: Buffer, at: number, end: number): number {
    if (this.isLocked || end - at < HPUB.length) return this.line(chunk, at, end);
    if (chunk[at] === PUB[0] && startsWith(chunk, at, PUB))
      return this.publish(chunk, at, at + PUB.length, end);
    if (chunk[at] === HPUB[0] && startsWith(chunk, at, HPUB))
      return this.publishWithHead(chunk, at, at + HPUB.length, end);
    return this.line(chunk, at, end);
  }

  /** Hot: `PUB subject [reply-to ]size`, one blank between each, as clients write it; {@link publishAnyway} takes the rest. */
  private publish(chunk: Buffer, at: number, subjectStart: number, end: number): number {
    const lineEnd = this.scan(chunk, subjectStart, end);
    if (lineEnd < 0 || this.second >= 0) return this.publishAnyway(chunk, at, subjectStart, end, false);
    const { first, tailStart } = this;
    const replyEnd = first < 0 ? tailStart : first;
    const size = sizeOf(chunk, first < 0 ? tailStart : first + 1, lineEnd);
    if (size < 0) return this.publishAnyway(chunk, at, subjectStart, end, false);
    return this.body(chunk, at, subjectStart, end, replyEnd, lineEnd + 2, 0, size);
  }

  /** Hot: `HPUB subject [reply-to ]headSize size`. */
  private publishWithHead(chunk: Buffer, at: number, subjectStart: number, end: number): number {
    const lineEnd = this.scan(chunk, subjectStart, end);
    if (lineEnd < 0 || this.first < 0) return this.publishAnyway(chunk, at, subjectStart, end, true);
    const { first, second, tailStart } = this;
    const hasReply = second >= 0;
    const headEnd = hasReply ? second : first;
    const headSize = sizeOf(chunk, hasReply ? first + 1 : tailStart, headEnd);
    const size = sizeOf(chunk, headEnd + 1, lineEnd);
    // An announced header block of no bytes is none: the line is written without it.
    if (headSize <= 0 || size < headSize) return this.publishAnyway(chunk, at, subjectStart, end, true);
    return this.body(chunk, at, subjectStart, end, hasReply ? first : tailStart, lineEnd + 2, headSize, size);
  }

  /**
   * Hot: finds the blanks of a control line, and the hash of its subject. Returns where its CR is; -1 when it has not ended,
   * or is not written as it usually is.
   */
  private scan(chunk: Buffer, subjectStart: number, end: number): number {
    let at = this.scanSubject(chunk, subjectStart, end);
    if (chunk[at] !== SPACE) return -1;
    at += 1;
    this.tailStart = at;
    this.first = -1;
    this.second = -1;
    for (; at < end; at += 1) {
      const byte = chunk[at]!;
      if (byte > SPACE) continue;
      if (byte === CR) return this.isUsualEnd(chunk, at, end, subjectStart) ? at : -1;
      if (byte !== SPACE || this.second >= 0) return -1;
      if (this.first < 0) this.first = at;
      else this.second = at;
    }
    return -1;
  }

  /** Hot: returns where the subject ends. The one that came last is mostly the one that comes next. */
  private scanSubject(chunk: Buffer, start: number, end: number): number {
    const { last, lastLength } = this;
    let at = start;
    if (start + lastLength < end) {
      let same = 0;
      while (same < lastLength && chunk[start + same] === last[same]) same += 1;
      at = start + same;
      this.isSame = same === lastLength && chunk[at] === SPACE && same > 0;
      if (this.isSame) return at;
    }
    this.isSame = false;
    let hash = 0;
    for (at = start; at < end && chunk[at]! > SPACE; at += 1) hash = hashByte(hash, chunk[at]!);
    this.hash = hash;
    return at;
  }

  /** The subject of the message that is handed over. */
  private setLast(chunk: Buffer, start: number, end: number): void {
    const length = end - start;
    this.lastLength = length > this.last.length ? 0 : length;
    for (let index = 0; index < this.lastLength; index += 1) this.last[index] = chunk[start + index]!;
  }

  private isUsualEnd(chunk: Buffer, at: number, end: number, subjectStart: number): boolean {
    if (at + 1 >= end || chunk[at + 1] !== LF || at - subjectStart > CONTROL_LINE_BYTES_MAX) return false;
    return this.first !== this.tailStart && this.tailStart > subjectStart + 1;
  }

  /** Hot: the rest of a publish whose control line is known. */
  private body(
    chunk: Buffer,
    at: number,
    subjectStart: number,
    end: number,
    replyEnd: number,
    headStart: number,
    headSize: number,
    size: number,
  ): number {
    if (size > this.bodyBytesMax) return this.refuse(PAYLOAD_EXCEEDED);
    const bodyEnd = headStart + size;
    if (bodyEnd + 2 > end) return this.await(bodyEnd + 2 - at);
    if (chunk[bodyEnd] !== CR || chunk[bodyEnd + 1] !== LF) return this.refuse(UNKNOWN_OPERATION);
    const bodyStart = headStart + headSize;
    if (!this.isSame) this.setLast(chunk, subjectStart, this.tailStart - 1);
    this.operations.publish(
      chunk,
      subjectStart,
      this.hash,
      this.isSame,
      this.tailStart,
      replyEnd,
      headStart,
      bodyStart,
      bodyEnd,
    );
    return bodyEnd + 2;
  }

  /** Writes the control line anew, as {@link publish} takes it. */
  private publishAnyway(
    chunk: Buffer,
    at: number,
    argumentsStart: number,
    end: number,
    hasHeaders: boolean,
  ): number {
    const lf = chunk.indexOf(LF, argumentsStart);
    if (lf < 0 || lf >= end) return this.unended(chunk, at, end);
    if (lf - at > CONTROL_LINE_BYTES_MAX) return this.refuse(CONTROL_LINE_EXCEEDED);
    const words = wordsOf(chunk, argumentsStart, lf);
    const sizes = words.slice(hasHeaders ? -2 : -1).map((word) => sizeOf(word, 0, word.length));
    const size = sizes.at(-1) ?? -1;
    const wordsMin = hasHeaders ? 3 : 2;
    const isReadable = words.length >= wordsMin && words.length <= wordsMin + 1 && sizes[0]! >= 0;
    if (!isReadable || size < sizes[0]!) return this.refuse(PARSER_ERROR);
    if (size > this.bodyBytesMax) return this.refuse(PAYLOAD_EXCEEDED);
    const frameEnd = lf + 1 + size + 2;
    if (frameEnd > end) return this.await(frameEnd - at);
    if (chunk[frameEnd - 2] !== CR || chunk[frameEnd - 1] !== LF) return this.refuse(UNKNOWN_OPERATION);
    const headSize = hasHeaders ? sizes[0]! : 0;
    this.publishWords(
      words.slice(0, wordsMin === words.length ? 1 : 2),
      headSize,
      chunk.subarray(lf + 1, frameEnd),
    );
    return frameEnd;
  }

  /** `names` are the subject, and where there is one the reply-to; `content` ends with CR and LF. */
  private publishWords(names: readonly Buffer[], headSize: number, content: Buffer): void {
    const sizes = headSize > 0 ? [headSize, content.length - 2] : [content.length - 2];
    const words = [...names.map((name) => name.toString("latin1")), ...sizes];
    const line = Buffer.from(`${words.join(" ")}\r\n`, "latin1");
    const tailStart = names[0]!.length + 1;
    const replyEnd = names[1] === undefined ? tailStart : tailStart + names[1].length;
    let hash = 0;
    for (const byte of names[0]!) hash = hashByte(hash, byte);
    const bytes = Buffer.concat([line, content]);
    const bodyStart = line.length + headSize;
    this.hash = hash;
    this.lastLength = 0;
    this.operations.publish(
      bytes,
      0,
      hash,
      false,
      tailStart,
      replyEnd,
      line.length,
      bodyStart,
      bytes.length - 2,
    );
  }

  /** Everything but the usual publish. */
  private line(chunk: Buffer, at: number, end: number): number {
    const lf = chunk.indexOf(LF, at);
    if (lf < 0 || lf >= end) return this.unended(chunk, at, end);
    if (lf - at > CONTROL_LINE_BYTES_MAX + VERB_LENGTH_MAX) return this.refuse(CONTROL_LINE_EXCEEDED);
    const start = blankFrom(chunk, at, lf);
    const verb = chunk.toString("latin1", at, Math.min(start, at + VERB_LENGTH_MAX + 1)).toLowerCase();
    if (this.isLocked && verb !== "connect") {
      this.stop();
      this.operations.refuseLocked();
      return INCOMPLETE;
    }
    if (verb === "pub") return this.publishAnyway(chunk, at, start, end, false);
    if (verb === "hpub") return this.publishAnyway(chunk, at, start, end, true);
    return this.control(verb, chunk, start, lf) ? lf + 1 : INCOMPLETE;
  }

  /** A line without a body. Returns whether it was one. */
  private control(verb: string, chunk: Buffer, start: number, lf: number): boolean {
    const { operations } = this;
    const loose = LOOSE_VERB.exec(verb)?.[0];
    if (loose === "ping") operations.ping();
    else if (loose === "-err") operations.leave();
    else if (verb === "connect") operations.connect(chunk.toString("utf8", start, lf).trim());
    else if (verb === "sub") return this.subscribe(wordsOf(chunk, start, lf));
    else if (verb === "unsub") return this.unsubscribe(wordsOf(chunk, start, lf));
    else if (loose === undefined) {
      this.refuse(UNKNOWN_OPERATION);
      return false;
    }
    return true;
  }

  private subscribe(words: readonly Buffer[]): boolean {
    const [subject, queueOrSid, sid] = words;
    if (subject === undefined || queueOrSid === undefined || words.length > 3) {
      this.refuse(words.length > 0 ? PARSER_ERROR : UNKNOWN_OPERATION);
      return false;
    }
    this.operations.subscribe(subject, sid === undefined ? undefined : queueOrSid, sid ?? queueOrSid);
    return true;
  }

  private unsubscribe(words: readonly Buffer[]): boolean {
    const [sid, max] = words;
    if (sid === undefined || words.length > 2) {
      this.refuse(words.length > 0 ? PARSER_ERROR : UNKNOWN_OPERATION);
      return false;
    }
    this.operations.unsubscribe(sid, max === undefined ? 0 : Math.max(0, sizeOf(max, 0, max.length)));
    return true;
  }

  /** The control line at `at` has not ended: refused when it never can. */
  private unended(chunk: Buffer, at: number, end: number): number {
    if (end - at > CONTROL_LINE_BYTES_MAX + VERB_LENGTH_MAX) return this.refuse(CONTROL_LINE_EXCEEDED);
    const verbEnd = Math.min(blankFrom(chunk, at, end), at + VERB_LENGTH_MAX + 1);
    const said = chunk.toString("latin1", at, verbEnd).toLowerCase();
    const isVerb = VERBS.some((verb) => verb.startsWith(said)) || LOOSE_VERB.test(said);
    if (!isVerb) return this.refuse(UNKNOWN_OPERATION);
    if (this.isLocked && !"connect".startsWith(said)) {
      this.stop();
      this.operations.refuseLocked();
      return INCOMPLETE;
    }
    return this.await(0);
  }

  private await(frameBytes: number): number {
    this.frameBytes = frameBytes;
    return INCOMPLETE;
  }

  private refuse(text: string): number {
    this.stop();
    this.operations.refuse(text);
    return INCOMPLETE;
  }
}

/** Where the first blank or line end from `at` is; `end` when there is none. */
function blankFrom(chunk: Buffer, at: number, end: number): number {
  let to = at;
  while (to < end && !isBlank(chunk[to]!)) to += 1;
  return to;
}

function wordsOf(chunk: Buffer, start: number, end: number): Buffer[] {
  const words: Buffer[] = [];
  let at = start;
  while (at < end) {
    if (isBlank(chunk[at]!)) {
      at += 1;
      continue;
    }
    let to = at;
    while (to < end && !isBlank(chunk[to]!)) to += 1;
    words.push(chunk.subarray(at, to));
    at = to;
  }
  return words;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR || byte === LF;
}

/** Hot: a whole number in decimal; -1 when it is none, or too long. */
function sizeOf(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > SIZE_DIGITS_MAX) return -1;
  let size = 0;
  for (let at = start; at < end; at += 1) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) return -1;
    size = size * 10 + digit;
  }
  return size;
}

/** Hot. */
function startsWith(chunk: Buffer, at: number, verb: Buffer): boolean {
  for (let index = 1; index < verb.length; index += 1) if (chunk[at + index] !== verb[index]) return false;
  return true;
}
