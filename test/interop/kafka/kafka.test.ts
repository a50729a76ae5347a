import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { decompressBatch } from "../../../src/log/compression.js";
import type { StoredBatch } from "../../../src/log/stored-batch.js";
import { validateBatches, validateRecords } from "../../../src/log/validate-batches.js";
import { encodeRows, type Row, rowsOf } from "../../support/record-batches.js";
import { KafkaJars } from "./kafka-jars.js";

const jars = await KafkaJars.fetch();
const skip = typeof jars === "string" && jars;
const kafka = jars as KafkaJars;
const folder = mkdtempSync(join(tmpdir(), "omnibus-kafka-"));
after(() => rmSync(folder, { recursive: true }));

interface OffsetRow extends Row {
  readonly offset: number;
}

const baseOffset = 9_000_000_000;
const baseTimestampMs = 1_700_000_000_000;

/** The records that WriteBatches.java writes, by the same rules. */
function expectedRows(): OffsetRow[] {
  return Array.from({ length: 500 }, (_, i) => ({
    offset: baseOffset + i,
    timestampMs: baseTimestampMs + (i % 2 === 0 ? i * 37 : -i * 100_000_000),
    key: i % 3 === 0 ? null : `key-${i}`,
    value: i % 5 === 0 ? null : "värde ".repeat(i),
    headers: Array.from({ length: i % 100 === 1 ? 300 : i % 4 }, (_unused, k) => [
      `name-${k}`,
      k % 2 === 0 ? `value ${i}` : null,
    ]),
  }));
}

let written = false;
function batchWrittenByKafka(name: string): StoredBatch {
  if (!written) kafka.run("WriteBatches.java", folder);
  written = true;
  const batches = validateBatches(readFileSync(join(folder, `${name}.log`)));
  assert.equal(batches.length, 1);
  return batches[0]!;
}

function readRows(batch: StoredBatch): OffsetRow[] {
  validateRecords(batch);
  return rowsOf(batch).map((row, i) => ({ offset: batch.baseOffset + i, ...row }));
}

for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
  test(`a batch that Kafka's own classes wrote with ${codec} is read record by record`, {
    skip,
  }, async () => {
    const batch = batchWrittenByKafka(codec);
    assert.equal(batch.codec, codec);
    assert.equal(batch.leaderEpoch, 3);
    assert.equal(batch.maxTimestampMs, baseTimestampMs + 498 * 37);
    const plain = await decompressBatch(batch);
    assert.deepEqual(readRows(plain), expectedRows());
    validateBatches(plain.bytes);
  });
}

test("records that Kafka stamped with the time of append carry that time", { skip }, async () => {
  const batch = batchWrittenByKafka("append-time");
  assert.equal(batch.hasAppendTime, true);
  const expected = expectedRows().map((row) => ({ ...row, timestampMs: 1_800_000_000_000 }));
  assert.deepEqual(readRows(await decompressBatch(batch)), expected);
});

test("a transactional batch and its commit marker say whose they are", { skip }, () => {
  const batch = batchWrittenByKafka("transaction");
  assert.deepEqual([batch.isTransactional, batch.isControl], [true, false]);
  assert.deepEqual([batch.producerId, batch.producerEpoch, batch.baseSequence], [1234567890123, 7, 42]);
  assert.deepEqual(readRows(batch), expectedRows());
  const marker = batchWrittenByKafka("control");
  assert.deepEqual([marker.isTransactional, marker.isControl], [true, true]);
  assert.deepEqual([marker.producerId, marker.recordCount], [1234567890123, 1]);
});

test("Kafka's dump tool reads a segment that Omnibus wrote, record by record", { skip }, () => {
  const rows = expectedRows();
  const segment = join(folder, "omnibus/00000000000000000000.log");
  mkdirSync(join(folder, "omnibus"));
  writeFileSync(
    segment,
    Buffer.concat([encodeRows(rows.slice(0, 1), baseOffset), encodeRows(rows.slice(1), baseOffset + 1)]),
  );

  const output = kafka.run(
    "kafka.tools.DumpLogSegments",
    "--deep-iteration",
    "--print-data-log",
    "--files",
    segment,
  );
  const lines = output.split("\n");
  const batchLines = lines.filter((line) => line.startsWith("baseOffset:"));
  assert.equal(batchLines.length, 2);
  assert.match(batchLines[0]!, /^baseOffset: 9000000000 lastOffset: 9000000000 count: 1 .* isvalid: true$/);
  assert.match(
    batchLines[1]!,
    /^baseOffset: 9000000001 lastOffset: 9000000499 count: 499 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: 0 isTransactional: false isControl: false .* CreateTime: 1700000018426 .* magic: 2 compresscodec: none crc: \d+ isvalid: true$/,
  );
  assert.deepEqual(
    lines.filter((line) => line.startsWith("| ")),
    rows.map(dumpLine),
  );
});

/** A record as the dump tool prints it; it shows the names of headers and not their values. */
function dumpLine({ offset, timestampMs, key, value, headers }: OffsetRow): string {
  const size = (text: string | null) => (text === null ? -1 : Buffer.byteLength(text));
  const names = headers.map(([name]) => name).join(",");
  const sizes = `keySize: ${size(key)} valueSize: ${size(value)}`;
  const texts = (key === null ? "" : ` key: ${key}`) + (value === null ? "" : ` payload: ${value}`);
  return `| offset: ${offset} CreateTime: ${timestampMs} ${sizes} sequence: -1 headerKeys: [${names}]${texts}`;
}
