import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import type { Log } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { RecordReader } from "../../src/log/record-reader.js";
import { append, values, valuesByOffset } from "../support/log-records.js";
import { PlainWorld } from "../support/plain-world.js";
import { SeededRandom } from "../support/seeded-random.js";

/** A log with small segments and no cache: every read goes to the disk. */
async function openLog(world: PlainWorld, options = {}): Promise<{ store: LogStore; log: Log }> {
  const store = await LogStore.open(world.io, "data", { tailCacheBytes: 0 });
  const log = await store.openLog("log", { durability: "synced", segmentBytes: 2000, ...options });
  return { store, log };
}

/** Appends and commits batches of `sizes` records, called 0, 1, 2, ... */
async function appendBatches(log: Log, sizes: readonly number[], pad = 30): Promise<void> {
  for (const size of sizes) {
    const first = log.highWatermark;
    let pending = append(log, `${first}-${"x".repeat(pad)}`);
    for (let i = 1; i < size; i += 1) pending = append(log, `${first + i}-${"x".repeat(pad)}`);
    await pending.committed;
  }
}

function encoded(...batches: readonly string[][]): Buffer {
  return Buffer.concat(
    batches.map((batch) => {
      const builder = new BatchBuilder();
      for (const value of batch) builder.append(5, null, value, NO_HEADERS);
      return builder.finish(77);
    }),
  );
}

test("reading starts with the batch that holds the offset and ends before the limit", async () => {
  const { store, log } = await openLog(new PlainWorld());
  await appendBatches(log, [1, 4, 2, 8, 1, 1, 30, 3, 9, 9]);
  for (let offset = 0; offset < log.highWatermark; offset += 1) {
    const [first, ...rest] = await log.read(offset, 600);
    assert.ok(first!.baseOffset <= offset && offset <= first!.lastOffset);
    const sizeBytes = first!.sizeBytes + rest.reduce((sum, batch) => sum + batch.sizeBytes, 0);
    assert.ok(rest.length === 0 || sizeBytes <= 600);
    const reader = new RecordReader(first!);
    reader.skipTo(offset);
    assert.equal(reader.next()?.valueText(), `${offset}-${"x".repeat(30)}`);
  }
  assert.deepEqual(await log.read(log.highWatermark, 1000), []);
  for (const offset of [-1, log.highWatermark + 1, Number.NaN]) {
    await assert.rejects(log.read(offset, 1000), (error) => isBrokerError(error, "OFFSET_OUT_OF_RANGE"));
  }
  await store.close();
});

test("encoded batches keep their bytes but for the base offset, and share the log with messages", async () => {
  const { store, log } = await openLog(new PlainWorld());
  append(log, "a");
  const input = encoded(["b", "c"], ["d"]);
  const copy = Buffer.from(input);
  const pending = log.appendEncoded(input);
  append(log, "e");
  await store.flush();
  assert.ok(input.equals(copy));
  assert.equal(pending.baseOffset, 1);
  assert.equal(pending.recordCount, 3);
  assert.deepEqual(
    [...(await valuesByOffset(log))],
    ["a", "b", "c", "d", "e"].map((value, i) => [i, value]),
  );
  const raw = await log.read(1, 10_000, true);
  assert.ok(raw[0]!.bytes.subarray(12).equals(copy.subarray(12, raw[0]!.sizeBytes)));
  await store.close();
});

test("more pending bytes than allowed are refused until some of them are committed", async () => {
  const { store, log } = await openLog(new PlainWorld(), { pendingBytesMax: 1000 });
  const refused = () => append(log, "x".repeat(500));
  append(log, "x".repeat(500));
  append(log, "x".repeat(500));
  assert.throws(refused, (error) => isBrokerError(error, "TOO_MANY_PENDING"));
  assert.throws(
    () => log.appendEncoded(encoded(["a"])),
    (error) => isBrokerError(error, "TOO_MANY_PENDING"),
  );
  await store.flush();
  await refused().committed;
  assert.equal(log.recordCount, 3);
  await store.close();
});

test("a record that cannot be encoded leaves no trace", async () => {
  const { store, log } = await openLog(new PlainWorld());
  assert.throws(() => log.append(Number.NaN, null, "x", NO_HEADERS));
  await store.flush();
  append(log, "a");
  assert.throws(() => log.append(1.5, null, "x", NO_HEADERS));
  append(log, "b");
  await store.flush();
  assert.deepEqual(await values(log), ["a", "b"]);
  await store.close();
});

