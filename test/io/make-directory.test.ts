import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemIo } from "../../src/io/system-io.js";

async function inTemporaryDirectory(action: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "omnibus-io-"));
  try {
    await action(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test("a folder is made with its parents, and found when it is there", async () => {
  await inTemporaryDirectory(async (directory) => {
    const path = join(directory, "a/b/c");
    await systemIo.files.makeDirectory(path);
    await systemIo.files.makeDirectory(path);
    assert.ok((await stat(path)).isDirectory());
  });
});

test("a file where a folder should be is an error", async () => {
  await inTemporaryDirectory(async (directory) => {
    await writeFile(join(directory, "file"), "");
    await assert.rejects(systemIo.files.makeDirectory(join(directory, "file")), { code: "EEXIST" });
    await assert.rejects(systemIo.files.makeDirectory(join(directory, "file/below")), { code: "ENOTDIR" });
  });
});

test("a parent that is there and takes no folders is an error, not an endless loop", {
  skip: process.platform !== "linux" && "only Linux has /proc",
}, async () => {
  await assert.rejects(systemIo.files.makeDirectory("/proc/nope/below"), { code: "ENOENT" });
});
