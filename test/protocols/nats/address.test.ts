// Subjects of NATS and of the broker: a bijection.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatSubject, parsePattern, parseSubject } from "../../../src/broker/subject.js";
import { PatternTrie } from "../../../src/collections/pattern-trie.js";
import {
  fromCanonicalSubject,
  isLiteral,
  subjectText,
  toCanonicalPattern,
  toCanonicalSubject,
} from "../../../src/protocols/nats/address.js";

const pairs: readonly [nats: string, canonical: string][] = [
  ["order.placed", "order.placed"],
  ["a", "a"],
  ["*", "\\*"],
  ["a.>", "a.\\>"],
  ["a.#.b", "a.\\#.b"],
  ["a*b.>>.##", "a*b.>>.##"],
  ["a\\b", "a\\\\b"],
  ["a..b", "a..b"],
  [".", "."],
  ["%2E", "\\."],
  ["a%2Eb", "a\\.b"],
  ["a%20b", "a b"],
  ["100%", "100%"],
  ["%252E", "%2E"],
  ["%25252E", "%252E"],
  ["%2e", "%2e"],
  ["%00", ""],
  ["%2500", "%00"],
  ["_INBOX.x9.1", "_INBOX.x9.1"],
];

for (const [nats, canonical] of pairs) {
  test(`${nats} on the wire is ${canonical || "the subject without levels"} on the bus, and back`, () => {
    assert.equal(toCanonicalSubject(nats), canonical);
    assert.equal(fromCanonicalSubject(canonical), nats);
  });
}

/** Text that is full of what is special anywhere. */
const token = fc
  .array(
    fc.constantFrom("a", "b", "*", ">", "#", "\\", "%", "%2E", "%20", "%25", "%00", "2E", "é", "😀", "25"),
    {
      maxLength: 6,
    },
  )
  .map((parts) => parts.join(""));

test("every subject of NATS has one subject of the bus, and comes back", () => {
  fc.assert(
    fc.property(fc.array(token, { minLength: 1, maxLength: 5 }), (tokens) => {
      const text = tokens.join(".");
      fc.pre(text !== "");
      const canonical = toCanonicalSubject(text);
      assert.equal(fromCanonicalSubject(canonical), text);
      // It is canonical: nothing else spells it.
      if (canonical !== "") assert.equal(formatSubject(parseSubject(canonical)), canonical);
    }),
    { numRuns: 2_000 },
  );
});

test("every subject of the bus has one subject of NATS, and comes back", () => {
  const level = fc
    .array(fc.constantFrom("a", ".", " ", "*", ">", "#", "\\", "%", "2E", "20", "25", "00", "%2E", "é"), {
      maxLength: 6,
    })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.array(level, { maxLength: 5 }), (levels) => {
      const canonical = formatSubject(levels);
      const text = fromCanonicalSubject(canonical);
      assert.equal(toCanonicalSubject(text), canonical);
      assert.ok(text !== "" && !/\s/.test(text), `'${text}' ends an argument`);
    }),
    { numRuns: 2_000 },
  );
});

/** How NATS itself matches. */
function matches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (const [index, token] of pattern.entries()) {
    if (token === ">") return subject.length > index;
    if (subject[index] === undefined || (token !== "*" && token !== subject[index])) return false;
  }
  return pattern.length === subject.length;
}

test("a pattern matches on the bus what it matches in NATS", () => {
  const plain = fc.constantFrom("a", "b", "*", ">", "#", "%2E", "a*", "\\", "");
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "*", "#", "%2E", "a*", "\\"), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.array(plain, { minLength: 1, maxLength: 5 }),
      (tokens, isOpen, subject) => {
        const pattern = isOpen ? [...tokens, ">"] : tokens;
        fc.pre(subject.join(".") !== "");
        const trie = new PatternTrie<true>();
        trie.add(parsePattern(toCanonicalPattern(pattern.join("."))!), true);
        const found = trie.match(parseSubject(toCanonicalSubject(subject.join("."))));
        assert.equal(found.size === 1, matches(pattern, subject));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("what NATS does not take as a subscription is none", () => {
  for (const text of ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b"])
    assert.equal(toCanonicalPattern(text), undefined);
});

test("bytes that are no text, and control characters, are no subject", () => {
  for (const bytes of [[0xff], [0x61, 0xc3], [1], [0x7f], [0xc2, 0x85]])
    assert.equal(subjectText(Buffer.from(bytes)), undefined);
  assert.equal(subjectText(Buffer.from("a".repeat(1_025))), undefined);
  assert.equal(subjectText(Buffer.from("é.😀")), "é.😀");
});

test("a literal subject has neither empty tokens nor wildcards", () => {
  for (const text of ["a", "a.b*", "a.>b"]) assert.equal(isLiteral(text), true);
  for (const text of ["a..b", "a.*", "a.>", ".a"]) assert.equal(isLiteral(text), false);
});
