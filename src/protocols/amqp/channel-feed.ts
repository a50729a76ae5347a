// One channel number in use: what comes for it, in order. Frames wait here while the channel is busy with an earlier one.

import { readInt32 } from "../../bytes/cursor.js";
import { Ring } from "../../collections/ring.js";
import type { ChannelMethod, ServedChannel } from "./channel-host.js";
import { IncomingMessage } from "./incoming-message.js";
import {
  CONTENT_HEADER_BYTES,
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  isKnownFrame,
  unexpectedFrame,
  unknownFrame,
} from "./wire/frames.js";
import { type Method, readMethod } from "./wire/methods.js";
import { ProtocolError } from "./wire/protocol-error.js";
import { cannotDecode } from "./wire/reader.js";

const TWO_32 = 2 ** 32;
const PUBLISH = (60 << 16) | 40;
const ACK = (60 << 16) | 80;
const REJECT = (60 << 16) | 90;
const NACK = (60 << 16) | 120;
const CHANNEL_CLOSE = (20 << 16) | 40;
const CHANNEL_CLOSE_OK = (20 << 16) | 41;
const ACK_BYTES = 4 + 8 + 1;

const EXPECTS_METHOD = 0;
const EXPECTS_HEADER = 1;
const EXPECTS_BODY = 2;

interface WaitingFrame {
  readonly type: number;
  readonly payload: Buffer;
}

/** The connection, as far as a feed needs it. */
export interface FeedOwner {
  readonly messageBytesMax: number;
  /** Hot: a message is whole. */
  published(): void;
  /** Makes the channel. */
  open(feed: ChannelFeed): ServedChannel;
  /** The client closes the channel. */
  closeFor(feed: ChannelFeed): Promise<void>;
  /** The channel is closed at both ends. */
  release(feed: ChannelFeed): void;
  /** Answers a close that crossed our own. */
  answerClose(feed: ChannelFeed): void;
}

export class ChannelFeed {
  readonly number: number;
  channel: ServedChannel | undefined;
  /** Whether we have closed it: everything is ignored until the client has said that it knows. */
  isClosing: boolean;
  /** Whether the channel is at work on what it got last. */
  isBusy: boolean;
  /** Class and method of what came last, as in `methods.ts`. */
  methodKey: number;
  private readonly owner: FeedOwner;
  private readonly message: IncomingMessage;
  private expects: typeof EXPECTS_METHOD | typeof EXPECTS_HEADER | typeof EXPECTS_BODY;
  private readonly waiting: Ring<WaitingFrame>;

  constructor(owner: FeedOwner, number: number) {
    this.owner = owner;
    this.number = number;
    this.channel = undefined;
    this.isClosing = false;
    this.isBusy = false;
    this.methodKey = 0;
    this.message = new IncomingMessage();
    this.expects = EXPECTS_METHOD;
    this.waiting = new Ring();
  }

  /** Bytes that are reserved for a body that is not whole. */
  get reservedBytes(): number {
    return this.message.reservedBytes;
  }

  /** Keeps a frame until the channel is no longer busy. */
  hold(type: number, payload: Buffer): void {
    this.waiting.push({ type, payload });
  }

  /** The next frame that waits. */
  nextWaiting(): WaitingFrame | undefined {
    return this.waiting.shift();
  }

  /** We have closed it, or the connection is over: frames that wait are passed over when their turn comes. */
  drop(): void {
    this.isClosing = true;
    this.expects = EXPECTS_METHOD;
    this.message.end();
  }

  /**
   * Hot: a frame with the payload `bytes[start, end)`. Returns a promise when what comes next has to wait for it. Errors:
   * those of the protocol, and of the channel.
   */
  frame(type: number, bytes: Buffer, start: number, end: number): Promise<void> | undefined {
    if (this.isClosing) return this.afterClose(type, bytes, start, end);
    const sizeBytes = end - start;
    if (type === FRAME_METHOD && this.expects === EXPECTS_METHOD && sizeBytes >= 4)
      return this.method(bytes, start, end);
    if (type === FRAME_HEADER && this.expects === EXPECTS_HEADER && sizeBytes >= CONTENT_HEADER_BYTES) {
      const isWhole = this.message.header(bytes, start, end, this.owner.messageBytesMax);
      this.expects = EXPECTS_BODY;
      return isWhole ? this.publish() : undefined;
    }
    if (type === FRAME_BODY && this.expects === EXPECTS_BODY)
      return this.message.piece(bytes, start, end) ? this.publish() : undefined;
    throw this.unexpected(type, bytes, start, end);
  }

