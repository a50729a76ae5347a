// Files that may not grow any more: what a full disk is, where none can be mounted.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { collect, withBus } from "../support/buses.js";
import { unavailable } from "../support/requires.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import type { Limited } from "./file-limit-program.js";

const PROGRAM = fileURLToPath(new URL("./file-limit-program.js", import.meta.url));
/** In units of 512 bytes or of 1 KiB, as the shell has it: 2 or 4 MiB. */
const FILE_BLOCKS_MAX = 4_096;
const skip = process.platform === "win32" && unavailable("Windows has no limit of file sizes");

test("a file that may not grow refuses what has no room, keeps all that was acknowledged, and harms no other queue", {
  skip,
}, async (t) => {
  const directory = await temporaryDirectory(t);
  const { stdout, stderr, status } = spawnSync(
    "sh",
    ["-c", `ulimit -f ${FILE_BLOCKS_MAX} && exec "$@"`, "sh", process.execPath, PROGRAM, directory],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.equal(status, 0, stderr);
  const { acknowledged, refused } = JSON.parse(stdout) as Limited;
  assert.equal(refused.length, 4);
  for (const { code, message } of refused) {
    assert.equal(code, "DISK_FULL");
    assert.match(message, /No room for \d+ bytes in .*\/logs\/.*\(EFBIG\)/);
  }
  assert.ok(acknowledged.length > 30, `${acknowledged.length} acknowledged`);
  await withBus(directory, async (bus) => {
    const stored: string[] = [];
    for (const queue of ["first", "second"])
      for (const message of await collect(bus.queue(queue).browse()))
        stored.push(message.text().split(" ", 2).join(" "));
    assert.deepEqual(stored.sort(), [...acknowledged].sort());
    await bus.queue("first").send("and it goes on");
  });
});
