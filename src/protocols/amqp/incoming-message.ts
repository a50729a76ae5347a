// Putting a message of a client together from its method, header and body frames.

import { readInt32 } from "../../bytes/cursor.js";
import type { IncomingPublish } from "./incoming-publish.js";
import { CONTENT_HEADER_BYTES } from "./wire/frames.js";
import { ProtocolError } from "./wire/protocol-error.js";
import { cannotDecode, readText } from "./wire/reader.js";

const BASIC = 60;
const TWO_32 = 2 ** 32;
const MANDATORY = 1;
const IMMEDIATE = 2;
const NO_BYTES = Buffer.alloc(0);
/** What is reserved for a body at first, when it comes in pieces. */
const FIRST_BYTES_MAX = 256 * 1024;

/**
 * The message that is on its way on one channel. Where a body comes in several frames, no more is reserved than twice
 * what has come of it, whatever its header declares.
 */
export class IncomingMessage implements IncomingPublish {
  exchange: string;
  routingKey: string;
  addressBytes: Buffer;
  isMandatory: boolean;
  isImmediate: boolean;
  propertiesBytes: Buffer;
  body: Buffer;
  private bodySize: number;
  private received: number;

  constructor() {
    this.exchange = "";
    this.routingKey = "";
    this.addressBytes = NO_BYTES;
    this.isMandatory = false;
    this.isImmediate = false;
    this.propertiesBytes = NO_BYTES;
    this.body = NO_BYTES;
    this.bodySize = 0;
    this.received = 0;
  }

  /** Bytes that are reserved for a body that is not whole. */
  get reservedBytes(): number {
    return this.received < this.bodySize ? this.body.length : 0;
  }

  /** Hot: the fields of `basic.publish`, after its numbers. Errors: FRAME_ERROR. */
  begin(bytes: Buffer, start: number, end: number): void {
    const exchangeAt = start + 2;
    const keyAt = exchangeAt < end ? exchangeAt + 1 + bytes[exchangeAt]! : end;
    const flagsAt = keyAt < end ? keyAt + 1 + bytes[keyAt]! : end;
    if (flagsAt + 1 !== end) throw cannotDecode(bytes, start, end);
    const flags = bytes[flagsAt]!;
    this.isMandatory = (flags & MANDATORY) !== 0;
    this.isImmediate = (flags & IMMEDIATE) !== 0;
    if (isRepeated(this.addressBytes, bytes, exchangeAt, flagsAt)) return;
    this.exchange = readText(bytes, exchangeAt + 1, keyAt);
    this.routingKey = readText(bytes, keyAt + 1, flagsAt);
    // A copy: it is compared with the next one, which may come long after the chunk that it was received in.
    this.addressBytes = Buffer.from(bytes.subarray(exchangeAt, flagsAt));
  }

  /** Hot: the content header. Returns whether the message is whole, which one without a body is. Errors: FRAME_ERROR, UNEXPECTED_FRAME, PRECONDITION_FAILED. */
  header(bytes: Buffer, start: number, end: number, bodyBytesMax: number): boolean {
    const key = readInt32(bytes, start);
    if (key !== BASIC << 16) throw otherHeader(key);
    const size = (readInt32(bytes, start + 4) >>> 0) * TWO_32 + (readInt32(bytes, start + 8) >>> 0);
    if (size > bodyBytesMax)
      throw new ProtocolError(
        "PRECONDITION_FAILED",
        `message size ${size} is larger than configured max size ${bodyBytesMax}`,
      );
    if (!isRepeated(this.propertiesBytes, bytes, start + CONTENT_HEADER_BYTES, end))
      this.propertiesBytes = Buffer.from(bytes.subarray(start + CONTENT_HEADER_BYTES, end));
    this.bodySize = size;
    this.received = 0;
    this.body = NO_BYTES;
    return size === 0;
  }

  /** Hot: a piece of the body. Returns whether the message is whole. Errors: FRAME_ERROR when there is more than was declared. */
  piece(bytes: Buffer, start: number, end: number): boolean {
    const { bodySize, received } = this;
    const size = end - start;
    if (received + size > bodySize)
      throw new ProtocolError("FRAME_ERROR", `body of ${bodySize} bytes was declared, more came`);
    if (size === bodySize) {
      this.body = bytes.subarray(start, end);
      this.received = size;
      return true;
    }
    if (received + size > this.body.length) this.reserve(received + size);
    bytes.copy(this.body, received, start, end);
    this.received = received + size;
    return this.received === bodySize;
  }

  /** Lets go of the body; address and properties are kept, for the next one. */
  end(): void {
    this.body = NO_BYTES;
    this.bodySize = 0;
    this.received = 0;
  }

  private reserve(neededBytes: number): void {
    const grownBytes = Math.max(neededBytes * 2, Math.min(this.bodySize, FIRST_BYTES_MAX));
    const grown = Buffer.allocUnsafeSlow(Math.min(this.bodySize, grownBytes));
    this.body.copy(grown, 0, 0, this.received);
    this.body = grown;
  }
}

/** `key` is the class and a weight, which has to be 0. */
function otherHeader(key: number): ProtocolError {
  const got = (key & 0xffff) === 0 ? `one for class ${key >>> 16}` : "non content header frame";
  return new ProtocolError(
    "UNEXPECTED_FRAME",
    `expected content header for class ${BASIC}, got ${got} instead`,
  );
}

/** Hot: publishers mostly publish to the address that they published to before, with the same properties. */
function isRepeated(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const size = end - start;
  if (known.length !== size) return false;
  for (let i = 0; i < size; i += 1) if (known[i] !== bytes[start + i]) return false;
  return true;
}
