// One subscription of one client: writes what it is offered straight into what goes to the client's socket.

import {
  CommittedMessage,
  type LiveMessage,
  type LiveReceiver,
  UnstoredMessage,
} from "../../broker/live-message.js";
import type { SocketWriter } from "../../network/socket-writer.js";
import { originOf } from "./headers.js";
import type { Outbound } from "./outbound.js";
import { type Origin, Publication } from "./publication.js";
import { Bytes, copyBytes, writeNumber } from "./wire/bytes.js";
import { CRLF } from "./wire/replies.js";

/** From here on a message goes to the socket as it lies, without being copied. */
const VIEW_BYTES_MIN = 16 * 1024;
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

  /** Hot. */
  offer(message: LiveMessage): boolean {
    if (this.isClosed) return false;
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
  private writeAsItCame({ to, source, tailStart, bodyEnd, headStart, bodyStart }: Publication): void {
    const { writer } = this.receiving;
    const { line } = to;
    const { sidBytes } = this;
    const tailEnd = bodyEnd + 2;
    const isLarge = tailEnd - tailStart >= VIEW_BYTES_MIN;
    const headBytes = line.bytes.length + sidBytes.bytes.length;
    writer.ensure(isLarge ? headBytes : headBytes + tailEnd - tailStart);
    const { buffer, words } = writer;
    const lineStart = bodyStart === headStart ? 1 : 0;
    let at = copyBytes(buffer, words, writer.at, line, lineStart, line.bytes.length);
    at = copyBytes(buffer, words, at, sidBytes, 0, sidBytes.bytes.length);
    if (!isLarge) at = copyBytes(buffer, words, at, source, tailStart, tailEnd);
    writer.at = at;
    if (isLarge) writer.view(source.bytes.subarray(tailStart, tailEnd));
  }

  private writeWithoutHeaders(message: Publication): void {
    const reply = message.hasReply ? Buffer.concat([message.replyBytes, Buffer.from(" ")]) : NOTHING;
    this.writeMessage(message.to.line.bytes, 1, reply, NOTHING, message.value);
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
