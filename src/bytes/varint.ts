// Zigzag varints as Kafka records use them: a signed number whose sign sits in the lowest bit, in groups of seven
// bits, lowest first, the top bit of a byte saying that another follows.

/** The most bytes that {@link writeVarint} writes. */
export const VARINT_BYTES_MAX = 5;

/** How many bytes {@link writeVarint} takes for `value`, a signed 32-bit number. */
export function varintSize(value: number): number {
  const zigzag = (value << 1) ^ (value >> 31);
  if ((zigzag & ~0x7f) === 0) return 1;
  if ((zigzag & ~0x3fff) === 0) return 2;
  if ((zigzag & ~0x1fffff) === 0) return 3;
  return (zigzag & ~0xfffffff) === 0 ? 4 : 5;
}

/** Writes `value`, a signed 32-bit number, and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let zigzag = (value << 1) ^ (value >> 31);
  let at = position;
  while ((zigzag & ~0x7f) !== 0) {
    bytes[at++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  bytes[at++] = zigzag;
  return at;
}

/** How many bytes {@link writeVarlong} takes for `value`, a safe integer. */
export function varlongSize(value: number): number {
  if (value === (value | 0)) return varintSize(value);
  let rest = Math.floor((value < 0 ? -1 - value : value) / 64);
  let size = 1;
  for (; rest > 0; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/**
 * Writes `value`, a safe integer, as a 64-bit zigzag varint, and returns the position after it. The sign is
 * split off first, because twice a safe integer need not be exact.
 */
export function writeVarlong(bytes: Uint8Array, position: number, value: number): number {
  if (value === (value | 0)) return writeVarint(bytes, position, value);
  const magnitude = value < 0 ? -1 - value : value;
  let low = (magnitude % 64) * 2 + (value < 0 ? 1 : 0);
  let rest = Math.floor(magnitude / 64);
  let at = position;
  while (rest > 0) {
    bytes[at++] = low | 0x80;
    low = rest % 128;
    rest = Math.floor(rest / 128);
  }
  bytes[at++] = low;
  return at;
}
