// A data directory that is made read-only while a process has it open.

import assert from "node:assert/strict";
import { chmodSync, chownSync, readdirSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { openBus } from "../../src/index.js";
import { collect, failsWith } from "../support/buses.js";
import { unavailable } from "../support/requires.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const NOBODY = 65_534;
const skip = process.platform === "win32" && unavailable("Windows has no permissions of folders");

/** Open to nobody, as whom this process runs until the test is over: the modes of files mean nothing to root. */
async function directoryOfNobody(t: TestContext): Promise<string> {
  const isRoot = process.getuid?.() === 0;
  // Hooks run in the order in which they were given: root comes back before the folder is removed.
  if (isRoot) t.after(() => process.seteuid?.(0));
  const directory = await temporaryDirectory(t);
  if (isRoot) {
    chownSync(directory, NOBODY, NOBODY);
    process.seteuid?.(NOBODY);
  }
  return directory;
}

function setMode(directory: string, mode: number): void {
  const folders = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`);
  for (const folder of [directory, ...folders]) chmodSync(folder, mode);
}

test("a directory that is made read-only stops what needs new files, and nothing else, until it is writable", {
  skip,
}, async (t) => {
  const directory = await directoryOfNobody(t);
  const errors: unknown[] = [];
  const bus = await openBus(directory, { onError: (error) => errors.push(error) });
  try {
    await bus.queue("open").send("1");
    setMode(directory, 0o555);
    await bus.queue("open").send("2");
    await failsWith("STORAGE_FAILED", () => bus.queue("late").send("x"), /\/logs\/.*late.*\(EACCES\)/);
    await failsWith("DATA_DIRECTORY_LOCKED", () => openBus(directory));
    const [delivery] = await bus.queue("open").receiveBatch({ max: 1 });
    await delivery!.ack();
    setMode(directory, 0o755);
    await bus.queue("late").send("y");
    const left = (await collect(bus.queue("open").browse())).map((message) => message.text());
    assert.deepEqual(left, ["2"]);
  } finally {
    setMode(directory, 0o755);
    await bus.close();
  }
  assert.deepEqual(errors, []);

  setMode(directory, 0o555);
  await failsWith("DATA_DIRECTORY_UNUSABLE", () => openBus(directory), /cannot be opened: EACCES/);
  setMode(directory, 0o755);
  const again = await openBus(directory);
  assert.equal((await again.queue("open").send("3")).offset, 2);
  await again.close();
});
