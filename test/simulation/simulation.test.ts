import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "./history.js";
import { planOf } from "./plan.js";
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

test("a seed does the same each time", async () => {
  const tell = async (): Promise<string[]> => {
    const lines: string[] = [];
    await new History(planOf(7), (line) => lines.push(line)).run();
    return lines;
  };
  const first = await tell();
  assert.ok(first.length > 20);
  assert.deepEqual(await tell(), first);
});
