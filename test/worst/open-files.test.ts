// A process that can open no more files.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { collect, withBus } from "../support/buses.js";
import { unavailable } from "../support/requires.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import type { Crowded } from "./crowded-program.js";

const PROGRAM = fileURLToPath(new URL("./crowded-program.js", import.meta.url));
const FILES_MAX = 256;
const skip = process.platform === "win32" && unavailable("Windows has no limit of open files");

function runCrowded(directory: string): Crowded {
  const command = `ulimit -n ${FILES_MAX} && exec "$@"`;
  const { stdout, stderr, status } = spawnSync(
    "sh",
    ["-c", command, "sh", process.execPath, PROGRAM, directory],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Crowded;
}

test("a process that can open no more files says so, uses what is open, and goes on when it can open some", {
  skip,
}, async (t) => {
  const directory = await temporaryDirectory(t);
  const { acknowledged, refused, reported } = runCrowded(directory);
  const [opening, ...declaring] = refused;
  assert.equal(opening?.code, "DATA_DIRECTORY_UNUSABLE");
  assert.match(opening?.message ?? "", /cannot be opened: EMFILE/);
  for (const { code, message } of declaring) {
    assert.equal(code, "STORAGE_FAILED");
    assert.match(message, /\/logs\/.*\(EMFILE\).*ulimit -n/);
  }
  const count = (step: string): number => acknowledged.filter((body) => body.endsWith(step)).length;
  assert.equal(count("none left"), 1, "the queue that was open goes on");
  assert.ok(count("few left") > 1 && count("few left") < count("many left"), "as many as there was room for");
  assert.equal(count("many left"), 40, "nothing stays refused");
  assert.deepEqual(reported, []);

  await withBus(directory, async (bus) => {
    const stored: string[] = [];
    for (const { name } of bus.statistics().queues)
      for (const message of await collect(bus.queue(name).browse())) stored.push(message.text());
    assert.deepEqual(stored.sort(), [...acknowledged].sort());
  });
});
