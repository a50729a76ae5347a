import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { Segment } from "../../src/log/segment.js";
import { SegmentPool } from "../../src/log/segment-pool.js";
import { StoredBatch } from "../../src/log/stored-batch.js";
import { PlainWorld } from "../support/plain-world.js";
import { systemError } from "../support/simulated-disk.js";

async function createSegment(world: PlainWorld): Promise<Segment> {
  await world.disk.makeDirectory("folder");
  const segment = new Segment(world.disk, new SegmentPool("write"), "folder", 0);
  await segment.create();
  return segment;
}

async function appendBatch(segment: Segment): Promise<void> {
  const builder = new BatchBuilder();
  builder.append(1, null, "value", NO_HEADERS);
  const bytes = Buffer.from(builder.finish(segment.nextOffset));
  await segment.openFile.write(bytes, segment.sizeBytes);
  segment.commit(new StoredBatch(bytes));
}

test("when one of two overlapping syncs fails, nobody is told that all is well, then or later", async () => {
  const world = new PlainWorld();
  const segment = await createSegment(world);
  await appendBatch(segment);
  let failures = 0;
  world.disk.onOperation = ({ kind, path }) => {
    if (kind === "sync" && failures++ === 0) throw systemError("EIO", path);
    return undefined;
  };
  const results = await Promise.allSettled([
    segment.sync(segment.sizeBytes),
    segment.sync(segment.sizeBytes),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  await assert.rejects(segment.syncCommitted());
  assert.equal(segment.syncedBytes, 0);
  assert.deepEqual(segment.recoveryPoint, { segmentBase: 0, sizeBytes: 0, nextOffset: 0 });
});

test("the recovery point is what had been committed when the last sync began", async () => {
  const segment = await createSegment(new PlainWorld());
  await appendBatch(segment);
  const { sizeBytes } = segment;
  const syncing = segment.sync(sizeBytes);
  await appendBatch(segment);
  await syncing;
  assert.deepEqual(segment.recoveryPoint, { segmentBase: 0, sizeBytes, nextOffset: 1 });
  await segment.syncCommitted();
  assert.deepEqual(segment.recoveryPoint, { segmentBase: 0, sizeBytes: 2 * sizeBytes, nextOffset: 2 });
});

test("more sealed segments than stay open are closed, and opened again when they are read", async () => {
  const world = new PlainWorld();
  const pool = new SegmentPool("write");
  await world.disk.makeDirectory("folder");
  const segments: Segment[] = [];
  for (let i = 0; i < 100; i += 1) {
    const segment = new Segment(world.disk, pool, "folder", i);
    await segment.create();
    await appendBatch(segment);
    await segment.seal();
    segments.push(segment);
  }
  assert.throws(() => segments[0]!.openFile);
  assert.equal(segments[99]!.openFile.path, segments[99]!.path);
  assert.equal(await segments[0]!.maxTimestampMs(), 1);
  assert.equal(segments[0]!.openFile.path, segments[0]!.path);
});

test("a segment that was removed is closed when its last reader is done", async () => {
  const world = new PlainWorld();
  const segment = await createSegment(world);
  await appendBatch(segment);
  const file = await segment.acquire();
  let isClosed = false;
  const retired = segment.retire().then(() => {
    isClosed = true;
  });
  await segment.remove();
  const target = Buffer.alloc(10);
  assert.equal(await file.read(target, 0), 10);
  assert.equal(isClosed, false);
  segment.release();
  await retired;
  assert.deepEqual(await world.disk.list("folder"), []);
});
