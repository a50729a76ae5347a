import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { decompressBatch } from "../../../src/log/compression.js";
import { validateBatches, validateRecords } from "../../../src/log/validate-batches.js";
import { encodeRows, rowsOf } from "../../support/record-batches.js";

// KafkaJS keeps its codec to itself: these are the parts that its producer and its consumer use.
const require = createRequire(import.meta.url);
const KafkaJsDecoder: new (bytes: Buffer) => object = require("kafkajs/src/protocol/decoder");
const decodeBatch: (
  decoder: object,
) => Promise<KafkaJsBatch> = require("kafkajs/src/protocol/recordBatch/v0/decoder");
const {
  RecordBatch,
}: {
  RecordBatch: (batch: object) => Promise<KafkaJsEncoder>;
} = require("kafkajs/src/protocol/recordBatch/v0");
const encodeRecord: (
  record: object,
) => KafkaJsEncoder = require("kafkajs/src/protocol/recordBatch/record/v0");

interface KafkaJsEncoder {
  readonly buffer: Buffer;
}
interface KafkaJsBatch {
  readonly firstOffset: string;
  readonly lastOffsetDelta: number;
  readonly firstTimestamp: string;
  readonly maxTimestamp: string;
  readonly records: readonly {
    readonly offset: string;
    readonly timestamp: string;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: Readonly<Record<string, Buffer>>;
  }[];
}

const rows = Array.from({ length: 400 }, (_, i) => ({
  timestampMs: 1_700_000_000_000 + (i % 2 === 0 ? i * 37 : -i * 100_000_000),
  key: i % 3 === 0 ? null : `key-${i}`,
  value: "värde ".repeat(i),
  headers: Array.from({ length: i % 4 }, (_unused, k): [string, string] => [`name-${k}`, `value ${i}`]),
}));

test("KafkaJS reads a batch that Omnibus wrote, record by record", async () => {
  const batch = await decodeBatch(new KafkaJsDecoder(encodeRows(rows, 9_000_000_000)));
  assert.equal(batch.firstOffset, "9000000000");
  assert.equal(batch.lastOffsetDelta, rows.length - 1);
  assert.equal(batch.maxTimestamp, String(1_700_000_000_000 + 398 * 37));
  assert.deepEqual(
    batch.records.map((record) => ({
      timestampMs: Number(record.timestamp),
      key: record.key?.toString() ?? null,
      value: record.value?.toString() ?? null,
      headers: Object.entries(record.headers).map(([name, value]) => [name, value.toString()]),
    })),
    rows,
  );
  assert.equal(batch.records.at(-1)!.offset, String(9_000_000_000 + rows.length - 1));
});

for (const [codec, compression] of [
  ["none", 0],
  ["gzip", 1],
] as const) {
  test(`a batch that KafkaJS wrote with ${codec} is read record by record`, async () => {
    const [batch] = validateBatches(await encodedByKafkaJs(compression));
    assert.equal(batch!.codec, codec);
    const plain = await decompressBatch(batch!);
    validateRecords(plain);
    assert.deepEqual(rowsOf(plain), rows);
  });
}

async function encodedByKafkaJs(compression: number): Promise<Buffer> {
  const firstTimestamp = rows[0]!.timestampMs;
  const records = rows.map((row, i) =>
    encodeRecord({
      offsetDelta: i,
      timestampDelta: row.timestampMs - firstTimestamp,
      key: row.key,
      value: row.value,
      headers: Object.fromEntries(row.headers),
    }),
  );
  const maxTimestamp = Math.max(...rows.map((row) => row.timestampMs));
  const lastOffsetDelta = rows.length - 1;
  const batch = await RecordBatch({ compression, firstTimestamp, maxTimestamp, lastOffsetDelta, records });
  return batch.buffer;
}
