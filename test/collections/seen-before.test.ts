import assert from "node:assert/strict";
import { test } from "node:test";
import { SeenBefore } from "../../src/collections/seen-before.js";

test("a text is known the second time, also in between many that come once", () => {
  const seen = new SeenBefore();
  assert.equal(seen.test("a.b"), false);
  assert.equal(seen.test("a.b"), true);
  for (let other = 0; other < 100; other += 1) seen.test(`other.${other}`);
  assert.equal(seen.test("a.b"), true);
});

test("texts that each come once are hardly ever taken for known ones", () => {
  const seen = new SeenBefore();
  let known = 0;
  for (let one = 0; one < 100_000; one += 1) if (seen.test(`_INBOX.abc.${one}`)) known += 1;
  assert.ok(known < 10, `${known} of 100,000`);
});

test("of a thousand texts that come in turn nearly all are known soon, although some share a place", () => {
  const seen = new SeenBefore();
  let known = 0;
  for (let round = 0; round < 20; round += 1) {
    known = 0;
    for (let one = 0; one < 1_000; one += 1) if (seen.test(`hot.${one}.x`)) known += 1;
  }
  assert.ok(known > 850, `${known} of 1,000`);
});
