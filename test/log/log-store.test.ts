import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import type { Io } from "../../src/io/io.js";
import { MemoryFiles } from "../../src/io/memory-files.js";
import { systemIo } from "../../src/io/system-io.js";
import type { Durability } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import type { PendingAppend } from "../../src/log/pending-append.js";
import { type Deferred, deferred } from "../support/buses.js";
import { append, values } from "../support/log-records.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

function memoryIo(): Io {
  return { ...systemIo, files: new MemoryFiles() };
}

for (const durability of ["synced", "written"] as const) {
  test(`a ${durability} log on a real disk gives back what was committed after it is opened again`, async (t) => {
    const directory = await temporaryDirectory(t);
    const store = await LogStore.open(systemIo, directory);
    const log = await store.openLog("orders", { durability });
    const first = append(log, "a");
    append(log, "b");
    await first.committed;
    assert.equal(first.baseOffset, 0);
    assert.equal(first.recordCount, 2);
    assert.equal(log.highWatermark, 2);
    assert.deepEqual(await values(log), ["a", "b"]);
    await store.close();

    const again = await LogStore.open(systemIo, directory);
    const reopened = await again.openLog("orders", { durability });
    assert.equal(reopened.highWatermark, 2);
    assert.deepEqual(await values(reopened), ["a", "b"]);
    await again.close();
  });
}

test("nothing is readable before it is committed, and the listener runs when it is", async () => {
  const store = await LogStore.open(memoryIo(), "data");
  const log = await store.openLog("orders", { durability: "synced" });
  const seen: number[] = [];
  log.onCommit = (of) => seen.push(of.highWatermark);
  const pending = append(log, "a");
  assert.equal(log.highWatermark, 0);
  assert.equal(log.cachedBatch(0), undefined);
  await pending.committed;
  assert.deepEqual(seen, [1]);
  assert.equal(log.cachedBatch(0)?.recordCount, 1);
  await store.close();
});

test("closing commits what is pending and refuses what comes later", async () => {
  const io = memoryIo();
  const store = await LogStore.open(io, "data");
  const log = await store.openLog("orders", { durability: "synced" });
  append(log, "a");
  const closing = store.close();
  assert.throws(
    () => append(log, "b"),
    (error) => isBrokerError(error, "CLOSED"),
  );
  await closing;
  const again = await LogStore.open(io, "data");
  assert.deepEqual(await values(await again.openLog("orders", { durability: "synced" })), ["a"]);
  await again.close();
});

test("an atomic action that throws leaves nothing, whatever was appended before it stays", async () => {
  const store = await LogStore.open(memoryIo(), "data");
  const one = await store.openLog("one", { durability: "synced" });
  const two = await store.openLog("two", { durability: "synced" });
  append(one, "before");
  assert.throws(() =>
    store.atomically(() => {
      append(one, "x");
      append(two, "x");
      throw new Error("no");
    }),
  );
  append(one, "after");
  await store.flush();
  assert.deepEqual(await values(one), ["before", "after"]);
  assert.deepEqual(await values(two), []);
  await store.close();
});

test("a log of the memory level commits without the disk, and with it where an atomic action says so", async () => {
  const store = await LogStore.open(memoryIo(), "data");
  const memory = await store.openLog("memory", { durability: "memory" });
  const disk = await store.openLog("disk", { durability: "synced" });
  await append(memory, "a").committed;
  store.atomically(() => {
    append(memory, "b");
    append(disk, "b");
  });
  append(memory, "c");
  await store.flush();
  assert.deepEqual(await values(memory), ["a", "b", "c"]);
  assert.deepEqual(await values(disk), ["b"]);
  await append(memory, "d").committed;
  assert.deepEqual(await values(memory), ["a", "b", "c", "d"]);
  await store.close();
});

