// CRC-32C (Castagnoli), the checksum of record batches and of the journal.

import { makeCrc32cBlocks } from "./crc32c-wasm.js";

/**
 * Sixteen tables of 256 entries. Table `k` holds, for each byte, its share of the checksum when `k` more bytes
 * follow it, so sixteen input bytes become sixteen independent look-ups ("slicing by 16").
 */
const TABLES = makeTables();
const T0 = TABLES[0]!;
const T1 = TABLES[1]!;
const T2 = TABLES[2]!;
const T3 = TABLES[3]!;
const T4 = TABLES[4]!;
const T5 = TABLES[5]!;
const T6 = TABLES[6]!;
const T7 = TABLES[7]!;
const T8 = TABLES[8]!;
const T9 = TABLES[9]!;
const T10 = TABLES[10]!;
const T11 = TABLES[11]!;
const T12 = TABLES[12]!;
const T13 = TABLES[13]!;
const T14 = TABLES[14]!;
const T15 = TABLES[15]!;

const wasmBlocks = makeCrc32cBlocks(TABLES);
/** From here on WebAssembly is faster than the loop below, its copy included. */
const WASM_BYTES_MIN = 512;

function makeTables(): Int32Array[] {
  const reversedPolynomial = 0x82f63b78;
  const tables = Array.from({ length: 16 }, () => new Int32Array(256));
  const first = tables[0]!;
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ reversedPolynomial : crc >>> 1;
    first[byte] = crc;
  }
  for (let k = 1; k < 16; k += 1) {
    const previous = tables[k - 1]!;
    for (let byte = 0; byte < 256; byte += 1) {
      const crc = previous[byte]!;
      tables[k]![byte] = (crc >>> 8) ^ first[crc & 0xff]!;
    }
  }
  return tables;
}

/**
 * The CRC-32C of `bytes[start, end)`, as an unsigned number. To go on from an earlier part, pass its result as
 * `previous`: `crc32c(b, 0, b.length, crc32c(a))` is the checksum of `a` followed by `b`.
 *
 * Hot: every byte that is written or read from a disk. No allocation beyond one view per call.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, previous = 0): number {
  let crc = ~previous;
  let at = start;
  if (end - start >= WASM_BYTES_MIN && wasmBlocks !== undefined) {
    at = end - ((end - start) & 15);
    crc = wasmBlocks(crc, bytes, start, at);
  }
  for (; at + 16 <= end; at += 16) {
    crc =
      T11[bytes[at + 4]!]! ^
      T10[bytes[at + 5]!]! ^
      T9[bytes[at + 6]!]! ^
      T8[bytes[at + 7]!]! ^
      T7[bytes[at + 8]!]! ^
      T6[bytes[at + 9]!]! ^
      T5[bytes[at + 10]!]! ^
      T4[bytes[at + 11]!]! ^
      T3[bytes[at + 12]!]! ^
      T2[bytes[at + 13]!]! ^
      T1[bytes[at + 14]!]! ^
      T0[bytes[at + 15]!]! ^
      T15[(bytes[at]! ^ crc) & 0xff]! ^
      T14[(bytes[at + 1]! ^ (crc >>> 8)) & 0xff]! ^
      T13[(bytes[at + 2]! ^ (crc >>> 16)) & 0xff]! ^
      T12[bytes[at + 3]! ^ (crc >>> 24)]!;
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
