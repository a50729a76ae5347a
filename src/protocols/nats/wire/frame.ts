// The bytes of a frame that did not arrive in one piece.

/** At first there is room for so much more than has come: what a client only announces costs nothing. */
const ROOM_BYTES = 512;

/** Grows with what arrives, never with what is announced. */
export class PartialFrame {
  /** The frame's bytes begin it; nobody writes to those again. */
  bytes: Buffer;
  length: number;
  /** All bytes of the frame; 0 until its control line has ended. */
  sizeBytes: number;

  constructor(chunk: Buffer, start: number, sizeBytes: number) {
    this.length = chunk.length - start;
    this.sizeBytes = sizeBytes;
    this.bytes = Buffer.allocUnsafeSlow(this.capacity(this.length));
    chunk.copy(this.bytes, 0, start);
  }

  append(chunk: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(this.capacity(length));
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    chunk.copy(this.bytes, this.length, start, end);
    this.length = length;
  }

  private capacity(length: number): number {
    const roomy = 2 * length + ROOM_BYTES;
    return this.sizeBytes === 0 ? roomy : Math.max(length, Math.min(roomy, this.sizeBytes));
  }
}
