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
  /** What came last, of which `bytes[position, end)` was not given out. */
  private bytes: Buffer;
  private position: number;
  private end: number;
  /** The beginning of a frame whose rest is to come. */
  private cut: Buffer;
  private cutBytes: number;

  constructor(frameMax: number, onFrame: OnFrame) {
    this.frameMax = frameMax;
    this.onFrame = onFrame;
    this.bytes = NO_BYTES;
    this.position = 0;
    this.end = 0;
    this.cut = NO_BYTES;
    this.cutBytes = 0;
  }

  /** The first `size` bytes, before any frame was read; undefined when there are fewer. They count as given out. */
  take(size: number): Buffer | undefined {
    if (this.end - this.position < size) return undefined;
    this.position += size;
    return this.bytes.subarray(this.position - size, this.position);
  }

  /** Adds what came from the socket. */
  push(chunk: Buffer): void {
    const hasRest = this.position < this.end;
    this.bytes = hasRest ? Buffer.concat([this.bytes.subarray(this.position, this.end), chunk]) : chunk;
    this.position = 0;
    this.end = this.bytes.length;
  }

  /** Gives out every frame that is whole. Errors: FRAME_ERROR; then the rest means nothing any more. */
  read(): void {
    if (this.cutBytes > 0 && !this.completeCut()) return;
    const { onFrame, bytes, end } = this;
    for (;;) {
      const { position } = this;
      const start = position + HEADER_BYTES;
      if (start > end) break;
      const frameEnd = start + this.payloadSize(bytes, position);
      if (frameEnd >= end) break;
      this.position = frameEnd + 1;
      if (!give(onFrame, bytes, position, frameEnd)) return;
    }
    if (this.position < end) this.keepCut();
  }

  /** Adds to the frame that was cut. Returns whether it was given out, and reading goes on. */
  private completeCut(): boolean {
    for (;;) {
      const wanted =
        this.cutBytes < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + this.payloadSize(this.cut, 0) + 1;
      if (this.cutBytes === wanted) {
        const { cut } = this;
        this.cut = NO_BYTES;
        this.cutBytes = 0;
        return give(this.onFrame, cut, 0, wanted - 1);
      }
      const size = Math.min(wanted - this.cutBytes, this.end - this.position);
      if (size === 0) return false;
      this.addToCut(size, wanted);
    }
  }

  private keepCut(): void {
    this.addToCut(this.end - this.position, HEADER_BYTES);
  }

  /** `wanted` is as much as will be needed, as far as that is known. */
  private addToCut(size: number, wanted: number): void {
    const neededBytes = this.cutBytes + size;
    if (neededBytes > this.cut.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(neededBytes, Math.min(wanted, neededBytes * 2)));
      this.cut.copy(grown, 0, 0, this.cutBytes);
      this.cut = grown;
    }
    this.bytes.copy(this.cut, this.cutBytes, this.position, this.position + size);
    this.cutBytes = neededBytes;
    this.position += size;
  }

  /** Errors: FRAME_ERROR when there would be more than was agreed on. */
  private payloadSize(bytes: Buffer, position: number): number {
    const size = readInt32(bytes, position + 3) >>> 0;
    const { frameMax } = this;
    if (frameMax === 0 || size <= frameMax - FRAME_OVERHEAD_BYTES + EXCESS_BYTES) return size;
    throw new ProtocolError(
      "FRAME_ERROR",
      `type ${bytes[position]}, all octets = <<>>: {frame_too_large,${size},${frameMax - FRAME_OVERHEAD_BYTES}}`,
    );
  }
}

const NO_BYTES = Buffer.alloc(0);

/** Gives out the frame that begins at `position` and whose payload ends at `end`. Errors: FRAME_ERROR. */
function give(onFrame: OnFrame, bytes: Buffer, position: number, end: number): boolean {
  const type = bytes[position]!;
  const start = position + HEADER_BYTES;
  if (bytes[end] !== FRAME_END)
    throw new ProtocolError(
      "FRAME_ERROR",
      `type ${type}, ${snippet(bytes, start, end)}: {invalid_frame_end_marker,${bytes[end]}}`,
    );
  return onFrame(type, (bytes[position + 1]! << 8) | bytes[position + 2]!, bytes, start, end);
}

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
