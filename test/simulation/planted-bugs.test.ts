import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, test } from "node:test";
import { BUS_PLANTED_BUGS } from "./bus-planted-bugs.js";
import { PLANTED_BUGS, plant, removePlanted } from "./planted-bugs.js";
import type { Summary } from "./run.js";

/** A bug that takes more seeds to find could hide. */
const SEEDS_MAX = 600;
const STEP = 60;

after(removePlanted);

function simulate(command: string, first: number): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const options = [command, "--seed", String(first), "--seeds", String(STEP), "--json"];
    execFile(process.execPath, options, (error, stdout) => {
      if (stdout === "") reject(error);
      else resolve(JSON.parse(stdout) as Summary);
    });
  });
}

for (const bug of [...PLANTED_BUGS, ...BUS_PLANTED_BUGS]) {
  test(`the simulator catches: ${bug.name}`, async (context) => {
    const command = await plant(bug);
    for (let first = 1; first <= SEEDS_MAX; first += STEP) {
      const { violations } = await simulate(command, first);
      if (violations.length === 0) continue;
      const { seed, message } = violations[0]!;
      context.diagnostic(`seed ${seed}: ${message.split("\n")[0]}`);
      return;
    }
    assert.fail(`not caught in ${SEEDS_MAX} seeds`);
  });
}
