// One suite for every file system: the real one, the one in memory, and the simulated disk of the tests.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Files } from "../../src/io/io.js";
import { MemoryFiles } from "../../src/io/memory-files.js";
import { systemIo } from "../../src/io/system-io.js";
import { SeededRandom } from "../support/seeded-random.js";
import { SimulatedDisk } from "../support/simulated-disk.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

type Open = (t: Parameters<typeof temporaryDirectory>[0]) => Promise<[files: Files, directory: string]>;

const everyFiles: Record<string, Open> = {
  "the system": async (t) => [systemIo.files, await temporaryDirectory(t)],
  memory: async () => [await withFolder(new MemoryFiles()), "folder"],
  "the simulated disk": async () => {
    const disk = new SimulatedDisk(new SeededRandom(1), (action) => queueMicrotask(action));
    return [await withFolder(disk), "folder"];
  },
};

async function withFolder<F extends Files>(files: F): Promise<F> {
  await files.makeDirectory("folder");
  return files;
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => (error as NodeJS.ErrnoException).code === expected;
}

for (const [name, open] of Object.entries(everyFiles)) {
  test(`files of ${name}: a file that is gone is read on by who has it open, and leaves nothing to the next`, async (t) => {
    const [files, directory] = await open(t);
    const content = Buffer.alloc(200_000, 0xff);
    const gone = await files.open(`${directory}/gone`, "create");
    await gone.write(content, 0);
    await files.remove(`${directory}/gone`);
    const other = await files.open(`${directory}/other`, "create");
    await other.write(Buffer.from("x"), 199_999);
    const read = Buffer.alloc(200_000);
    assert.equal(await gone.read(read, 0), 200_000);
    assert.ok(read.equals(content));
    await gone.close();
    const next = await files.open(`${directory}/next`, "create");
    await next.write(Buffer.from("x"), 199_999);
    for (const file of [other, next]) {
      assert.equal(await file.read(read, 0), 200_000);
      assert.ok(read.subarray(0, 199_999).equals(Buffer.alloc(199_999)));
      await file.close();
    }
  });

  test(`files of ${name}: what is written at a position is read back, with zeros in between`, async (t) => {
    const [files, directory] = await open(t);
    const file = await files.open(`${directory}/a`, "create");
    await file.write(Buffer.from("one"), 0);
    await file.write(Buffer.from("two"), 70_000);
    assert.equal(await file.size(), 70_003);
    const target = Buffer.alloc(8, 1);
    assert.equal(await file.read(target, 69_998), 5);
    assert.equal(target.toString("latin1"), "\0\0two\x01\x01\x01");
    assert.equal(await file.read(target, 70_003), 0);
    await file.sync();
    await file.close();
    assert.equal((await files.readFile(`${directory}/a`)).length, 70_003);
  });

  test(`files of ${name}: what was cut off does not come back when the file grows again`, async (t) => {
    const [files, directory] = await open(t);
    const file = await files.open(`${directory}/a`, "create");
    await file.write(Buffer.alloc(200_000, 7), 0);
    await file.truncate(100_001);
    await file.write(Buffer.from("end"), 150_000);
    const all = await files.readFile(`${directory}/a`);
    const expected = Buffer.concat([Buffer.alloc(100_001, 7), Buffer.alloc(49_999), Buffer.from("end")]);
    assert.ok(all.equals(expected));
    await file.truncate(0);
    assert.equal(await file.size(), 0);
    await file.close();
  });

  test(`files of ${name}: opening makes a file once, and only when it is told to`, async (t) => {
    const [files, directory] = await open(t);
    await assert.rejects(files.open(`${directory}/a`, "write"), code("ENOENT"));
    await (await files.open(`${directory}/a`, "create")).close();
    await assert.rejects(files.open(`${directory}/a`, "create"), code("EEXIST"));
    await assert.rejects(files.open(`${directory}/none/a`, "create"), code("ENOENT"));
    await (await files.open(`${directory}/a`, "read")).close();
    assert.deepEqual(await files.list(directory), ["a"]);
    assert.equal(await files.exists(`${directory}/a`), true);
    assert.equal(await files.exists(`${directory}/b`), false);
    await assert.rejects(files.readFile(`${directory}/b`), code("ENOENT"));
  });

  test(`files of ${name}: a rename replaces, a link does not`, async (t) => {
    const [files, directory] = await open(t);
    for (const path of ["a", "b"]) {
      const file = await files.open(`${directory}/${path}`, "create");
      await file.write(Buffer.from(path), 0);
      await file.close();
    }
    await assert.rejects(files.link(`${directory}/a`, `${directory}/b`), code("EEXIST"));
    await files.rename(`${directory}/a`, `${directory}/b`);
    await files.link(`${directory}/b`, `${directory}/c`);
    assert.deepEqual(await files.list(directory), ["b", "c"]);
    assert.equal((await files.readFile(`${directory}/b`)).toString(), "a");
    assert.equal((await files.readFile(`${directory}/c`)).toString(), "a");
    await files.remove(`${directory}/b`);
    await assert.rejects(files.remove(`${directory}/b`), code("ENOENT"));
    assert.deepEqual(await files.list(directory), ["c"]);
    await files.syncDirectory(directory);
  });

  test(`files of ${name}: folders are made with their parents, moved and removed with what is in them`, async (t) => {
    const [files, directory] = await open(t);
    await files.makeDirectory(`${directory}/x/y`);
    await files.makeDirectory(`${directory}/x/y`);
    await (await files.open(`${directory}/x/y/a`, "create")).close();
    await files.rename(`${directory}/x`, `${directory}/z`);
    assert.deepEqual(await files.list(directory), ["z"]);
    assert.deepEqual(await files.list(`${directory}/z/y`), ["a"]);
    await files.removeDirectory(`${directory}/z`);
    assert.deepEqual(await files.list(directory), []);
    await assert.rejects(files.list(`${directory}/z`), code("ENOENT"));
  });

  test(`files of ${name}: a file that was removed can be read by whoever has it open`, async (t) => {
    const [files, directory] = await open(t);
    const file = await files.open(`${directory}/a`, "create");
    await file.write(Buffer.from("still here"), 0);
    await files.remove(`${directory}/a`);
    const target = Buffer.alloc(10);
    assert.equal(await file.read(target, 0), 10);
    assert.equal(target.toString(), "still here");
    await file.close();
  });
}
