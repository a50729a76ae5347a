// A real process on a real disk, killed again and again. Not a simulation: this is what a user's machine does.
// `npm run torture` is the same, ten times as long.

import assert from "node:assert/strict";
import { test } from "node:test";
import { torture } from "./run.js";

const LIVES = Number(process.env["OMNIBUS_TORTURE_LIVES"] ?? 55);
const seed = Number(process.env["OMNIBUS_TORTURE_SEED"] ?? Date.now() % 1_000_000_007);

test(`a process killed ${LIVES} times loses no acknowledged message, and does no transaction in part`, async (t) => {
  const { problems, directory, ...summary } = await torture(LIVES, seed);
  t.diagnostic(JSON.stringify(summary));
  assert.deepEqual(
    problems,
    [],
    `OMNIBUS_TORTURE_SEED=${seed} repeats the instants; the data is kept in ${directory}`,
  );
  assert.ok(summary.transactions > LIVES, "hardly anything was moved in one step");
});
