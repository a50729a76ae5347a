import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { msgpack } from "../../../src/bus/codecs/msgpack.js";
import { roundTrip, storedBody } from "./codec-records.js";

/** Bodies as https://github.com/msgpack/msgpack/blob/master/spec.md draws them. */
const BODIES: readonly (readonly [unknown, string])[] = [
  [null, "c0"],
  [true, "c3"],
  [127, "7f"],
  [-32, "e0"],
  [65536, "ce00010000"],
  [1.5, "cb3ff8000000000000"],
  ["a", "a161"],
  [new Uint8Array([1, 2]), "c4020102"],
  [[1, "a"], "9201a161"],
  [{ a: 1 }, "81a16101"],
  [new Date(1000), "d6ff00000001"],
];

test("values are written and read as the format says", () => {
  for (const [value, hex] of BODIES) {
    assert.equal(Buffer.from(msgpack.encode(value)).toString("hex"), hex);
    assert.deepEqual(msgpack.decode(storedBody(Buffer.from(hex, "hex"))), value);
  }
});

test("whatever JSON can say comes back as it was", () => {
  const values = fc.jsonValue({ maxDepth: 5 });
  fc.assert(
    fc.property(values, (value) => {
      // A key of this name is refused.
      fc.pre(!JSON.stringify(value).includes("__proto__"));
      assert.equal(JSON.stringify(roundTrip(msgpack, value)), JSON.stringify(value));
    }),
  );
});

test("a field that is undefined is left out, as in JSON", () => {
  assert.deepEqual(roundTrip(msgpack, { a: 1, b: undefined }), { a: 1 });
});

test("what MessagePack cannot hold is refused", () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  for (const value of [undefined, 1n, () => 1, Symbol("s"), cycle, { deep: 2n ** 70n }])
    assert.throws(() => msgpack.encode(value));
});

test("a body that is cut short, goes on, or claims more than it has is refused", () => {
  const whole = Buffer.from(msgpack.encode({ list: [1, 2, 3], text: "words" }));
  for (let size = 0; size < whole.length; size += 1)
    assert.throws(() => msgpack.decode(storedBody(whole.subarray(0, size))), `cut to ${size}`);
  assert.throws(() => msgpack.decode(storedBody(Buffer.concat([whole, Buffer.of(0)]))));
  assert.throws(() => msgpack.decode(storedBody(null)));
  assert.throws(() => msgpack.decode(storedBody(Buffer.from("ddffffffff", "hex"))), /max/);
  assert.throws(() => msgpack.decode(storedBody(Buffer.from("dfffffffff", "hex"))), /max/);
  assert.throws(
    () => msgpack.decode(storedBody(Buffer.from("81a95f5f70726f746f5f5f80", "hex"))),
    /__proto__/,
  );
});
