// The README's program is the example that runs in CI, and prints what the README says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { codeBlocks, page, read, root } from "./docs/markdown.js";
import { temporaryDirectory } from "./support/temporary-directory.js";

const readme = page("README.md");

test("the README's program is examples/readme.ts", () => {
  assert.deepEqual(codeBlocks(readme, "ts"), [read("examples/readme.ts")]);
});

test("the README's program prints what the README says", async (t) => {
  const script = join(root, "dist", "examples", "readme.js");
  const { stdout, stderr } = spawnSync(process.execPath, [script], {
    cwd: await temporaryDirectory(t),
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  // Groups go on side by side: their lines may come in another order.
  assert.deepEqual(stdout.split("\n").sort(), codeBlocks(readme, "text")[0]!.split("\n").sort());
});

test("the README names the commands that the package has", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const named = [...readme.text.matchAll(/npm (?:run )?(start|demo|test|bench)\b/g)].map(([, name]) => name!);
  for (const name of new Set(named)) assert.ok(name in scripts, name);
  assert.deepEqual(
    codeBlocks(readme, "sh").map((block) => block.split("\n").map((line) => line.split("#")[0]!.trim())),
    [["npm start", "npm run demo", "npm test", ""]],
  );
});
