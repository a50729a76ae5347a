import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { OrderSchema } from "../../../examples/generated/order-pb.js";
import { protobuf } from "../../../src/bus/codecs/protobuf.js";
import { roundTrip, storedBody } from "./codec-records.js";

const codec = protobuf(OrderSchema);

/** Field 1 "o-1", field 2 42, field 3 {sku "tea", count 2}. */
const BODY = "0a036f2d31102a1a070a03746561" + "1002";
const FIELDS = { id: "o-1", total: 42, lines: [{ sku: "tea", count: 2 }] };

test("fields are written as the format says, and read as a message", () => {
  assert.equal(Buffer.from(codec.encode(FIELDS)).toString("hex"), BODY);
  assert.deepEqual(codec.decode(storedBody(Buffer.from(BODY, "hex"))), create(OrderSchema, FIELDS));
});

test("a message is written as well as its fields", () => {
  const message = create(OrderSchema, { ...FIELDS, placedAt: timestampFromMs(1_500) });
  assert.deepEqual(roundTrip(codec, message), message);
});

test("no body is a message in which nothing is set", () => {
  assert.deepEqual(codec.decode(storedBody(null)), create(OrderSchema));
  assert.equal(codec.encode({}).length, 0);
});

test("fields of a later version of the type are kept", () => {
  const later = `${BODY}7a0568656c6c6f`;
  const message = codec.decode(storedBody(Buffer.from(later, "hex")));
  assert.equal(Buffer.from(codec.encode(message)).toString("hex"), later);
});

test("what does not fit the type is refused, written and read", () => {
  assert.throws(() => codec.encode({ total: -1 }), /uint32/);
  for (const body of ["0a", "0aff", "0a0461", "ffffffffffffffffffffff"])
    assert.throws(() => codec.decode(storedBody(Buffer.from(body, "hex"))), body);
});
