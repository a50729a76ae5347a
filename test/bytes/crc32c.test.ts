import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../src/bytes/crc32c.js";

/** Published vectors: RFC 3720, B.4, and the check value of the CRC catalogue. */
const vectors: readonly [name: string, bytes: Uint8Array, crc: number][] = [
  ["nothing", new Uint8Array(0), 0],
  ["the digits 1 to 9", Buffer.from("123456789"), 0xe3069283],
  ["32 zero bytes", new Uint8Array(32), 0x8a9136aa],
  ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 rising bytes", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ["32 falling bytes", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
];

for (const [name, bytes, crc] of vectors) {
  test(`the CRC-32C of ${name} is the published one`, () => assert.equal(crc32c(bytes), crc));
}

/** The definition, a bit at a time. */
function crc32cByBits(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test("any bytes at any alignment have the CRC-32C of the definition", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(16), (bytes, shift) => {
      const start = Math.min(shift, bytes.length);
      assert.equal(crc32c(bytes, start), crc32cByBits(bytes.subarray(start)));
    }),
  );
});

test("a megabyte has the CRC-32C of the definition, at any alignment", () => {
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 2654435761) >>> 13);
  for (const start of [0, 1, 7, 16]) {
    assert.equal(crc32c(bytes, start), crc32cByBits(bytes.subarray(start)));
  }
});

test("a checksum goes on from an earlier part", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
      const at = Math.min(cut, bytes.length);
      assert.equal(crc32c(bytes, at, bytes.length, crc32c(bytes, 0, at)), crc32c(bytes));
    }),
  );
});
