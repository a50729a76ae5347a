// Frames (AMQP 0-9-1, 4.2.3), as they come in, cut anywhere.

import { readInt32 } from "../../../bytes/cursor.js";
import { ProtocolError } from "./protocol-error.js";

/**
 *   0      1         3      7           7 + size
 *   | type | channel | size | payload   | 0xce |
 */
const HEADER_BYTES = 7;
export const FRAME_END = 0xce;
/** Header and end. */
export const FRAME_OVERHEAD_BYTES = 8;

export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;

/** The payload of a content header, before the properties: class, weight, body size. */
export const CONTENT_HEADER_BYTES = 12;

/** Some clients exceed the negotiated size by that much: RabbitMQ lets them. */
const EXCESS_BYTES = 8;

/**
 * Takes one frame: its payload is `bytes[start, end)`. What is read may be kept: nobody writes to it any more.
 * Returns false to get nothing more for now: {@link FrameReader.read} goes on after it.
 */
export type OnFrame = (type: number, channel: number, bytes: Buffer, start: number, end: number) => boolean;

/**
 * Hot: gives out frames as views of the chunks that come from the socket. Only a frame that is cut by the end of a chunk
 * is copied; no more is reserved for it than twice what has come of it.
 */
export class FrameReader {
  /** With its overhead, at most; 0 is no limit. Takes effect at the next frame. */
  frameMax: number;
  private readonly onFrame: OnFrame;
  /** What has come, and not been given out: `bytes[position, end)`. */
  private bytes: Buffer;
  private position: number;
  private end: number;
  /** Whether {@link bytes} is the reader's own, to which more may be added. */
  private isOwn: boolean;

  constructor(frameMax: number, onFrame: OnFrame) {
    this.frameMax = frameMax;
    this.onFrame = onFrame;
    this.bytes = NO_BYTES;
    this.position = 0;
    this.end = 0;
    this.isOwn = false;
  }

  /** Bytes that have come and were not given out. */
  get heldBytes(): number {
    return this.end - this.position;
  }

  /** The first `size` bytes that were not given out; undefined when there are fewer. They count as given out. */
  take(size: number): Buffer | undefined {
    if (this.heldBytes < size) return undefined;
    this.position += size;
    return this.bytes.subarray(this.position - size, this.position);
  }

  /** Adds what came from the socket. */
  push(chunk: Buffer): void {
    if (this.position === this.end) {
      this.bytes = chunk;
      this.position = 0;
      this.end = chunk.length;
      this.isOwn = false;
      return;
    }
    const held = this.heldBytes;
    const needed = held + chunk.length;
    if (!this.isOwn || this.position + needed > this.bytes.length) this.regrow(held, needed);
    this.bytes.set(chunk, this.end);
    this.end += chunk.length;
  }

  /** Given-out frames are views: what they were cut from is never written to again, so what is left moves. */
  private regrow(held: number, needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, held * 2));
    this.bytes.copy(grown, 0, this.position, this.end);
    this.bytes = grown;
    this.position = 0;
    this.end = held;
    this.isOwn = true;
  }

  /** Gives out every frame that is whole. Errors: FRAME_ERROR; then the rest means nothing any more. */
  read(): void {
    const { onFrame } = this;
    for (;;) {
      const { bytes, position } = this;
      const start = position + HEADER_BYTES;
      if (start > this.end) return;
      const size = readInt32(bytes, position + 3) >>> 0;
      if (this.frameMax !== 0 && size > this.frameMax - FRAME_OVERHEAD_BYTES + EXCESS_BYTES)
        this.refuse(size);
      const end = start + size;
      if (end >= this.end) return;
      if (bytes[end] !== FRAME_END) this.refuseEnd(bytes[position]!, start, end);
      this.position = end + 1;
      const channel = (bytes[position + 1]! << 8) | bytes[position + 2]!;
      if (!onFrame(bytes[position]!, channel, bytes, start, end)) return;
    }
  }

  private refuse(size: number): never {
    const limit = this.frameMax - FRAME_OVERHEAD_BYTES;
    throw new ProtocolError(
      "FRAME_ERROR",
      `type ${this.bytes[this.position]}, all octets = <<>>: {frame_too_large,${size},${limit}}`,
    );
  }

  private refuseEnd(type: number, start: number, end: number): never {
    throw new ProtocolError(
      "FRAME_ERROR",
      `type ${type}, ${snippet(this.bytes, start, end)}: {invalid_frame_end_marker,${this.bytes[end]}}`,
    );
  }
}

const NO_BYTES = Buffer.alloc(0);

/** A frame that is none of its kind, as RabbitMQ says it. */
export function unknownFrame(type: number, bytes: Buffer, start: number, end: number): ProtocolError {
  return new ProtocolError("FRAME_ERROR", `type ${type}, ${snippet(bytes, start, end)}: unknown_frame`);
}

/** A frame that has no place where it came, as RabbitMQ says it. */
export function unexpectedFrame(type: number, bytes: Buffer, start: number, end: number): ProtocolError {
  return new ProtocolError("UNEXPECTED_FRAME", `type ${type}, ${snippet(bytes, start, end)}`);
}

/** Whether it is a frame of its kind, as far as that is known without reading it. */
export function isKnownFrame(type: number, sizeBytes: number): boolean {
  if (type === FRAME_METHOD) return sizeBytes >= 4;
  if (type === FRAME_HEADER) return sizeBytes >= CONTENT_HEADER_BYTES;
  return type === FRAME_BODY || type === FRAME_HEARTBEAT;
}

/** The beginning of a payload. */
function snippet(bytes: Buffer, start: number, end: number): string {
  const shown = bytes.subarray(start, Math.min(end, start + 16));
  return `${end - start <= 16 ? "all" : "first 16"} octets = <<${[...shown].join(",")}>>`;
}
