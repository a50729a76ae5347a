import assert from "node:assert/strict";
import { test } from "node:test";
import { readRecords } from "../../src/broker/read-records.js";
import { RecordCursor } from "../../src/broker/record-cursor.js";
import type { Io } from "../../src/io/io.js";
import { MemoryFiles } from "../../src/io/memory-files.js";
import { systemIo } from "../../src/io/system-io.js";
import type { Log } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import type { StoredRecord } from "../../src/log/record.js";
import { append } from "../support/log-records.js";
import { SeededRandom } from "../support/seeded-random.js";

/** A log of many small segments with random batches, and what is in it. */
async function randomLog(random: SeededRandom, tailCacheBytes: number) {
  const io: Io = { ...systemIo, files: new MemoryFiles() };
  const store = await LogStore.open(io, "data", { tailCacheBytes });
  const log = await store.openLog("log", { durability: "synced", segmentBytes: 4_000, compact: true });
  for (let batch = 0; batch < 60; batch += 1) {
    let last = append(log, `value ${"x".repeat(random.below(200))}`, `k${random.below(6)}`);
    for (let more = random.below(6); more > 0; more -= 1) last = append(log, "value", `k${random.below(6)}`);
    await last.committed;
  }
  return { store, log };
}

async function offsetsOf(log: Log): Promise<number[]> {
  const offsets: number[] = [];
  for await (const { offset } of readRecords(log, 0, Number.MAX_SAFE_INTEGER)) offsets.push(offset);
  return offsets;
}

/** What the cursor says when everything that it asks for was fetched. */
async function answer(cursor: RecordCursor, offset: number): Promise<StoredRecord | undefined> {
  for (let round = 0; round < 10; round += 1) {
    const record = cursor.at(offset);
    if (record !== undefined || !cursor.isFetching) return record;
    await cursor.fetched();
  }
  throw new Error(`the cursor goes on fetching for ${offset}`);
}

/** Random places, and all places in order, are answered like a plain search through `offsets` would. */
async function checkCursor(cursor: RecordCursor, log: Log, random: SeededRandom): Promise<void> {
  const offsets = await offsetsOf(log);
  const low = log.logStartOffset;
  for (let asked = 0; asked < 60; asked += 1) {
    const offset = low + random.below(log.highWatermark - low);
    const found = await answer(cursor, offset);
    // What compaction removed may still be in memory, and is then found.
    if (found?.offset !== offset) {
      const expected = offsets.find((kept) => kept >= offset);
      assert.equal(found?.offset, expected);
    }
  }
  for (let next = low; next < log.highWatermark; ) {
    const found = await answer(cursor, next);
    if (found === undefined) break;
    assert.ok(found.offset >= next);
    next = found.offset + 1;
  }
}

for (const [where, tailCacheBytes] of [
  ["memory", 1_000_000],
  ["disk", 1],
  ["both", 3_000],
] as const) {
  test(`the first record at or after any offset is found, over gaps and lost fronts, in ${where}`, async () => {
    for (let seed = 1; seed <= 15; seed += 1) {
      const random = new SeededRandom(seed);
      const { store, log } = await randomLog(random, tailCacheBytes);
      const cursor = new RecordCursor(log, (error) => assert.equal(error, undefined));
      await checkCursor(cursor, log, random);
      await log.compact();
      for (let round = 0; round < 2; round += 1) {
        await checkCursor(cursor, log, random);
        await log.deleteBefore(log.logStartOffset + random.below(log.highWatermark - log.logStartOffset));
      }
      await store.close();
    }
  });
}

test("a record that is asked for again is found without being fetched or walked to again", async () => {
  const store = await LogStore.open({ ...systemIo, files: new MemoryFiles() }, "data", { tailCacheBytes: 1 });
  const log = await store.openLog("log", { durability: "synced" });
  for (const value of ["a", "b", "c", "d"]) append(log, value);
  await store.flush();
  let fetches = 0;
  const cursor = new RecordCursor(log, () => {
    fetches += 1;
  });
  const second = await answer(cursor, 1);
  for (let round = 0; round < 5; round += 1) assert.equal(cursor.at(1), second);
  assert.equal(cursor.at(2)?.valueText(), "c");
  assert.equal(cursor.at(1)?.valueText(), "b");
  assert.equal(fetches, 1);
  await store.close();
});

test("reading a range passes over what retention removes meanwhile", async () => {
  const { store, log } = await randomLog(new SeededRandom(2), 1);
  const seen: number[] = [];
  for await (const { offset } of readRecords(log, 0, log.highWatermark)) {
    seen.push(offset);
    if (seen.length === 5) await log.deleteBefore(log.highWatermark - 3);
  }
  assert.deepEqual(seen.slice(-3), [log.highWatermark - 3, log.highWatermark - 2, log.highWatermark - 1]);
  assert.ok(seen.length < log.highWatermark);
  await store.close();
});

test("what goes wrong is told, and the next look tries again", async () => {
  const { store, log } = await randomLog(new SeededRandom(3), 1);
  const codes: string[] = [];
  const cursor = new RecordCursor(log, (error) => codes.push((error as { code: string }).code));
  await store.close();
  for (let round = 0; round < 2; round += 1) {
    assert.equal(cursor.at(7), undefined);
    assert.equal(cursor.isFetching, true);
    await cursor.fetched();
  }
  assert.deepEqual(codes, ["CLOSED", "CLOSED"]);
});
