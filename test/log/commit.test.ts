import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import type { Log } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { append, values } from "../support/log-records.js";
import { PlainWorld } from "../support/plain-world.js";
import { systemError } from "../support/simulated-disk.js";

const synced = { durability: "synced" } as const;

async function openLogs(
  world: PlainWorld,
  count: number,
  options = {},
): Promise<{ store: LogStore; logs: Log[] }> {
  const store = await LogStore.open(world.io, "data", { journalBytes: 64 * 1024, ...options });
  const logs: Log[] = [];
  for (let i = 0; i < count; i += 1) logs.push(await store.openLog(`log-${i}`, synced));
  return { store, logs };
}

/** The paths that are synced while `action` runs. */
async function syncsOf(world: PlainWorld, action: () => Promise<unknown>): Promise<string[]> {
  const paths: string[] = [];
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "sync") paths.push(path.replace(/.*\/(log-\d+|journal)\/.*/, "$1"));
    return undefined;
  };
  await action();
  world.disk.onOperation = () => undefined;
  return paths.sort();
}

test("one or two logs are synced themselves, more share one sync of the journal", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 5);
  const commit = (count: number) => async () => {
    for (const log of logs.slice(0, count)) append(log, "a");
    await store.flush();
  };
  assert.deepEqual(await syncsOf(world, commit(1)), ["log-0"]);
  assert.deepEqual(await syncsOf(world, commit(2)), ["log-0", "log-1"]);
  assert.deepEqual(await syncsOf(world, commit(3)), ["journal"]);
  assert.deepEqual(await syncsOf(world, commit(5)), ["journal"]);
  const { commits, journalCommits, syncs } = store.syncStatistics;
  assert.deepEqual({ commits, journalCommits, syncs }, { commits: 4, journalCommits: 2, syncs: 5 });
  await store.close();
});

test("while a commit runs, appends gather, and the next takes all of them with one sync", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 1);
  const [log] = logs as [Log];
  const first = append(log, "a");
  await first.committed;
  let gathered = 0;
  log.onCommit = () => {
    if (gathered > 0) return;
    for (; gathered < 50; gathered += 1) append(log, String(gathered));
  };
  const paths = await syncsOf(world, async () => {
    append(log, "b");
    await store.flush();
    await store.flush();
  });
  assert.equal(log.highWatermark, 52);
  assert.deepEqual(paths, ["log-0", "log-0"]);
  await store.close();
});

test("many logs are committed while the turn in which they were appended to goes on", async () => {
  const world = new PlainWorld();
  const { clock } = world.io;
  const later: (() => void)[] = [];
  let isHeld = false;
  const holding = Object.assign(Object.create(clock) as typeof clock, {
    defer: (action: () => void) => (isHeld ? later.push(action) : clock.defer(action)),
  });
  const store = await LogStore.open({ ...world.io, clock: holding }, "data");
  const logs = await Promise.all(Array.from({ length: 64 }, (_, i) => store.openLog(`log-${i}`, synced)));
  isHeld = true;
  const few = logs.slice(1).map((log) => append(log, "a"));
  const begun = await syncsOf(world, async () => await new Promise(setImmediate));
  assert.deepEqual(begun, [], "63 logs wait for the rest of their turn");
  few.push(append(logs[0]!, "a"));
  const together = await syncsOf(world, () => Promise.all(few.map(({ committed }) => committed)));
  assert.deepEqual(together, ["journal"], "all 64 are in one commit");
  isHeld = false;
  for (const action of later) action();
  await store.close();
});

test("a full disk rejects what does not fit, and appending goes on when there is room", async () => {
  const world = new PlainWorld();
  const { logs } = await openLogs(world, 1);
  const [log] = logs as [Log];
  await append(log, "before").committed;
  world.disk.capacityBytes = world.disk.usedBytes + 100;
  const rejected = append(log, "x".repeat(500));
  await assert.rejects(rejected.committed, (error) => {
    return isBrokerError(error, "DISK_FULL") && String(error.context["path"]).endsWith(".log");
  });
  assert.equal(rejected.state, "failed");
  assert.equal(log.highWatermark, 1);
  const small = append(log, "s");
  await small.committed;
  assert.equal(small.baseOffset, 1);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await append(log, "after").committed;
  assert.deepEqual(await values(log), ["before", "s", "after"]);
  world.crash(true);
  const again = await openLogs(world, 1);
  assert.deepEqual(await values(again.logs[0]!), ["before", "s", "after"]);
  await again.store.close();
});

