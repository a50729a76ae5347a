// What users may do: patterns within patterns, subjects, and names with stars.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePattern, parseSubject } from "../../src/broker/subject.js";
import { PatternTrie } from "../../src/collections/pattern-trie.js";
import { covers } from "../../src/server/pattern-cover.js";
import { Permissions } from "../../src/server/permissions.js";

const level = fc.constantFrom("a", "b", "c");
const subject = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join("."));
const pattern = fc
  .tuple(fc.array(fc.oneof(level, fc.constantFrom("*", "#")), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen ? [...levels, ">"] : levels).join("."));

function matches(text: string, levels: string): boolean {
  const trie = new PatternTrie<true>();
  trie.add(parsePattern(text), true);
  return trie.match(parseSubject(levels)).size > 0;
}

function within(inner: string, outer: string): boolean {
  return covers(parsePattern(outer), parsePattern(inner));
}

/** Every subject of up to so many levels of a few, one of which no pattern names; the empty one too. */
function allSubjects(levelsMax: number): string[] {
  const names = ["a", "b", "c", "other"];
  let last = [""];
  const all = [""];
  for (let count = 1; count <= levelsMax; count += 1) {
    last = last.flatMap((before) => names.map((name) => (before === "" ? name : `${before}.${name}`)));
    all.push(...last);
  }
  return all;
}

test("patterns that lie within others, and some that do not", () => {
  const cases: [inner: string, outer: string, isWithin: boolean][] = [
    ["order.placed", "order.#", true],
    ["order.*", "order.#", true],
    ["order.#", "order.*", false],
    ["order.>", "order.#", true],
    ["order.#", "order.>", false],
    ["order", "order.#", true],
    ["order", "order.>", false],
    ["#", "order.#", false],
    ["#", ">", false],
    ["#", "#", true],
    [">", "#", true],
    ["*.placed", "order.*", false],
    ["#.a", "*.#", true],
    [">", "*.#", true],
    ["#.*", ">", true],
    ["#.a.#", "#.a.#", true],
    ["a.#.b", "a.#", true],
    ["a.#.b", "#.b", true],
    ["a.#", "a.#.b", false],
    ["\\#", "a", false],
    ["\\*", "*", true],
    ["*", "\\*", false],
  ];
  for (const [inner, outer, isWithin] of cases)
    assert.equal(within(inner, outer), isWithin, `${inner} within ${outer}`);
});

test("what lies within a pattern matches nothing that the pattern does not", () => {
  fc.assert(
    fc.property(pattern, pattern, subject, (inner, outer, levels) => {
      fc.pre(within(inner, outer) && matches(inner, levels));
      assert.ok(matches(outer, levels));
    }),
    { numRuns: 1_000 },
  );
});

test("what does not lie within a pattern matches a subject that the pattern does not", () => {
  const subjects = allSubjects(6);
  fc.assert(
    fc.property(pattern, pattern, (inner, outer) => {
      fc.pre(inner.split(".").length <= 3 && outer.split(".").length <= 3 && !within(inner, outer));
      assert.ok(subjects.some((levels) => matches(inner, levels) && !matches(outer, levels)));
    }),
    { numRuns: 1_000 },
  );
});

test("a pattern that is made to be hard is refused in no time", () => {
  const hard = `#.a${".*".repeat(40)}`;
  const inner = "#.a.".repeat(100).slice(0, -1);
  const began = performance.now();
  assert.equal(within(inner, hard), false);
  assert.ok(performance.now() - began < 2_000);
});

test("a user publishes and subscribes within the patterns, and what is no subject is not allowed", () => {
  const permissions = new Permissions({ publish: ["order.#", "audit"], subscribe: ["order.*"] });
  fc.assert(
    fc.property(fc.string(), (text) => {
      const isBelow = text === "order" || text.startsWith("order.") || text === "audit";
      if (permissions.mayPublish(text)) assert.ok(isBelow, JSON.stringify(text));
    }),
  );
  assert.deepEqual(
    ["order", "order.placed", "order.a.b", "audit", "audit.a", "orders"].filter((text) =>
      permissions.mayPublish(text),
    ),
    ["order", "order.placed", "order.a.b", "audit"],
  );
  assert.deepEqual(
    ["order.a", "order.*", "order.>", "order.#", "#", "*.a", "a.>.b"].filter((text) =>
      permissions.maySubscribe(text),
    ),
    ["order.a", "order.*"],
  );
});

test("subjects that lead into queues are allowed by name only", () => {
  const permissions = new Permissions({ publish: ["#", "*.b", "_queue.mine", "_queue.our.*"] });
  assert.deepEqual(
    ["a", "_queues.a", "_queue.mine", "_queue.our.a", "_queue.b", "_queue.theirs", "_queue"].filter((text) =>
      permissions.mayPublish(text),
    ),
    ["a", "_queues.a", "_queue.mine", "_queue.our.a"],
  );
});

test("an answer that is remembered is the answer, however many were asked for", () => {
  const permissions = new Permissions({ publish: ["a.*"] });
  for (let index = 0; index < 25_000; index += 1) {
    assert.equal(permissions.mayPublish(`a.${index}`), true);
    assert.equal(permissions.mayPublish(`b.${index}`), false);
  }
  assert.equal(permissions.mayPublish("a.0"), true);
});

test("in names a star stands for any characters, and nothing else is special", () => {
  const permissions = new Permissions({
    configure: ["orders.*"],
    read: ["*"],
    write: ["a+b", "amq.gen-*", "x*y*z"],
  });
  assert.ok(permissions.mayConfigure("orders.a.b") && permissions.mayConfigure("orders."));
  assert.ok(!permissions.mayConfigure("orders") && !permissions.mayConfigure("my.orders.a"));
  assert.ok(permissions.mayRead("anything") && permissions.mayRead(""));
  assert.deepEqual(
    ["a+b", "aab", "amq.gen-x", "amq-gen-x", "xyz", "x1y2z", "x1y2z3"].filter((name) =>
      permissions.mayWrite(name),
    ),
    ["a+b", "amq.gen-x", "xyz", "x1y2z"],
  );
  assert.ok(!new Permissions({}).mayRead("anything"));
});

test("names are matched as a regular expression would, however the stars stand", () => {
  const texts = (...letters: string[]) => fc.string({ unit: fc.constantFrom(...letters), maxLength: 7 });
  fc.assert(
    fc.property(texts("a", "b", "*"), texts("a", "b"), (wanted, name) => {
      const expected = new RegExp(`^${wanted.replaceAll("*", ".*")}$`).test(name);
      assert.equal(new Permissions({ read: [wanted] }).mayRead(name), expected);
    }),
    { numRuns: 2_000 },
  );
});

test("a name that is made to be hard for a pattern with many stars is decided in no time", () => {
  const permissions = new Permissions({ read: ["*a*a*a*a*a*a*a*b"] });
  const began = performance.now();
  assert.equal(permissions.mayRead("a".repeat(255)), false);
  assert.ok(performance.now() - began < 1_000);
});
