import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assertPublishable, formatSubject, parsePattern, parseSubject } from "../../src/broker/subject.js";

const level = fc
  .string({ minLength: 1, maxLength: 8, unit: "grapheme" })
  .filter((text) => !/\p{Cc}/u.test(text));
const levels = fc.array(level, { minLength: 1, maxLength: 4 });

test("levels survive the round trip through their canonical text", () => {
  fc.assert(
    fc.property(levels, (parts) => {
      assert.deepEqual(parseSubject(formatSubject(parts)), parts);
    }),
  );
});

test("the canonical text of levels can be published, and is no pattern", () => {
  fc.assert(
    fc.property(levels, (parts) => {
      assertPublishable(formatSubject(parts));
      assert.deepEqual(parsePattern(formatSubject(parts)), parts);
    }),
  );
});

test("dots, backslashes and lone wildcards inside a level are escaped, and nothing else", () => {
  assert.equal(formatSubject(["a.b", "c\\d", "*", "#", ">", "x*y"]), "a\\.b.c\\\\d.\\*.\\#.\\>.x*y");
});