test("of an atomic action nothing is kept when one log has no room, also after a crash, and others go on", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 4);
  const [a, b, c, d] = logs as [Log, Log, Log, Log];
  store.atomically(() => [a, b, c].map((log) => append(log, "first")));
  await store.flush();
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "write" && path.includes("log-1")) throw systemError("ENOSPC", path);
    return undefined;
  };
  const alone = append(d, "alone");
  const unit: ReturnType<typeof append>[] = [];
  store.atomically(() => unit.push(append(a, "second"), append(b, "second")));
  for (const pending of unit)
    await assert.rejects(pending.committed, (error) => isBrokerError(error, "DISK_FULL"));
  await alone.committed;
  await append(c, "third").committed;
  world.disk.onOperation = () => undefined;
  store.atomically(() => [a, b].map((log) => append(log, "fourth")));
  await store.flush();
  const expected = [["first", "fourth"], ["first", "fourth"], ["first", "third"], ["alone"]];
  assert.deepEqual(await Promise.all(logs.map(values)), expected);
  world.crash(true);
  const again = await openLogs(world, 4);
  assert.deepEqual(await Promise.all(again.logs.map(values)), expected);
  await again.store.close();
});

test("a failed sync ends its log for good, and no other", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 2);
  const [bad, good] = logs as [Log, Log];
  await append(bad, "a").committed;
  let failures = 0;
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "sync" && path.includes("log-0") && failures++ === 0) throw systemError("EIO", path);
    return undefined;
  };
  const lost = append(bad, "b");
  const next = append(good, "c");
  await assert.rejects(lost.committed, (error) => isBrokerError(error, "STORAGE_FAILED"));
  await next.committed;
  assert.throws(
    () => append(bad, "d"),
    (error) => isBrokerError(error, "STORAGE_FAILED"),
  );
  await assert.rejects(bad.read(0, 100), (error) => isBrokerError(error, "STORAGE_FAILED"));
  await append(good, "e").committed;
  await store.close();
  assert.equal(failures, 1);
  const again = await openLogs(world, 2);
  assert.deepEqual((await values(again.logs[0]!))[0], "a");
  assert.deepEqual(await values(again.logs[1]!), ["c", "e"]);
  await again.store.close();
});

test("a failed sync of the journal ends every synced log; those of other levels go on", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 4);
  const written = await store.openLog("written", { durability: "written" });
  const memory = await store.openLog("memory", { durability: "memory" });
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "sync" && path.includes("journal")) throw systemError("EIO", path);
    return undefined;
  };
  const pending = logs.slice(0, 3).map((log) => append(log, "a"));
  for (const { committed } of pending) {
    await assert.rejects(committed, (error) => isBrokerError(error, "STORAGE_FAILED"));
  }
  for (const log of logs)
    assert.throws(
      () => append(log, "b"),
      (error) => isBrokerError(error, "STORAGE_FAILED"),
    );
  await append(written, "c").committed;
  await append(memory, "c").committed;
  await store.close();
});

test("a listener that throws is not ours to hide, and stops nobody else", async () => {
  const world = new PlainWorld();
  const thrown: unknown[] = [];
  const { clock } = world.io;
  const catching = (action: () => void) =>
    clock.defer(() => {
      try {
        action();
      } catch (error) {
        thrown.push(error);
      }
    });
  const io = { ...world.io, clock: { ...clock, defer: catching } };
  const store = await LogStore.open(io, "data");
  const a = await store.openLog("a", synced);
  const b = await store.openLog("b", synced);
  const error = new Error("listener");
  a.onCommit = () => {
    throw error;
  };
  let told = 0;
  b.onCommit = () => {
    told += 1;
  };
  append(a, "a");
  append(b, "b");
  await store.flush();
  assert.equal(told, 1);
  await store.close();
  assert.deepEqual(thrown, [error]);
});

test("the journal is written over and over while its segments are synced, and recovers what it holds", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 4, { journalBytes: 20_000 });
  const expected: string[] = [];
  for (let i = 0; i < 60; i += 1) {
    for (const log of logs) append(log, String(i));
    expected.push(String(i));
    await store.flush();
  }
  const files = await world.disk.list("data/journal");
  assert.equal(files.length, 2);
  for (const name of files) assert.equal((await world.disk.readFile(`data/journal/${name}`)).length, 20_480);
  assert.equal(store.syncStatistics.journalCommits, 60);
  world.crash(true);
  const again = await openLogs(world, 4);
  for (const log of again.logs) assert.deepEqual(await values(log), expected);
  await again.store.close();
});

test("an entry larger than the journal gets a file to itself", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 3, { journalBytes: 10_000 });
  for (const size of [100, 50_000, 100]) {
    for (const log of logs) append(log, "x".repeat(size));
    await store.flush();
  }
  world.crash(true);
  const again = await openLogs(world, 3);
  for (const log of again.logs)
    assert.deepEqual(
      (await values(log)).map((value) => value.length),
      [100, 50_000, 100],
    );
  await again.store.close();
});

test("several batches of one log go through the journal, so that a torn one is never taken for damage", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 1);
  const batch = (value: string) => {
    const builder = new BatchBuilder();
    builder.append(1, null, value, NO_HEADERS);
    return Buffer.from(builder.finish(0));
  };
  const paths = await syncsOf(world, async () => {
    logs[0]!.appendEncoded(Buffer.concat([batch("a"), batch("b")]));
    await store.flush();
  });
  assert.deepEqual(paths, ["journal"]);
  world.crash(true);
  const again = await openLogs(world, 1);
  assert.deepEqual(await values(again.logs[0]!), ["a", "b"]);
  await again.store.close();
});

