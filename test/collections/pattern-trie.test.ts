import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ONE_LEVEL,
  ONE_OR_MORE,
  type PatternNode,
  PatternTrie,
  ZERO_OR_MORE,
} from "../../src/collections/pattern-trie.js";

const level = fc.constantFrom("a", "b", "c", "");
const node: fc.Arbitrary<PatternNode> = fc.oneof(
  { weight: 3, arbitrary: level },
  fc.constantFrom<PatternNode>(ONE_LEVEL, ONE_OR_MORE, ZERO_OR_MORE),
);
const pattern = fc.array(node, { maxLength: 6 });
const levels = fc.array(level, { maxLength: 8 });

/** What a pattern means, said as shortly as possible. */
function matches(nodes: readonly PatternNode[], parts: readonly string[]): boolean {
  const [first, ...rest] = nodes;
  if (first === undefined) return parts.length === 0;
  if (first === ZERO_OR_MORE)
    return matches(rest, parts) || (parts.length > 0 && matches(nodes, parts.slice(1)));
  if (parts.length === 0) return false;
  if (first === ONE_OR_MORE) return matches([ZERO_OR_MORE, ...rest], parts.slice(1));
  return (first === ONE_LEVEL || first === parts[0]) && matches(rest, parts.slice(1));
}

test("a trie finds exactly the patterns that match, each value once", () => {
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 12 }), levels, (patterns, parts) => {
      const trie = new PatternTrie<number>();
      // Two patterns in three share a value.
      for (const [index, nodes] of patterns.entries()) trie.add(nodes, index % 8);
      const expected = new Set(
        patterns.flatMap((nodes, index) => (matches(nodes, parts) ? [index % 8] : [])),
      );
      assert.deepEqual([...trie.match(parts)].sort(), [...expected].sort());
    }),
    { numRuns: 1_000 },
  );
});

test("adding and removing in any order leaves what was added and not removed, and no more", () => {
  const step = fc.tuple(fc.boolean(), pattern, fc.integer({ min: 0, max: 2 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), levels, (steps, parts) => {
      const trie = new PatternTrie<number>();
      const pairs = new Map<string, { nodes: PatternNode[]; value: number }>();
      for (const [isAdded, nodes, value] of steps) {
        // One or more is one level and zero or more: the same pattern.
        const same = nodes.flatMap((one): PatternNode[] =>
          one === ONE_OR_MORE ? [ONE_LEVEL, ZERO_OR_MORE] : [one],
        );
        const key = JSON.stringify([same, value]);
        assert.equal(
          isAdded ? trie.add(nodes, value) : trie.remove(nodes, value),
          isAdded !== pairs.has(key),
        );
        if (isAdded) pairs.set(key, { nodes, value });
        else pairs.delete(key);
        assert.equal(trie.size, pairs.size);
      }
      const expected = [...pairs.values()].filter(({ nodes }) => matches(nodes, parts));
      assert.deepEqual(
        [...trie.match(parts)].sort(),
        [...new Set(expected.map(({ value }) => value))].sort(),
      );
    }),
    { numRuns: 500 },
  );
});

test("a trie that everything was removed from keeps no branch", () => {
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 10 }), (patterns) => {
      const trie = new PatternTrie<number>();
      for (const [index, nodes] of patterns.entries()) trie.add(nodes, index);
      for (const [index, nodes] of patterns.entries()) assert.equal(trie.remove(nodes, index), true);
      assert.equal(trie.nodeCount, 1);
    }),
  );
});

test("many wildcards cost no more than nodes times levels", () => {
  const trie = new PatternTrie<string>();
  const wild: PatternNode[] = Array.from({ length: 200 }, (_, index) =>
    index % 2 === 0 ? ZERO_OR_MORE : "a",
  );
  trie.add([...wild, "end"], "wild");
  trie.add([...wild, ONE_OR_MORE, ZERO_OR_MORE, ONE_OR_MORE, "end"], "wilder");
  // A walk that tried every way would not end.
  const subject = Array.from({ length: 500 }, () => "a");
  assert.deepEqual([...trie.match(subject)], []);
  assert.deepEqual([...trie.match([...subject, "end"])].sort(), ["wild", "wilder"]);
});

test("the same value under several patterns is found until the last of them is removed", () => {
  const trie = new PatternTrie<string>();
  assert.equal(trie.add(["a", ONE_LEVEL], "x"), true);
  assert.equal(trie.add(["a", ZERO_OR_MORE], "x"), true);
  assert.equal(trie.add(["a", ONE_LEVEL], "x"), false);
  assert.deepEqual([...trie.match(["a", "b"])], ["x"]);
  trie.remove(["a", ONE_LEVEL], "x");
  assert.deepEqual([...trie.match(["a", "b"])], ["x"]);
  trie.remove(["a", ZERO_OR_MORE], "x");
  assert.equal(trie.match(["a", "b"]).size, 0);
  assert.equal(trie.remove(["nothing", "there"], "x"), false);
});
