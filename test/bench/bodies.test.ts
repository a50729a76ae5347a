import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BODY_BYTES,
  BodyRing,
  CORRUPT_BODY,
  jsonBody,
  readBody,
  readJsonBody,
  readTextBody,
  textBody,
} from "../../bench/bodies.js";

const NUMBERS = [0, 1, 63, 64, 1_000_000, 0xffff_ffff];

test("a body of each kind is read as the number that it was made of", () => {
  const ring = new BodyRing(7, 10);
  for (const number of NUMBERS) {
    assert.equal(readBody(7, ring.body(number)), number);
    assert.equal(readTextBody(7, textBody(7, number)), number);
    assert.equal(readJsonBody(7, jsonBody(7, number)), number);
  }
});

test("bytes and text are the same body, of the size that the report names", () => {
  const bytes = new BodyRing(7, 10).body(64);
  assert.equal(bytes.toString("latin1"), textBody(7, 64));
  assert.equal(bytes.length, BODY_BYTES);
});

test("a body of another queue is corrupt", () => {
  assert.equal(readBody(8, new BodyRing(7, 10).body(64)), CORRUPT_BODY);
  assert.equal(readTextBody(8, textBody(7, 64)), CORRUPT_BODY);
  assert.equal(readJsonBody(8, jsonBody(7, 64)), CORRUPT_BODY);
});

test("a body that was shortened, or changed in its number, check or filler, is corrupt", () => {
  const body = new BodyRing(7, 10).body(64);
  assert.equal(readBody(7, body.subarray(1)), CORRUPT_BODY);
  for (const position of [7, 15, 16, BODY_BYTES - 1]) {
    const damaged = Buffer.from(body);
    damaged[position]! ^= 1;
    assert.equal(readBody(7, damaged), CORRUPT_BODY);
    assert.equal(readTextBody(7, damaged.toString("latin1")), CORRUPT_BODY);
  }
});