test("a journal that lost an entry in its middle is not taken", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 3);
  for (let i = 0; i < 3; i += 1) {
    for (const log of logs) append(log, "a");
    await store.flush();
  }
  world.crash(false);
  const [name] = await world.disk.list("data/journal");
  const file = await world.disk.open(`data/journal/${name}`, "write");
  await file.write(Buffer.from("!"), 4096 + 50);
  await assert.rejects(LogStore.open(world.io, "data"), (error) => {
    return (
      isBrokerError(error, "LOG_CORRUPT") &&
      error.context["position"] === 4096 &&
      error.context["expected"] === 2
    );
  });
});

test("after an orderly close nothing of the journal is read or applied again", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 3);
  for (const log of logs) append(log, "a");
  await store.close();
  const writes: string[] = [];
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "write") writes.push(path);
    return undefined;
  };
  const again = await openLogs(world, 3);
  assert.deepEqual(
    writes.filter((path) => path.includes("/logs/")),
    [],
  );
  for (const log of again.logs) assert.deepEqual(await values(log), ["a"]);
  await again.store.close();
});

test("a log can be deleted while it is appended to and read; the rest of an atomic action is committed", async () => {
  const world = new PlainWorld();
  const { store, logs } = await openLogs(world, 3);
  const [a, b] = logs as [Log, Log];
  await append(a, "a").committed;
  const reading = a.read(0, 1000).catch((error: unknown) => error);
  let pending!: ReturnType<typeof append>;
  store.atomically(() => {
    pending = append(a, "both");
    append(b, "both");
  });
  const outcome = pending.committed.catch((error: unknown) => error);
  await store.deleteLog("log-0");
  await store.flush();
  const error = await outcome;
  assert.ok(error === undefined || isBrokerError(error, "CLOSED"));
  const read = await reading;
  assert.ok(Array.isArray(read) || isBrokerError(read, "CLOSED"));
  assert.deepEqual(await values(b), ["both"]);
  assert.equal(store.hasLog("log-0"), false);
  assert.deepEqual(store.logNames(), ["log-1", "log-2"]);
  assert.deepEqual(await world.disk.list("data/logs"), ["log-1", "log-2"]);
  assert.throws(
    () => append(a, "late"),
    (caught) => isBrokerError(caught, "CLOSED"),
  );
  await store.deleteLog("log-0");
  await store.close();
});

test("names that could leave the folder are refused", async () => {
  const world = new PlainWorld();
  const { store } = await openLogs(world, 0);
  for (const name of ["", ".", "..", "a/b", "ä", "a".repeat(201), "a b"]) {
    await assert.rejects(store.openLog(name, synced), (error) => isBrokerError(error, "INVALID_NAME"));
  }
  assert.deepEqual(store.logNames(), []);
  assert.equal(await store.openLog("a-B_9.x", synced), await store.openLog("a-B_9.x", synced));
  await store.close();
  await assert.rejects(store.openLog("b", synced), (error) => isBrokerError(error, "CLOSED"));
});

test("a directory in another format is not touched", async () => {
  const world = new PlainWorld();
  await world.disk.makeDirectory("data");
  const file = await world.disk.open("data/format.json", "create");
  await file.write(Buffer.from('{"format":"omnibus","version":2}'), 0);
  await assert.rejects(LogStore.open(world.io, "data"), (error) =>
    isBrokerError(error, "FORMAT_UNSUPPORTED"),
  );
  await assert.rejects(LogStore.open(world.io, "none", { readOnly: true }), (error) => {
    return isBrokerError(error, "DATA_DIRECTORY_UNUSABLE");
  });
});

test("a reader beside the owner follows what is appended, rolled and deleted, and writes nothing", async () => {
  const world = new PlainWorld();
  const owner = await LogStore.open(world.io, "data");
  const log = await owner.openLog("log", { ...synced, segmentBytes: 300 });
  await append(log, "0").committed;
  const reader = await LogStore.open(world.io, "data", { readOnly: true });
  const seen = await reader.openLog("log", synced);
  assert.throws(
    () => append(seen, "x"),
    (error) => isBrokerError(error, "READ_ONLY"),
  );
  await assert.rejects(reader.openLog("none", synced), (error) => isBrokerError(error, "READ_ONLY"));
  await assert.rejects(reader.deleteLog("log"), (error) => isBrokerError(error, "READ_ONLY"));
  assert.deepEqual(await values(seen), ["0"]);
  let told = 0;
  seen.onCommit = () => {
    told += 1;
  };
  for (let i = 1; i < 40; i += 1) await append(log, String(i)).committed;
  await seen.refresh();
  await seen.refresh();
  assert.equal(told, 1);
  assert.deepEqual(
    await values(seen),
    Array.from({ length: 40 }, (_, i) => String(i)),
  );
  await log.deleteBefore(25);
  assert.deepEqual((await values(seen)).at(-1), "39");
  await seen.refresh();
  assert.equal(seen.logStartOffset, log.segments[0]!.baseOffset);
  assert.equal(seen.sizeBytes, log.sizeBytes);
  await reader.close();
  await owner.close();
});