  private publish(): Promise<void> | undefined {
    this.expects = EXPECTS_METHOD;
    const { message } = this;
    this.owner.published();
    const pending = this.opened.publish(message);
    message.end();
    return pending;
  }

  private method(bytes: Buffer, start: number, end: number): Promise<void> | undefined {
    const key = readInt32(bytes, start);
    this.methodKey = key;
    if (key === PUBLISH) {
      void this.opened;
      this.message.begin(bytes, start + 4, end);
      this.expects = EXPECTS_HEADER;
      return undefined;
    }
    if (key === ACK || key === NACK || key === REJECT) return this.settle(key, bytes, start, end);
    return this.other(readMethod(bytes, start, end));
  }

  private settle(key: number, bytes: Buffer, start: number, end: number): Promise<void> | undefined {
    if (end - start !== ACK_BYTES) throw cannotDecode(bytes, start + 4, end);
    const tag = (readInt32(bytes, start + 4) >>> 0) * TWO_32 + (readInt32(bytes, start + 8) >>> 0);
    const flags = bytes[start + 12]!;
    if (key === ACK) return this.opened.ack(tag, (flags & 1) !== 0);
    if (key === NACK) return this.opened.nack(tag, (flags & 1) !== 0, (flags & 2) !== 0);
    return this.opened.reject(tag, (flags & 1) !== 0);
  }

  private other(method: Method): Promise<void> | undefined {
    if (method.name === "channel.open") {
      if (this.channel !== undefined) throw new ProtocolError("CHANNEL_ERROR", "second 'channel.open' seen");
      this.channel = this.owner.open(this);
      return undefined;
    }
    const { opened } = this;
    if (method.name === "channel.close") return this.owner.closeFor(this);
    if (!isOfChannels(method)) throw new ProtocolError("COMMAND_INVALID", "unimplemented method");
    return opened.method(method);
  }

  private get opened(): ServedChannel {
    if (this.channel === undefined) throw new ProtocolError("CHANNEL_ERROR", "expected 'channel.open'");
    return this.channel;
  }

  private afterClose(type: number, bytes: Buffer, start: number, end: number): undefined {
    if (type !== FRAME_METHOD || end - start < 4) return undefined;
    const key = readInt32(bytes, start);
    if (key === CHANNEL_CLOSE) this.owner.answerClose(this);
    else if (key === CHANNEL_CLOSE_OK) this.owner.release(this);
    return undefined;
  }

  private unexpected(type: number, bytes: Buffer, start: number, end: number): ProtocolError {
    if (this.expects === EXPECTS_METHOD) this.methodKey = 0;
    if (!isKnownFrame(type, end - start)) return unknownFrame(type, bytes, start, end);
    if (type === FRAME_HEARTBEAT) return unexpectedFrame(type, bytes, start, end);
    return new ProtocolError("UNEXPECTED_FRAME", this.expectation);
  }

  private get expectation(): string {
    if (this.expects === EXPECTS_HEADER)
      return "expected content header for class 60, got non content header frame instead";
    if (this.expects === EXPECTS_BODY) return "expected content body, got non content body frame instead";
    return "expected method frame, got non method frame instead";
  }
}

/** `channel.close-ok` without a close of ours is not a method that the client may send either. */
function isOfChannels(method: Method): method is ChannelMethod {
  const { name } = method;
  return (
    name !== "channel.open-ok" &&
    name !== "channel.close-ok" &&
    name !== "basic.publish" &&
    !name.startsWith("connection.")
  );
}
