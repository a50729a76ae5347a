import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Assigned, assign } from "../../src/broker/partition-assignment.js";

interface Partition extends Assigned<string> {
  owner: string | undefined;
}

function partitions(...owners: (string | undefined)[]): Partition[] {
  return owners.map((owner) => ({ owner, heir: owner }));
}

function heirs(all: readonly Partition[]): string {
  return all.map(({ heir }) => heir ?? "-").join("");
}

function countOf(all: readonly Partition[], member: string): number {
  return all.filter(({ heir }) => heir === member).length;
}

test("partitions are divided among the members, and whoever has one keeps it", () => {
  const all = partitions(undefined, undefined, undefined, undefined);
  assign(all, ["a"]);
  assert.equal(heirs(all), "aaaa");
  for (const partition of all) partition.owner = partition.heir;
  assign(all, ["a", "b"]);
  assert.equal(heirs(all), "aabb");
  for (const partition of all) partition.owner = partition.heir;
  assign(all, ["a", "b", "c"]);
  assert.equal([..."abc"].map((member) => countOf(all, member)).join(), "2,1,1");
  assert.equal(heirs(all).slice(0, 2), "aa", "of those that stay, the one that has more keeps more");
  assign(all, []);
  assert.equal(heirs(all), "----");
});

test("a partition that is on its way to another goes back to its owner when that one leaves before", () => {
  const all = partitions("a", "a");
  assign(all, ["a", "b"]);
  assert.equal(heirs(all), "ab");
  assign(all, ["a"]);
  assert.equal(heirs(all), "aa");
});

test("whoever comes and goes: shares differ by one at most, and no more moves than that takes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.subarray([..."abcdef"]), { maxLength: 12 }),
      (count, turns) => {
        const all = partitions(...Array.from({ length: count }, () => undefined));
        for (const members of turns) {
          const before = all.map(({ heir }) => heir);
          const had = new Map(members.map((member) => [member, countOf(all, member)]));
          assign(all, members);
          const counts = members.map((member) => countOf(all, member));
          if (members.length === 0) {
            assert.ok(all.every(({ heir }) => heir === undefined));
            continue;
          }
          assert.equal(
            counts.reduce((sum, one) => sum + one, 0),
            count,
          );
          assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
          // What had to move: what had no member any more, and what a member has less than before.
          const homeless = before.filter(
            (member) => member === undefined || !members.includes(member),
          ).length;
          const given = members.reduce(
            (sum, member, index) => sum + Math.max(0, had.get(member)! - counts[index]!),
            0,
          );
          const moved = all.filter(({ heir }, index) => heir !== before[index]).length;
          assert.equal(moved, homeless + given);
          const quota = Math.floor(count / members.length);
          for (const [index, member] of members.entries())
            assert.ok(counts[index]! >= Math.min(had.get(member)!, quota), `${member} gave up too much`);
          for (const partition of all) partition.owner = partition.heir;
        }
      },
    ),
  );
});