test("the first offset of a time is exact, whatever the order of the timestamps", async () => {
  const random = new SeededRandom(3);
  const world = new PlainWorld();
  const { store, log } = await openLog(world, { segmentBytes: 6000 });
  const times: number[] = [];
  for (let batch = 0; batch < 150; batch += 1) {
    for (let i = random.below(6); i >= 0; i -= 1) {
      const time = 1000 + batch * 5 + random.below(40);
      times.push(time);
      append(log, "x".repeat(random.below(80)), null, time);
    }
    await store.flush();
  }
  assert.ok(log.segments.length > 4);
  const check = async (of: Log) => {
    for (let time = 990; time < 1850; time += 7) {
      const expected = times.findIndex((at) => at >= time);
      assert.equal(await of.offsetAtTime(time), expected === -1 ? undefined : expected, String(time));
    }
  };
  await check(log);
  await store.close();
  const again = await openLog(world, { segmentBytes: 6000 });
  await check(again.log);
  await again.store.close();
});

test("retention by bytes and by count keeps what it promises and deletes whole segments", async () => {
  for (const retention of [{ bytes: 5000 }, { count: 60 }]) {
    const world = new PlainWorld();
    const { store, log } = await openLog(world, { retention });
    await appendBatches(
      log,
      Array.from({ length: 200 }, () => 1),
    );
    const before = { records: log.recordCount, bytes: log.sizeBytes };
    const { deletedRecords, deletedBytes } = await log.enforceRetention(world.nowMs);
    assert.ok(log.sizeBytes >= (retention.bytes ?? 0) && log.sizeBytes < (retention.bytes ?? 1e9) + 2000);
    assert.ok(log.recordCount >= (retention.count ?? 0) && log.recordCount < (retention.count ?? 1e9) + 30);
    assert.deepEqual(
      [before.records - log.recordCount, before.bytes - log.sizeBytes],
      [deletedRecords, deletedBytes],
    );
    assert.equal(log.logStartOffset, deletedRecords);
    assert.deepEqual(await log.enforceRetention(world.nowMs), { deletedRecords: 0, deletedBytes: 0 });
    await store.close();
    const again = await openLog(world, { retention });
    assert.equal(again.log.logStartOffset, deletedRecords);
    assert.equal(again.log.recordCount, 200 - deletedRecords);
    assert.equal((await valuesByOffset(again.log)).size, 200 - deletedRecords);
    await again.store.close();
  }
});

test("retention by age deletes the active segment too, and offsets go on", async () => {
  const world = new PlainWorld();
  const { store, log } = await openLog(world, { retention: { ageMs: 1000 } });
  for (let i = 0; i < 50; i += 1) await append(log, "x".repeat(100), null, 100 * i).committed;
  await log.enforceRetention(4000);
  assert.ok(log.logStartOffset > 10 && log.logStartOffset <= 30, String(log.logStartOffset));
  const starts: number[] = [];
  log.onCommit = ({ logStartOffset }) => starts.push(logStartOffset);
  await log.enforceRetention(6000);
  assert.equal(log.logStartOffset, 50);
  assert.equal(log.sizeBytes, 0);
  assert.deepEqual(starts, [50]);
  await store.close();
  const again = await openLog(world, {});
  const pending = append(again.log, "y");
  await pending.committed;
  assert.equal(pending.baseOffset, 50);
  await again.store.close();
});

test("a segment is sealed when it is older than allowed", async () => {
  const world = new PlainWorld();
  const { store, log } = await openLog(world, { segmentAgeMs: 5000 });
  await append(log, "a").committed;
  world.nowMs += 4999;
  await append(log, "b").committed;
  assert.equal(log.segments.length, 1);
  world.nowMs += 1;
  await append(log, "c").committed;
  assert.deepEqual(
    log.segments.map(({ baseOffset }) => baseOffset),
    [0, 2],
  );
  await store.close();
});

