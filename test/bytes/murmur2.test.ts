import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur2, partitionOf } from "../../src/bytes/murmur2.js";

/** The vectors of Kafka's own test, `UtilsTest.testMurmur2`; signed there, as Java's int is. */
const vectors: readonly (readonly [key: string, hash: number])[] = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
];

test("keys hash as Kafka's clients hash them", () => {
  for (const [key, hash] of vectors) assert.equal(murmur2(Buffer.from(key)) | 0, hash, key);
});

test("a key's partition is its hash without the sign bit, whether it is text or bytes", () => {
  for (const [key, hash] of vectors) {
    for (const partitions of [1, 3, 12]) {
      const expected = (hash & 0x7fffffff) % partitions;
      assert.equal(partitionOf(key, partitions), expected, key);
      assert.equal(partitionOf(Buffer.from(key), partitions), expected, key);
    }
  }
});
