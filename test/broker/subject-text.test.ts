import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  assertPattern,
  assertPublishable,
  formatSubject,
  parsePattern,
  parseSubject,
  plainLevels,
} from "../../src/broker/subject.js";
import { isBrokerError } from "../../src/broker-error.js";

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

test("the levels of plain subjects are found as those of any other", () => {
  const text = fc.string({
    maxLength: 12,
    unit: fc.constantFrom("a", "é", ".", "*", "#", ">", "\\", "\n", " "),
  });
  fc.assert(
    fc.property(text, (subject) => {
      const levels = plainLevels(subject);
      if (levels === undefined) return;
      assert.deepEqual(parsePattern(subject), levels);
      assert.equal(formatSubject(levels), subject);
    }),
  );
  assert.deepEqual(plainLevels("a..b."), ["a", "", "b", ""]);
  for (const other of ["", "a.*", "#", "a\\.b", "é", "a\n", "a>", "x".repeat(1025)])
    assert.equal(plainLevels(other), undefined);
});

test("the empty text is the subject without levels, and levels may be empty", () => {
  assert.deepEqual([parseSubject(""), parsePattern(""), formatSubject([])], [[], [], ""]);
  for (const text of [".", "a.", ".a", "a..b", "..."]) assert.equal(formatSubject(parseSubject(text)), text);
});

test("applications neither publish under the empty subject or an empty level, nor ask for the empty subject", () => {
  for (const subject of ["", ".", "a.", ".a", "a..b"])
    assert.throws(
      () => assertPublishable(subject),
      (error) => isBrokerError(error, "INVALID_SUBJECT"),
    );
  assert.throws(
    () => assertPattern(""),
    (error) => isBrokerError(error, "INVALID_SUBJECT"),
  );
  assertPattern("a.#");
});

test("dots, backslashes and lone wildcards inside a level are escaped, and nothing else", () => {
  assert.equal(formatSubject(["a.b", "c\\d", "*", "#", ">", "x*y"]), "a\\.b.c\\\\d.\\*.\\#.\\>.x*y");
});