test("deleting the front moves the start at once, while a read that began before goes on", async () => {
  const { store, log } = await openLog(new PlainWorld());
  await appendBatches(
    log,
    Array.from({ length: 100 }, () => 1),
  );
  const reading = log.read(0, 1000);
  const deleting = log.deleteBefore(60);
  assert.equal(log.logStartOffset, 60);
  await assert.rejects(log.read(59, 1000), (error) => isBrokerError(error, "OFFSET_OUT_OF_RANGE"));
  const read = await reading.catch((error: unknown) => error);
  if (Array.isArray(read)) assert.equal(read[0].baseOffset, 0);
  else assert.ok(isBrokerError(read, "OFFSET_OUT_OF_RANGE"));
  await deleting;
  assert.equal(log.recordCount, 40);
  assert.equal((await valuesByOffset(log)).size, 40);
  await assert.rejects(log.deleteBefore(101), (error) => isBrokerError(error, "OFFSET_OUT_OF_RANGE"));
  await store.close();
});

test("compaction leaves the last record of each key at its offset, and reads go over the gaps", async () => {
  const random = new SeededRandom(8);
  const world = new PlainWorld();
  const { store, log } = await openLog(world, { compact: true, tombstoneAgeMs: 1000 });
  const appended: { key: string | null; value: string | null }[] = [];
  const write = (key: string | null, value: string | null) => {
    log.append(world.nowMs, key, value, NO_HEADERS);
    appended.push({ key, value });
  };
  for (let i = 0; i < 300; i += 1) {
    write(
      random.chance(0.05) ? null : `k${random.below(20)}`,
      random.chance(0.1) ? null : `${i}-${"x".repeat(20)}`,
    );
    if (random.chance(0.3)) await store.flush();
  }
  await store.flush();
  world.nowMs += 2000;
  const sealedEnd = log.segments.at(-1)!.baseOffset;
  const { removedRecords } = await log.compact();
  const expected = new Map<number, string>();
  appended.forEach(({ key, value }, offset) => {
    const isLast = !appended.slice(offset + 1, sealedEnd).some((later) => later.key === key);
    const isKept = offset >= sealedEnd || key === null || (isLast && value !== null);
    if (isKept) expected.set(offset, value ?? "");
  });
  assert.ok(removedRecords > 150);
  assert.deepEqual(await valuesByOffset(log), expected);
  assert.equal(log.recordCount, expected.size);
  assert.deepEqual(await log.compact(), { removedRecords: 0, removedBytes: 0 });
  await store.close();

  const again = await openLog(world, { compact: true });
  assert.deepEqual(await valuesByOffset(again.log), expected);
  assert.equal(again.log.recordCount, expected.size);
  await again.store.close();
});

test("compaction ends where retention has left only the segment that is written to", async () => {
  const world = new PlainWorld();
  const options = { compact: true, retention: { ageMs: 100 } };
  const { store, log } = await openLog(world, options);
  await append(log, "old", "a", world.nowMs).committed;
  world.nowMs += 1_000;
  assert.equal((await log.enforceRetention(world.nowMs)).deletedRecords, 1);
  assert.deepEqual(await log.compact(), { removedRecords: 0, removedBytes: 0 });
  await store.close();
  const again = await openLog(world, options);
  assert.deepEqual(await again.log.compact(), { removedRecords: 0, removedBytes: 0 });
  await again.store.close();
});

test("a young tombstone outlives compaction, and a log that was not opened for it is not compacted", async () => {
  const { store, log } = await openLog(new PlainWorld(), { compact: true, segmentBytes: 100 });
  const now = 1_000_000;
  log.append(now, "k", "old", NO_HEADERS);
  await store.flush();
  log.append(now, "k", null, NO_HEADERS);
  await store.flush();
  await append(log, "x".repeat(200)).committed;
  await log.compact();
  assert.deepEqual([...(await valuesByOffset(log)).keys()], [1, 2]);
  const plain = await store.openLog("plain", { durability: "synced" });
  await assert.rejects(plain.compact(), (error) => isBrokerError(error, "NOT_SUPPORTED"));
  await store.close();
});

test("a lost, foreign or misleading index is made anew", async () => {
  const world = new PlainWorld();
  const { store, log } = await openLog(world, { segmentBytes: 20_000 });
  await appendBatches(
    log,
    Array.from({ length: 400 }, () => 1),
    100,
  );
  await store.close();
  const directory = "data/logs/log";
  const [first, second, third] = (await world.disk.list(directory)).filter((name) => name.endsWith(".index"));
  await world.disk.remove(`${directory}/${first}`);
  const cut = await world.disk.open(`${directory}/${second}`, "write");
  await cut.truncate(9);
  const wrong = await world.disk.open(`${directory}/${third}`, "write");
  // Between two batches there is nothing to be read.
  await wrong.write(Buffer.from("0000000100000123", "hex"), 0);
  const again = await openLog(world, { segmentBytes: 20_000 });
  assert.equal((await valuesByOffset(again.log)).size, 400);
  for (let offset = 0; offset < 400; offset += 3) {
    const [batch] = await again.log.read(offset, 1);
    assert.equal(batch!.baseOffset, offset);
  }
  await again.store.close();
});

