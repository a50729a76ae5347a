import assert from "node:assert/strict";
import { test } from "node:test";
import { anyPlanOf, historyOf } from "./histories.js";
import { runShare } from "./run.js";

test("100 seeded histories of crashes and faults break no promise", async () => {
  let seeds = 0;
  let crashes = 0;
  await runShare({ first: 1, end: 101, step: 1 }, (part) => {
    seeds += part.seeds;
    crashes += part.crashes;
    assert.deepEqual(part.violations, []);
  });
  assert.equal(seeds, 100);
  assert.ok(crashes >= 200, `${crashes} crashes`);
});

test("a seed does the same each time, of the broker and of the bus", async () => {
  const tell = async (seed: number): Promise<string[]> => {
    const lines: string[] = [];
    await historyOf(anyPlanOf(seed), (line) => lines.push(line)).run();
    return lines;
  };
  for (const seed of [7, 8]) {
    const first = await tell(seed);
    assert.ok(first.length > 20);
    assert.deepEqual(await tell(seed), first);
  }
});
