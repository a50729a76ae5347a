import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isBrokerError } from "../../src/broker-error.js";
import { Cursor } from "../../src/bytes/cursor.js";
import { varintSize, varlongSize, writeVarint, writeVarlong } from "../../src/bytes/varint.js";

/** Values and their bytes, read both ways. */
const varints: readonly [value: number, hex: string][] = [
  [0, "00"],
  [-1, "01"],
  [1, "02"],
  [63, "7e"],
  [-64, "7f"],
  [64, "8001"],
  [-65, "8101"],
  [8191, "fe7f"],
  [8192, "808001"],
  [-8193, "818001"],
  [1048576, "80808001"],
  [134217728, "8080808001"],
  [2147483647, "feffffff0f"],
  [-2147483648, "ffffffff0f"],
];

const varlongs: readonly [value: number, hex: string][] = [
  ...varints,
  [2147483648, "8080808010"],
  [-2147483649, "8180808010"],
  [1700000000000, "80a0abfef962"],
  [Number.MAX_SAFE_INTEGER, "feffffffffffff1f"],
  [Number.MIN_SAFE_INTEGER, "fdffffffffffff1f"],
];

for (const [value, hex] of varints) {
  test(`the varint ${value} is ${hex}`, () => {
    assert.equal(encode(writeVarint, value), hex);
    assert.equal(varintSize(value), hex.length / 2);
    assert.equal(cursorOver(hex).varint("value"), value);
  });
}

for (const [value, hex] of varlongs) {
  test(`the varlong ${value} is ${hex}`, () => {
    assert.equal(encode(writeVarlong, value), hex);
    assert.equal(varlongSize(value), hex.length / 2);
    assert.equal(cursorOver(hex).varlong("value"), value);
  });
}

const malformed: readonly [name: string, kind: "varint" | "varlong", hex: string, position: number][] = [
  ["without a byte", "varint", "", 7],
  ["cut off after one byte", "varint", "80", 8],
  ["cut off after four bytes", "varint", "80808080", 11],
  ["of six bytes", "varint", "808080808001", 7],
  ["of five bytes with a 33rd bit", "varint", "8080808010", 7],
  ["without a byte", "varlong", "", 7],
  ["cut off after nine bytes", "varlong", "808080808080808080", 16],
  ["of eleven bytes", "varlong", "8080808080808080808001", 7],
  ["of 2^53", "varlong", "8080808080808020", 7],
  ["of -2^63", "varlong", "ffffffffffffffffff01", 7],
];

for (const [name, kind, hex, position] of malformed) {
  test(`a ${kind} ${name} is refused and the error says at which byte`, () => {
    const bytes = Buffer.from(hex, "hex");
    const cursor = new Cursor(bytes, 0, bytes.length, "INVALID_PAYLOAD", 7);
    assert.throws(
      () => cursor[kind]("length"),
      (error) => isBrokerError(error, "INVALID_PAYLOAD") && error.context["position"] === position,
    );
  });
}

test("every 32-bit number survives the round trip", () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (value) => {
      const hex = encode(writeVarint, value);
      assert.equal(varintSize(value), hex.length / 2);
      assert.equal(cursorOver(hex).varint("value"), value);
    }),
  );
});

test("every safe integer survives the round trip as a varlong", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const hex = encode(writeVarlong, value);
      assert.equal(varlongSize(value), hex.length / 2);
      assert.equal(cursorOver(hex).varlong("value"), value);
    }),
  );
});

test("random bytes give a number or an error, and never move past the end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), fc.nat(12), (bytes, cut) => {
      const end = Math.min(cut, bytes.length);
      for (const kind of ["varint", "varlong"] as const) {
        const cursor = new Cursor(bytes, 0, end, "LOG_CORRUPT");
        try {
          assert.ok(Number.isSafeInteger(cursor[kind]("value")));
        } catch (error) {
          assert.ok(isBrokerError(error, "LOG_CORRUPT"));
        }
        assert.ok(cursor.position <= end);
      }
    }),
  );
});

function encode(
  write: (bytes: Uint8Array, position: number, value: number) => number,
  value: number,
): string {
  const bytes = Buffer.alloc(16);
  return bytes.toString("hex", 0, write(bytes, 0, value));
}

function cursorOver(hex: string): Cursor {
  const bytes = Buffer.from(hex, "hex");
  return new Cursor(bytes, 0, bytes.length, "INVALID_PAYLOAD");
}
