// A data directory that nobody may write to.

import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyDataDirectory } from "../../src/broker/verification.js";
import { embedded, openBus } from "../../src/index.js";
import { systemIo } from "../../src/io/system-io.js";
import { collect, failsWith, withBus } from "../support/buses.js";
import { makeReadOnly, makeWritable, smallDisk, withoutMounts } from "./small-disk.js";

const skip = withoutMounts();

test("a directory on a disk that was made read-only is refused in words, can be read, and opens when it is writable", {
  skip,
}, async (t) => {
  const disk = smallDisk(t, 1024 * 1024);
  const directory = `${disk}/data`;
  await withBus(directory, async (bus) => {
    for (const body of ["a", "b"]) await bus.queue("jobs").send(body);
  });
  makeReadOnly(disk);
  await failsWith(
    "DATA_DIRECTORY_UNUSABLE",
    () => openBus(directory),
    /\/data cannot be opened: EROFS: read-only file system/,
  );
  const reader = await openBus(embedded({ directory, readOnly: true }));
  const bodies = (await collect(reader.queue("jobs").browse())).map((message) => message.text());
  assert.deepEqual(bodies, ["a", "b"]);
  await failsWith("READ_ONLY", () => reader.queue("jobs").send("c"));
  await reader.close();
  await failsWith(
    "DATA_DIRECTORY_UNUSABLE",
    () => verifyDataDirectory(systemIo, directory, () => undefined),
    /EROFS/,
  );

  makeWritable(disk);
  await withBus(directory, async (bus) => {
    assert.equal((await bus.queue("jobs").send("c")).offset, 2);
  });
});
