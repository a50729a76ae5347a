// Buffers for what is on its way out, used again and again: making one costs more than filling it.

/** All chunks have this size. */
export const CHUNK_BYTES = 64 * 1024;
/** Free chunks that are kept; 4 MiB. */
const FREE_MAX = 64;

/** A piece of memory to encode into. */
export class Chunk {
  readonly buffer: Buffer;
  /** The same bytes, for who writes several at once. */
  readonly words: DataView;

  constructor(sizeBytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(sizeBytes);
    this.words = new DataView(this.buffer.buffer, this.buffer.byteOffset, sizeBytes);
  }
}

const free: Chunk[] = [];

export function takeChunk(): Chunk {
  return free.pop() ?? new Chunk(CHUNK_BYTES);
}

/** Nobody may look at it any more. */
export function giveChunkBack(chunk: Chunk): void {
  if (chunk.buffer.length === CHUNK_BYTES && free.length < FREE_MAX) free.push(chunk);
}
