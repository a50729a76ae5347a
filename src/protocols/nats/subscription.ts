// One subscription of one client: writes what it is offered straight into what goes to the client's socket.

import {
  CommittedMessage,
  type LiveMessage,
  type LiveReceiver,
  type MessageRun,
  UnstoredMessage,
} from "../../broker/live-message.js";
import { offerEach } from "../../broker/live-route.js";
import { Chunk } from "../../network/chunk-pool.js";
import type { SocketWriter } from "../../network/socket-writer.js";
import { originOf } from "./headers.js";
import type { Outbound } from "./outbound.js";
import { type Origin, Publication } from "./publication.js";
import { PublishRun } from "./publish-run.js";
import { Bytes, copyBytes, writeNumber } from "./wire/bytes.js";
import { CRLF } from "./wire/replies.js";

/** From here on a message goes to the socket as it lies, without being copied. */
const VIEW_BYTES_MIN = 16 * 1024;
/** `MSG `, as one little-endian number. */
const MSG = 0x2047534d;
const LETTER_H = 72;
const VERB_BYTES_MAX = 5;
const SPACE = 32;
const CR = 13;
const LF = 10;
/** Of a number, its blanks and line ends. */
const SIZES_BYTES_MAX = 32;

/** What subscriptions need of the client whose they are. */
export interface Receiving extends Origin {
  readonly writer: SocketWriter;
  readonly outbound: Outbound;
  /** Whether the client takes headers. */
  readonly hasHeaders: boolean;
  /** How many messages it was sent. */
  delivered: number;
  /** The subscription has what it asked for. */
  ended(subscription: NatsSubscription): void;
  /** More waits for the client than should. */
  congested(): void;
}

export class NatsSubscription implements LiveReceiver {
  /** As the client gave it. */
  readonly sid: string;
  /** Canonical. */
  readonly pattern: string;
  /** The queue group. */
  readonly group: string | undefined;
  /** How many it takes in all before it ends; 0 for no end. */
  max: number;
  /** How many it took. */
  delivered: number;
  isClosed: boolean;
  private readonly receiving: Receiving;
  /** `sid ` as it stands in each message. */
  private readonly sidBytes: Bytes;

  constructor(receiving: Receiving, sid: Buffer, pattern: string, group: string | undefined) {
    this.sid = sid.toString("latin1");
    this.pattern = pattern;
    this.group = group;
    this.max = 0;
    this.delivered = 0;
    this.isClosed = false;
    this.receiving = receiving;
    this.sidBytes = new Bytes(Buffer.concat([sid, Buffer.from(" ")]));
  }

  /** Hot: what one client publishes in one go is written in one go. */
  offerRun(run: MessageRun): boolean {
    const { receiving } = this;
    if (this.isClosed) return false;
    const isUsual = run instanceof PublishRun && this.max === 0 && run.tailBytesMax < VIEW_BYTES_MIN;
    if (!isUsual || (run.hasHeaders && !receiving.hasHeaders)) return offerEach(this, run);
    if (run.origin === receiving && receiving.echoToken !== undefined) return false;
    if (run.others === 0 || run.count === 1) this.writeRun(run);
    else receiving.writer.view(run.shared(this.sid, () => this.encodedRun(run)));
    this.delivered += run.count;
    receiving.delivered += run.count;
    if (receiving.writer.isCongested) receiving.congested();
    return true;
  }

  /** Hot. */
  offer(message: LiveMessage): boolean {
    if (this.isClosed) return false;
    if (message instanceof Publication) return this.offerPublication(message);
    if (message instanceof UnstoredMessage && message.outgoing instanceof Publication)
      return this.offerPublication(message.outgoing);
    return this.offerOther(message);
  }

  /** Hot: what NATS sent goes to NATS as it came: subject, subscription, and all that stood behind the subject. */
  private offerPublication(message: Publication): boolean {
    const { receiving } = this;
    if (message.origin === receiving && receiving.echoToken !== undefined) return false;
    if (message.hasHeaders && !receiving.hasHeaders) this.writeWithoutHeaders(message);
    else this.writeAsItCame(message);
    this.wasWritten();
    return true;
  }

  /** Hot. */
  private writeAsItCame({ read, subjectStart, tailStart, bodyEnd, headStart, bodyStart }: Publication): void {
    const { writer } = this.receiving;
    const tailEnd = bodyEnd + 2;
    const isLarge = tailEnd - tailStart >= VIEW_BYTES_MIN;
    const headBytes = this.headBytes(tailStart - subjectStart);
    writer.ensure(isLarge ? headBytes : headBytes + tailEnd - tailStart);
    const { buffer, words } = writer;
    const isPlain = bodyStart === headStart;
    let at = this.writeHead(buffer, words, writer.at, isPlain, read, subjectStart, tailStart);
    if (!isLarge) at = copyBytes(buffer, words, at, read, tailStart, tailEnd);
    writer.at = at;
    if (isLarge) writer.view(read.bytes.subarray(tailStart, tailEnd));
  }

