// A position in bytes that moves as values are read. Reading past the end, or a varint that does not fit, is an
// error that says at which byte; nothing outside [position, end) is ever looked at.

import { BrokerError, type BrokerErrorCode } from "../broker-error.js";

const TWO_32 = 2 ** 32;

/**
 * Reads `bytes[position, end)`. Malformed input is reported as `code`, at a position to which `origin` is added: where
 * `bytes` begins in what the caller knows. Not for use after it threw.
 */
export class Cursor {
  bytes: Uint8Array;
  position: number;
  end: number;
  private readonly code: BrokerErrorCode;
  private readonly origin: number;

  constructor(bytes: Uint8Array, position: number, end: number, code: BrokerErrorCode, origin = 0) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
    this.code = code;
    this.origin = origin;
  }

  /** Moves over `size` bytes and returns where they begin. */
  skip(size: number, what: string): number {
    const start = this.position;
    if (size < 0 || size > this.end - start) this.fail(`${what} of ${size} bytes does not fit`, start);
    this.position = start + size;
    return start;
  }

  /**
   * A zigzag varint of 32 bits. More than five bytes, or bits beyond 32, are an error; a longer form of a number
   * than is needed is not.
   *
   * Hot: seven times a record, nearly always one byte.
   */
  varint(what: string): number {
    const at = this.position;
    if (at < this.end) {
      const byte = this.bytes[at]!;
      if (byte < 0x80) {
        this.position = at + 1;
        return (byte >>> 1) ^ -(byte & 1);
      }
    }
    return this.#longVarint(what);
  }

  #longVarint(what: string): number {
    let zigzag = 0;
    let at = this.position;
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= this.end) this.fail(`${what} is cut off`, at);
      const byte = this.bytes[at++]!;
      if (shift === 28 && byte > 0x0f) this.fail(`${what} is a varint of more than 32 bits`, this.position);
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    this.position = at;
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  /** A zigzag varint of 64 bits. One that a number cannot hold exactly (beyond 2^53) is an error. */
  varlong(what: string): number {
    const start = this.position;
    const first = start < this.end ? this.bytes[start]! : this.fail(`${what} is cut off`, start);
    let magnitude = (first & 0x7f) >>> 1;
    let scale = 64;
    let byte = first;
    let at = start + 1;
    while (byte >= 0x80) {
      if (at >= this.end) this.fail(`${what} is cut off`, at);
      if (at - start >= 10) this.fail(`${what} is a varint of more than 64 bits`, start);
      byte = this.bytes[at++]!;
      magnitude += (byte & 0x7f) * scale;
      scale *= 128;
    }
    if (magnitude > Number.MAX_SAFE_INTEGER) this.fail(`${what} is beyond 2^53`, start);
    this.position = at;
    return first & 1 ? -1 - magnitude : magnitude;
  }

  /** A signed 64-bit big-endian number. One that a number cannot hold exactly (beyond 2^53) is an error. */
  int64(what: string): number {
    const at = this.skip(8, what);
    const value = readInt64(this.bytes, at);
    if (!Number.isSafeInteger(value)) this.fail(`${what} is beyond 2^53`, at);
    return value;
  }

  /** Throws. `position` is where the fault lies. */
  fail(fault: string, position: number): never {
    const at = this.origin + position;
    throw new BrokerError(this.code, `Malformed bytes: ${fault}, at byte ${at}.`, { position: at });
  }
}

/** The signed 32-bit big-endian number at `at`. */
export function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** The signed 16-bit big-endian number at `at`. */
export function readInt16(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16)) >> 16;
}

/** The signed 64-bit big-endian number at `at`; not exact beyond 2^53, so callers check `Number.isSafeInteger`. */
export function readInt64(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) * TWO_32 + (readInt32(bytes, at + 4) >>> 0);
}

/** Writes a signed or unsigned 32-bit number, big-endian. */
export function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a signed 16-bit number, big-endian. */
export function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes a safe integer as a signed 64-bit number, big-endian, in two halves. */
export function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  writeInt32(bytes, at, high);
  writeInt32(bytes, at + 4, value - high * TWO_32);
}