test("damage is reported with file, position, expected and found, for its log only", async () => {
  const world = new PlainWorld();
  const { store, log } = await openLog(world);
  await append(await store.openLog("other", { durability: "synced" }), "fine").committed;
  await appendBatches(
    log,
    Array.from({ length: 60 }, () => 1),
  );
  const [first] = log.segments;
  const at = first!.path;
  await store.close();
  const file = await world.disk.open(at, "write");
  await file.write(Buffer.from("!"), 70);
  const again = await openLog(world);
  await assert.rejects(again.log.read(0, 1000), (error) => {
    assert.ok(isBrokerError(error, "LOG_CORRUPT"));
    assert.deepEqual([error.context["path"], error.context["position"]], [at, 17]);
    assert.equal(typeof error.context["expected"], "number");
    assert.notEqual(error.context["expected"], error.context["found"]);
    return true;
  });
  assert.equal((await again.log.read(1, 1000))[0]!.baseOffset, 1);
  assert.deepEqual(await values(await again.store.openLog("other", { durability: "synced" })), ["fine"]);
  await again.store.close();
});

test("a torn end is cut off; damage before a sound batch refuses that log", async () => {
  const world = new PlainWorld();
  const { log } = await openLog(world, { segmentBytes: 1_000_000 });
  await appendBatches(log, [1, 1, 1, 1]);
  const { path, sizeBytes } = log.activeSegment;
  world.crash(false);
  const torn = await world.disk.open(path, "write");
  await torn.write(Buffer.from("torn batch that is shorter than a header"), sizeBytes);
  const second = await openLog(world, { segmentBytes: 1_000_000 });
  assert.equal(second.log.highWatermark, 4);
  assert.equal(await torn.size(), sizeBytes);
  await appendBatches(second.log, [1]);
  world.crash(false);
  const damaged = await world.disk.open(path, "write");
  await damaged.write(Buffer.from("!"), sizeBytes - 10);
  const third = await LogStore.open(world.io, "data");
  await assert.rejects(third.openLog("log", { durability: "synced" }), (error) =>
    isBrokerError(error, "LOG_CORRUPT"),
  );
  await append(await third.openLog("other", { durability: "synced" }), "fine").committed;
  await third.close();
});

test("damage before a whole batch is not cut off when the write behind that was torn", async () => {
  const world = new PlainWorld();
  const { log } = await openLog(world, { segmentBytes: 1_000_000 });
  await appendBatches(log, [1, 1, 1]);
  const { path, sizeBytes } = log.activeSegment;
  world.crash(false);
  const file = await world.disk.open(path, "write");
  await file.write(Buffer.alloc(500), sizeBytes);
  await file.write(Buffer.from("!"), (2 * sizeBytes) / 3 - 5);
  await assert.rejects(openLog(world, { segmentBytes: 1_000_000 }), (error) =>
    isBrokerError(error, "LOG_CORRUPT"),
  );
});

test("a batch whose offset changed is damage, although no checksum covers that", async () => {
  for (const compact of [false, true]) {
    const world = new PlainWorld();
    const { store, log } = await openLog(world, { segmentBytes: 1_000_000, compact });
    await appendBatches(log, [2, 2, 2]);
    const { path, sizeBytes } = log.activeSegment;
    await store.close();
    for (const [batch, lowest] of [
      [0, 1],
      [1, 0],
      [1, 3],
      [2, 64],
    ] as const) {
      const file = await world.disk.open(path, "write");
      const at = (batch * sizeBytes) / 3 + 7;
      const kept = Buffer.alloc(1);
      await file.read(kept, at);
      await file.write(Buffer.from([lowest]), at);
      const again = await openLog(world, { segmentBytes: 1_000_000, compact });
      await assert.rejects(values(again.log), (error) => isBrokerError(error, "LOG_CORRUPT"));
      await again.store.close();
      await file.write(kept, at);
    }
  }
});