  /** Of a verb, a subject of so many bytes with its blank, and the number of the subscription. */
  private headBytes(subjectBytes: number): number {
    return VERB_BYTES_MAX + subjectBytes + this.sidBytes.bytes.length;
  }

  /** Hot. */
  private writeHead(
    buffer: Buffer,
    words: DataView,
    start: number,
    isPlain: boolean,
    source: Bytes,
    subjectStart: number,
    subjectEnd: number,
  ): number {
    const { sidBytes } = this;
    let at = start;
    if (!isPlain) {
      buffer[at] = LETTER_H;
      at += 1;
    }
    words.setInt32(at, MSG, true);
    at = copyBytes(buffer, words, at + 4, source, subjectStart, subjectEnd);
    return copyBytes(buffer, words, at, sidBytes, 0, sidBytes.bytes.length);
  }

  /** Hot. */
  private writeRun(run: PublishRun): void {
    const { writer } = this.receiving;
    const { count, source, subjectStart, subjectEnd } = run;
    const headBytes = this.headBytes(subjectEnd - subjectStart);
    writer.ensure(headBytes);
    let { at, buffer, words } = writer;
    for (let index = 0; index < count; index += 1) {
      const tailStart = run.tailStart(index);
      const tailEnd = run.tailEnd(index);
      if (at + headBytes + tailEnd - tailStart > buffer.length) {
        writer.at = at;
        writer.ensure(headBytes + tailEnd - tailStart);
        ({ at, buffer, words } = writer);
      }
      at = this.writeHead(buffer, words, at, run.isPlain(index), source, subjectStart, subjectEnd);
      at = copyBytes(buffer, words, at, source, tailStart, tailEnd);
    }
    writer.at = at;
  }

  /** The same in bytes of its own, which several connections send. */
  private encodedRun(run: PublishRun): Buffer {
    const { count, source, subjectStart, subjectEnd } = run;
    const { buffer, words } = new Chunk(count * this.headBytes(subjectEnd - subjectStart) + run.tailBytes);
    let at = 0;
    for (let index = 0; index < count; index += 1) {
      at = this.writeHead(buffer, words, at, run.isPlain(index), source, subjectStart, subjectEnd);
      at = copyBytes(buffer, words, at, source, run.tailStart(index), run.tailEnd(index));
    }
    return buffer.subarray(0, at);
  }

  private writeWithoutHeaders(message: Publication): void {
    const reply = message.hasReply ? Buffer.concat([message.replyBytes, Buffer.from(" ")]) : NOTHING;
    this.writeMessage(Buffer.from(`HMSG ${message.to.text} `), 1, reply, NOTHING, message.value);
  }

  private offerOther(message: LiveMessage): boolean {
    const { receiving } = this;
    const { echoToken } = receiving;
    if (
      echoToken !== undefined &&
      message instanceof CommittedMessage &&
      originOf(message.record) === echoToken
    )
      return false;
    const { line, reply, block, body } = receiving.outbound.of(message);
    if (block === undefined || !receiving.hasHeaders) this.writeMessage(line, 1, reply, NOTHING, body);
    else this.writeMessage(line, 0, reply, block, body);
    this.wasWritten();
    return true;
  }

  private writeMessage(line: Buffer, lineStart: number, reply: Buffer, block: Buffer, body: Buffer): void {
    const { writer } = this.receiving;
    const sid = this.sidBytes.bytes;
    writer.ensure(line.length + sid.length + reply.length + SIZES_BYTES_MAX);
    const { buffer } = writer;
    let { at } = writer;
    at += line.copy(buffer, at, lineStart);
    at += sid.copy(buffer, at);
    at += reply.copy(buffer, at);
    if (lineStart === 0) {
      at = writeNumber(buffer, at, block.length);
      buffer[at] = SPACE;
      at += 1;
    }
    at = writeNumber(buffer, at, block.length + body.length);
    buffer[at] = CR;
    buffer[at + 1] = LF;
    writer.at = at + 2;
    if (block.length > 0) writer.view(block);
    if (body.length > 0) writer.view(body);
    writer.view(CRLF);
  }

  /** Hot: counts, and looks whether the client keeps up. */
  private wasWritten(): void {
    const { receiving } = this;
    this.delivered += 1;
    receiving.delivered += 1;
    if (this.delivered === this.max) receiving.ended(this);
    if (receiving.writer.isCongested) receiving.congested();
  }
}

const NOTHING = Buffer.alloc(0);