test("logs in memory are committed in the turn after, all that were appended to, and across segments", async () => {
  const store = await LogStore.open(memoryIo(), "data", { tailCacheBytes: 0 });
  const roomy = await store.openLog("roomy", { durability: "memory" });
  const rolling = await store.openLog("rolling", { durability: "memory", segmentBytes: 1000 });
  const expected: string[] = [];
  for (let i = 0; i < 100; i += 1) {
    expected.push(`value ${i}`);
    const pending = [append(roomy, `value ${i}`), append(rolling, `value ${i}`)];
    const segments = rolling.segments.length;
    await new Promise((resolve) => setImmediate(resolve));
    const states = pending.map(({ state }) => state);
    await store.flush();
    // Only a fresh segment is waited for.
    if (rolling.segments.length === segments) assert.deepEqual(states, ["committed", "committed"]);
  }
  assert.ok(rolling.segments.length > 5);
  assert.deepEqual(await values(roomy), expected);
  assert.deepEqual(await values(rolling), expected);
  await store.close();
});

test("a log in memory is not emptied while an atomic action has it at the disk", async () => {
  let held: Deferred | undefined;
  class SlowFiles extends MemoryFiles {
    override async open(...args: Parameters<MemoryFiles["open"]>) {
      const file = await super.open(...args);
      file.sync = async () => held?.promise;
      return file;
    }
  }
  const store = await LogStore.open({ ...systemIo, files: new SlowFiles() }, "data");
  const memory = await store.openLog("memory", { durability: "memory" });
  const disk = await store.openLog("disk", { durability: "synced" });
  await append(memory, "settled").committed;
  held = deferred();
  let dead: PendingAppend | undefined;
  store.atomically(() => {
    dead = append(memory, "dead letter");
    append(disk, "settlement");
  });
  await new Promise((resolve) => setImmediate(resolve));
  await memory.deleteAll();
  held.resolve();
  held = undefined;
  await dead!.committed;
  assert.deepEqual([await values(memory), await values(disk)], [["settled", "dead letter"], ["settlement"]]);
  await memory.deleteAll();
  assert.deepEqual(await values(memory), []);
  await store.close();
});

test("many logs in memory that are appended to without end leave everything else its turn", async () => {
  const store = await LogStore.open(memoryIo(), "data");
  let isOver = false;
  let count = 0;
  const publish = async (name: string, durability: Durability): Promise<void> => {
    const log = await store.openLog(name, { durability });
    for (; !isOver && count < 200_000; count += 1) await append(log, "a").committed;
  };
  const publishing = Array.from({ length: 160 }, (_, index) =>
    publish(`log-${index}`, index < 80 ? "memory" : "synced"),
  );
  setTimeout(() => {
    isOver = true;
  }, 20);
  await Promise.all(publishing);
  assert.ok(isOver, `${count} records were appended, and nothing else had its turn`);
  await store.close();
});

test("a log in memory that fails while it is committed takes nothing else with it", async () => {
  const store = await LogStore.open(memoryIo(), "data");
  const lost = await store.openLog("lost", { durability: "memory" });
  const kept = await store.openLog("kept", { durability: "memory" });
  const pending = append(lost, "a");
  append(kept, "b");
  await lost.activeSegment.openFile.close();
  await assert.rejects(pending.committed, (error) => isBrokerError(error, "STORAGE_FAILED"));
  await append(kept, "c").committed;
  assert.deepEqual(await values(kept), ["b", "c"]);
  await store.close();
});

test("a log rolls in the middle of many commits and reads across its segments", async () => {
  const io = memoryIo();
  const store = await LogStore.open(io, "data", { tailCacheBytes: 0 });
  const log = await store.openLog("orders", { durability: "synced", segmentBytes: 1000 });
  const expected: string[] = [];
  for (let i = 0; i < 200; i += 1) {
    expected.push(`value ${i}`);
    const pending = append(log, `value ${i}`);
    if (i % 3 === 0) await pending.committed;
  }
  await store.flush();
  assert.ok(log.segments.length > 5);
  assert.deepEqual(await values(log), expected);
  await store.close();
  const again = await LogStore.open(io, "data");
  assert.deepEqual(await values(await again.openLog("orders", { durability: "synced" })), expected);
  await again.close();
});
