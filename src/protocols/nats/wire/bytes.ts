// Writing small things into a buffer without making strings or views of them.

/** Below this a loop costs less than the view that a copy by the system needs. */
const LOOP_BYTES_MAX = 96;

/** Hot: copies `source[start, end)` to `target` at `at`; returns where it ends. */
export function copyBytes(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  if (end - start > LOOP_BYTES_MAX) {
    target.set(new Uint8Array(source.buffer, source.byteOffset + start, end - start), at);
    return at + end - start;
  }
  let to = at;
  for (let from = start; from < end; from += 1) {
    target[to] = source[from]!;
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
