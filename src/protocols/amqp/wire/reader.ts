// A position in received bytes that moves as AMQP's elementary values are read (4.2.5 of the specification). Nothing
// outside of the range is looked at.

import { ProtocolError } from "./protocol-error.js";

const TWO_32 = 2 ** 32;
/** What decoding puts in place of bytes that are not UTF-8. */
const REPLACEMENT = "\ufffd";

/** Errors of every method: FRAME_ERROR when the bytes end before the value does, or a text is not UTF-8. */
export class WireReader {
  bytes: Buffer;
  position: number;
  end: number;

  /** What is read, for errors: {@link end} may lie before its end for a while. */
  private readonly start: number;
  private readonly limit: number;

  constructor(bytes: Buffer, position = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
    this.start = position;
    this.limit = end;
  }

  /** Errors: FRAME_ERROR when there is more. */
  assertAtEnd(): void {
    if (this.position !== this.end) throw cannotDecode(this.bytes, this.start, this.limit);
  }

  octet(): number {
    return this.bytes[this.skip(1)]!;
  }

  short(): number {
    return this.bytes.readUInt16BE(this.skip(2));
  }

  long(): number {
    return this.bytes.readUInt32BE(this.skip(4));
  }

  /** Not exact beyond 2^53: no size, tag or time is there. */
  longlong(): number {
    const at = this.skip(8);
    return this.bytes.readUInt32BE(at) * TWO_32 + this.bytes.readUInt32BE(at + 4);
  }

  shortText(): string {
    const size = this.octet();
    return this.text(size);
  }

  /** A view. */
  shortBytes(): Buffer {
    const size = this.octet();
    return this.view(size);
  }

  /** A view. */
  longBytes(): Buffer {
    const size = this.long();
    return this.view(size);
  }

  view(size: number): Buffer {
    const start = this.skip(size);
    return this.bytes.subarray(start, this.position);
  }

  text(size: number): string {
    const start = this.skip(size);
    return readText(this.bytes, start, this.position);
  }

  /** Moves over `size` bytes and returns where they begin. */
  skip(size: number): number {
    const start = this.position;
    if (size > this.end - start) throw cannotDecode(this.bytes, this.start, this.limit);
    this.position = start + size;
    return start;
  }
}

/** The text in `bytes[start, end)`. Errors: FRAME_ERROR when it is not UTF-8. */
export function readText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start, end);
  if (text.includes(REPLACEMENT) && !Buffer.from(text).equals(bytes.subarray(start, end)))
    throw new ProtocolError("FRAME_ERROR", "Malformed UTF-8 in shortstr");
  return text;
}

/** Fields of a method that are not what they should be, as RabbitMQ says it. */
export function cannotDecode(bytes: Buffer, start: number, end: number): ProtocolError {
  return new ProtocolError(
    "FRAME_ERROR",
    `cannot decode <<${[...bytes.subarray(start, end).subarray(0, 256)].join(",")}>>`,
  );
}
