// Writing small things into a buffer without making strings or views of them.

/** From here on a copy by the system costs less, although it needs a view of what is copied. */
const SYSTEM_COPY_BYTES_MIN = 160;

/** Bytes, and a second look at the same bytes, four at a time. */
export class Bytes {
  readonly bytes: Buffer;
  readonly words: DataView;
  /** Whether somebody may look at them later. */
  isKept: boolean;

  constructor(bytes: Buffer) {
    this.isKept = false;
    this.bytes = bytes;
    this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

/**
 * Hot: copies `source[start, end)` to `target` at `at`; returns where it ends. Four bytes at a time, because a loop over
 * bytes costs three times as much, and a view for the system's own copy more than copying what is this short.
 */
export function copyBytes(
  target: Buffer,
  targetWords: DataView,
  at: number,
  source: Bytes,
  start: number,
  end: number,
): number {
  const { bytes, words } = source;
  const length = end - start;
  if (length >= SYSTEM_COPY_BYTES_MIN) {
    target.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length), at);
    return at + length;
  }
  let to = at;
  let from = start;
  for (const last = end - 4; from <= last; from += 4) {
    targetWords.setInt32(to, words.getInt32(from, true), true);
    to += 4;
  }
  for (; from < end; from += 1) {
    target[to] = bytes[from]!;
    to += 1;
  }
  return to;
}

/** Hot: writes a whole number in decimal; returns where it ends. */
export function writeNumber(target: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
  const end = at + digits;
  let rest = value;
  for (let to = end - 1; to >= at; to -= 1) {
    const next = Math.floor(rest / 10);
    target[to] = 48 + rest - next * 10;
    rest = next;
  }
  return end;
}

/** Whether `bytes[start, end)` are `expected`. */
export function areBytes(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (end - start !== expected.length) return false;
  for (let index = 0; index < expected.length; index += 1)
    if (bytes[start + index] !== expected[index]) return false;
  return true;
}

/** Hot: the hash of bytes with one more. */
export function hashByte(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0;
}

/** Hot: whether `bytes[start, end)` are visible ASCII and mean nothing special in any subject. */
export function isPlainText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (IS_PLAIN[bytes[at]!] === 0) return false;
  return end - start <= PLAIN_LENGTH_MAX;
}

/** Shorter than any limit of subjects. */
const PLAIN_LENGTH_MAX = 1024;
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte > 32 && byte < 127 && !"\\*#>%".includes(String.fromCharCode(byte)) ? 1 : 0,
);
