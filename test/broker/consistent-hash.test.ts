import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsistentHash } from "../../src/broker/consistent-hash.js";

const KEYS = Array.from({ length: 100_000 }, (_, i) => `key-${i}`);
/** How far a share may be off, as a part of all keys: eight standard deviations of a fair draw of so many. */
const TOLERANCE = 8 * Math.sqrt(0.25 / KEYS.length);

function hashOf(members: Record<string, number>): ConsistentHash<string> {
  const hash = new ConsistentHash<string>();
  for (const [name, weight] of Object.entries(members)) hash.set(name, name, weight);
  return hash;
}

const homes = (hash: ConsistentHash<string>): string[] => KEYS.map((key) => hash.choose(key)!);

function shares(chosen: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of chosen) counts[name] = (counts[name] ?? 0) + 1 / chosen.length;
  return counts;
}

function assertNear(actual: number | undefined, wanted: number, what: string): void {
  assert.ok(Math.abs((actual ?? 0) - wanted) < TOLERANCE, `${what}: ${actual} instead of ${wanted}`);
}

test("each member gets the share of the keys that its weight is of the whole", () => {
  const weights = { a: 1, b: 2, c: 5, d: 1, e: 1 };
  const found = shares(homes(hashOf(weights)));
  for (const [name, weight] of Object.entries(weights)) assertNear(found[name], weight / 10, name);
});

test("members with names alike, and keys that only count up, are still shared out evenly", () => {
  for (const count of [2, 3, 10]) {
    const names = Array.from({ length: count }, (_, i) => `queue/worker-${i}`);
    const found = shares(homes(hashOf(Object.fromEntries(names.map((name) => [name, 1])))));
    for (const name of names) assertNear(found[name], 1 / count, `${name} of ${count}`);
  }
});

test("a member that joins takes its share from all, and nothing else moves", () => {
  const hash = hashOf({ a: 1, b: 1, c: 1, d: 1 });
  const before = homes(hash);
  hash.set("e", "e", 1);
  const after = homes(hash);
  const moved = KEYS.flatMap((_, i) => (after[i] === before[i] ? [] : [i]));
  assertNear(moved.length / KEYS.length, 1 / 5, "moved");
  assert.ok(moved.every((i) => after[i] === "e"));
  const givers = shares(moved.map((i) => before[i]!));
  for (const name of ["a", "b", "c", "d"])
    assertNear(givers[name]! * (moved.length / KEYS.length), 1 / 20, `given by ${name}`);
});

test("a member that leaves gives its share to all, and nothing else moves", () => {
  const hash = hashOf({ a: 1, b: 2, c: 1 });
  const before = homes(hash);
  hash.delete("b");
  const after = homes(hash);
  assertNear(shares(before)["b"], 1 / 2, "b");
  assert.ok(KEYS.every((_, i) => before[i] === "b" || after[i] === before[i]));
  hash.set("b", "b", 2);
  assert.deepEqual(homes(hash), before);
});

test("a weight that changes moves only what the difference is", () => {
  const hash = hashOf({ a: 1, b: 1 });
  const before = homes(hash);
  hash.set("b", "b", 3);
  const after = homes(hash);
  assert.ok(KEYS.every((_, i) => after[i] === before[i] || after[i] === "b"));
  assertNear(shares(after)["b"], 3 / 4, "b");
});

test("text and its bytes are one key, and the order in which members came does not matter", () => {
  const hash = hashOf({ a: 1, b: 1, c: 2 });
  const turned = hashOf({ c: 2, b: 1, a: 1 });
  for (const key of ["", "käse", "order-42", "\u{1F600}"]) {
    assert.equal(hash.choose(key), hash.choose(Buffer.from(key)));
    assert.equal(hash.choose(key), turned.choose(key));
  }
  assert.equal(new ConsistentHash<string>().choose("a"), undefined);
});
