import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { type BrokerError, isBrokerError } from "../../src/broker-error.js";
import { readInt32, writeInt16, writeInt32, writeInt64 } from "../../src/bytes/cursor.js";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import {
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  batchSizeAt,
  findBatchFault,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  writeBaseOffset,
} from "../../src/log/record-batch.js";
import { encodeHeaders, NO_HEADERS } from "../../src/log/record-headers.js";
import { RecordReader } from "../../src/log/record-reader.js";
import { StoredBatch } from "../../src/log/stored-batch.js";
import { validateBatches } from "../../src/log/validate-batches.js";
import { encodeRows, type Row, reseal, rowsOf } from "../support/record-batches.js";
import { vectorBaseOffset, vectorBytes, vectorRows } from "./kafka-vectors.js";

const vector = vectorBytes("none");

const text = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.nat(20_000).map((length) => "x".repeat(length)),
);
const nullableText: fc.Arbitrary<string | null> = fc.option(text);
const row: fc.Arbitrary<Row> = fc.record(
  {
    timestampMs: fc.oneof(
      fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
      fc.integer({ min: -8.64e15 / 2, max: 8.64e15 / 2 }),
    ),
    key: nullableText,
    value: nullableText,
    headers: fc.array(fc.tuple(text, nullableText), { maxLength: 5 }),
  },
  { noNullPrototype: true },
);

test("a batch that Kafka wrote is read, and the same records are written byte for byte the same", () => {
  const [batch] = validateBatches(vector);
  assert.equal(batch!.baseOffset, vectorBaseOffset);
  assert.deepEqual(rowsOf(batch!), vectorRows("none"));
  assert.equal(encodeRows(vectorRows("none"), vectorBaseOffset).toString("hex"), vector.toString("hex"));
});

test("the example in the format's page is what is written, byte for byte", () => {
  const page = readFileSync(new URL("../../../docs/formats/record-batch.md", import.meta.url), "utf8");
  const lines = page.split("```")[1]!.trim().split("\n");
  const hex = lines.map((line) => line.slice(0, 28).replaceAll(" ", "")).join("");
  const headers = [["type", "greeting"]] as const;
  const bytes = encodeRows([{ timestampMs: 1_700_000_000_000, key: "k", value: "hello", headers }], 77);
  assert.equal(bytes.toString("hex"), hex);
});

test("any records survive the round trip", () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), fc.maxSafeNat(), (rows, offset) => {
      const baseOffset = Math.min(offset, Number.MAX_SAFE_INTEGER - rows.length);
      const [batch] = validateBatches(encodeRows(rows, baseOffset));
      assert.equal(batch!.baseOffset, baseOffset);
      assert.equal(batch!.lastOffset, baseOffset + rows.length - 1);
      assert.equal(batch!.recordCount, rows.length);
      assert.equal(batch!.baseTimestampMs, rows[0]!.timestampMs);
      assert.equal(batch!.maxTimestampMs, Math.max(...rows.map((each) => each.timestampMs)));
      assert.deepEqual(rowsOf(batch!), rows);
    }),
  );
});

test("a value is stored the same whether it comes as a string or as bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(nullableText, nullableText), { minLength: 1, maxLength: 10 }), (pairs) => {
      const fromText = new BatchBuilder(64);
      const fromBytes = new BatchBuilder();
      for (const [key, value] of pairs) {
        fromText.append(0, key, value, NO_HEADERS);
        fromBytes.append(0, asBytes(key), asBytes(value), NO_HEADERS);
      }
      assert.deepEqual(fromText.finish(0), fromBytes.finish(0));
    }),
  );
});

test("half a surrogate pair is stored as the replacement character", () => {
  const [batch] = validateBatches(
    encodeRows([{ timestampMs: 0, key: null, value: "a\ud800b", headers: [] }]),
  );
  assert.equal(new RecordReader(batch!).next()!.valueText(), "a\ufffdb");
});

test("a builder counts its bytes and is used again after a reset", () => {
  const builder = new BatchBuilder(16);
  assert.equal(builder.sizeBytes, BATCH_HEADER_BYTES);
  for (const size of [10, 100_000, 1]) {
    assert.equal(builder.append(5, "key", "v".repeat(size), NO_HEADERS), 0);
    assert.equal(builder.append(9, null, Buffer.alloc(size), NO_HEADERS), 1);
    const bytes = builder.finish(3);
    assert.equal(bytes.length, builder.sizeBytes);
    const [batch] = validateBatches(bytes);
    assert.deepEqual([batch!.recordCount, batch!.lastOffset, batch!.maxTimestampMs], [2, 4, 9]);
    builder.reset();
    assert.deepEqual([builder.recordCount, builder.sizeBytes], [0, BATCH_HEADER_BYTES]);
  }
});

test("a builder refuses what would be a bug of its caller", () => {
  const builder = new BatchBuilder();
  assert.throws(() => builder.finish(0), /empty/);
  assert.throws(() => builder.append(0.5, null, null, NO_HEADERS), /whole/);
  builder.append(0, null, null, NO_HEADERS);
  assert.throws(() => builder.append(1.5, null, null, NO_HEADERS), /whole/);
  assert.throws(() => builder.append(Number.NaN, null, null, NO_HEADERS), /whole/);
  assert.equal(builder.recordCount, 1);
  builder.finish(0);
  assert.throws(() => builder.append(0, null, null, NO_HEADERS), /finished/);
  assert.throws(() => builder.finish(0), /finished/);
});

test("records are found through their headers, their views and their encoded headers", () => {
  const headers = encodeHeaders([
    ["näme", "1"],
    ["name", "2"],
    ["name", Buffer.from([3])],
    ["null", null],
    ["name2", ""],
  ]);
  const builder = new BatchBuilder();
  builder.append(1, Buffer.from("k"), "välue", headers);
  const record = new RecordReader(new StoredBatch(builder.finish(0))).next()!;
  assert.deepEqual(record.header("näme"), Buffer.from("1"));
  assert.deepEqual(record.header("name"), Buffer.from([3]), "the last of that name");
  assert.deepEqual(record.header("name2"), Buffer.alloc(0));
  assert.equal(record.header("null"), undefined);
  assert.equal(record.header("nam"), undefined);
  assert.equal(record.header("näm"), undefined);
  assert.deepEqual(record.headersEncoded(), headers);
  assert.deepEqual(record.key, Buffer.from("k"));
  assert.equal(record.value!.toString(), "välue");
  assert.equal(record.valueSizeBytes, 6);
  assert.equal(record.sizeBytes, builder.sizeBytes - BATCH_HEADER_BYTES);
});

test("a detached record does not depend on its batch", () => {
  const bytes = Buffer.from(vector);
  const reader = new RecordReader(new StoredBatch(bytes));
  const first = reader.next()!.detach();
  const record = reader.next()!;
  const detached = record.detach();
  bytes.fill(0xff);
  assert.deepEqual([first.keyText(), first.valueText()], ["k", "hello"]);
  assert.deepEqual(first.header("type"), Buffer.from("greeting"));
  assert.equal(detached.offset, 78);
  assert.equal(detached.timestampMs, 1_700_000_000_100);
  assert.equal(detached.key, null);
  assert.equal(detached.valueText(), "héllo");
  assert.deepEqual(detached.headers(), []);
  assert.equal(detached.sizeBytes, record.sizeBytes);
});

test("a reader that skips to any offset goes on from there", () => {
  const rows = Array.from({ length: 300 }, (_, i) => ({
    timestampMs: i,
    key: null,
    value: "v".repeat(i),
    headers: [],
  }));
  const batch = new StoredBatch(encodeRows(rows, 1000));
  for (let offset = 990; offset < 1310; offset += 1) {
    const reader = new RecordReader(batch);
    reader.skipTo(offset);
    assert.equal(reader.next()?.offset, offset < 1300 ? Math.max(offset, 1000) : undefined);
  }
});

test("a reader that skips in a compacted batch stops at the first record that is left", () => {
  const batch = new StoredBatch(thinnedOut(new StoredBatch(vector), [1, 3]));
  for (const [offset, expected] of [
    [77, 78],
    [78, 78],
    [79, 80],
    [80, 80],
    [81, undefined],
  ] as const) {
    const reader = new RecordReader(batch);
    reader.skipTo(offset);
    assert.equal(reader.next()?.offset, expected);
  }
});

test("a batch from which compaction removed every record is empty and keeps its offsets", () => {
  const bytes = thinnedOut(new StoredBatch(vector), []);
  assert.equal(findBatchFault(bytes), undefined);
  const batch = new StoredBatch(bytes);
  assert.deepEqual([batch.recordCount, batch.lastOffset], [0, 80]);
  assert.equal(new RecordReader(batch).next(), undefined);
});

test("a batch keeps its checksum when its base offset is rewritten", () => {
  const bytes = Buffer.concat([vector, vector]);
  writeBaseOffset(bytes, vector.length, 2 ** 52);
  const batches = validateBatches(bytes);
  assert.deepEqual(
    batches.map((batch) => batch.lastOffset),
    [80, 2 ** 52 + 3],
  );
});

test("a batch cut off at any byte is refused, and so is one with a byte too many", () => {
  for (let size = 0; size < vector.length; size += 1) {
    assert.throws(() => validateBatches(vector.subarray(0, size)), isInvalidPayload);
  }
  assert.throws(() => validateBatches(Buffer.concat([vector, Buffer.of(0)])), isInvalidPayload);
});

test("a batch with any one bit flipped is refused, in all that the checksum and the sizes cover", () => {
  const uncovered = new Set([...Array(8).keys(), 12, 13, 14, 15]);
  for (let bit = 0; bit < vector.length * 8; bit += 1) {
    if (uncovered.has(bit >> 3)) continue;
    const bytes = Buffer.from(vector);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => validateBatches(bytes), isInvalidPayload, `bit ${bit}`);
  }
});

const RECORD = BATCH_HEADER_BYTES;

/** What is changed in the vector before its checksum is made right again, the fault, and the byte it lies at. */
const malformed: readonly [what: string, change: (bytes: Buffer) => void, fault: RegExp, at: number][] = [
  ["an older magic", (b) => b.writeInt8(1, MAGIC_AT), /magic is 1, expected 2/, MAGIC_AT],
  ["an unknown codec", (b) => writeInt16(b, ATTRIBUTES_AT, 5), /compression is 5/, ATTRIBUTES_AT],
  ["a negative base offset", (b) => writeInt64(b, BASE_OFFSET_AT, -1), /base offset is -1/, BASE_OFFSET_AT],
  ["an offset beyond 2^53", (b) => writeInt32(b, BASE_OFFSET_AT, 0x200000), /base offset/, BASE_OFFSET_AT],
  [
    "a timestamp beyond 2^53",
    (b) => writeInt32(b, BASE_TIMESTAMP_AT, 0x7fffffff),
    /base t/,
    BASE_TIMESTAMP_AT,
  ],
  ["a max timestamp beyond", (b) => writeInt32(b, MAX_TIMESTAMP_AT, 0x7fffffff), /max t/, MAX_TIMESTAMP_AT],
  ["a producer id below -1", (b) => writeInt64(b, PRODUCER_ID_AT, -2), /producer id is -2/, PRODUCER_ID_AT],
  [
    "a negative last delta",
    (b) => writeInt32(b, LAST_OFFSET_DELTA_AT, -1),
    /last offset/,
    LAST_OFFSET_DELTA_AT,
  ],
  [
    "a last delta too many",
    (b) => writeInt32(b, LAST_OFFSET_DELTA_AT, 4),
    /record count is 4, expected 5/,
    RECORD_COUNT_AT,
  ],
  [
    "a negative record count",
    (b) => writeInt32(b, RECORD_COUNT_AT, -1),
    /record count is -1/,
    RECORD_COUNT_AT,
  ],
  [
    "more records than fit",
    (b) => writeInt32(b, RECORD_COUNT_AT, 1000),
    /record count is 1000/,
    RECORD_COUNT_AT,
  ],
  ["a record too few", (b) => setRecordCount(b, 3), /bytes after the last record/, 120],
  ["a record too many", (b) => setRecordCount(b, 5), /record length is cut off/, 127],
  ["a negative record length", (b) => b.writeInt8(1, RECORD), /record of -1 bytes/, RECORD + 1],
  ["a record beyond the batch", (b) => b.writeInt8(0x7e, 120), /record of 63 bytes/, 121],
  ["an endless varint", (b) => b.fill(0xff, RECORD, RECORD + 8), /more than 32 bits/, RECORD],
  ["a wrong offset delta", (b) => b.writeInt8(2, RECORD + 3), /offset delta is 1, expected 0/, RECORD],
  ["a key length below -1", (b) => b.writeInt8(3, RECORD + 4), /key of -2 bytes/, RECORD + 5],
  ["a key beyond its record", (b) => b.writeInt8(0x50, RECORD + 4), /key of 40 bytes/, RECORD + 5],
  ["a value beyond its record", (b) => b.writeInt8(0x50, RECORD + 6), /value of 40 bytes/, RECORD + 7],
  ["a value up to its record's end", (b) => b.writeInt8(52, RECORD + 6), /without a header count/, RECORD],
  ["a negative header count", (b) => b.writeInt8(1, RECORD + 12), /header count is -1/, RECORD + 12],
  ["a header too many", (b) => b.writeInt8(6, RECORD + 12), /header name length is cut off/, RECORD + 33],
  ["a header too few", (b) => b.writeInt8(2, RECORD + 12), /bytes after the last header/, RECORD + 27],
  ["a null header name", (b) => b.writeInt8(1, RECORD + 13), /header name of -1/, RECORD + 14],
  ["a header value beyond", (b) => b.writeInt8(0x50, RECORD + 18), /header value of 40/, RECORD + 19],
];

for (const [what, change, fault, at] of malformed) {
  test(`a batch with ${what} is refused, and the error says where in all the bytes`, () => {
    const bytes = Buffer.from(vector);
    change(bytes);
    reseal(bytes);
    assert.throws(
      () => validateBatches(Buffer.concat([vector, bytes])),
      (error) => {
        assert.ok(isInvalidPayload(error));
        assert.match(error.message, fault);
        assert.equal(error.context["position"], vector.length + at);
        return true;
      },
    );
  });
}

test("sizes that lie are refused before anything beyond the batch is read", () => {
  for (const length of [-1, 0, 48, vector.length - 11, 0x7fffffff, -0x80000000]) {
    const bytes = Buffer.from(vector);
    writeInt32(bytes, LENGTH_AT, length);
    assert.match(findBatchFault(bytes)?.what ?? "", /batch size/);
    assert.throws(() => validateBatches(bytes), isInvalidPayload);
  }
});

test("bytes that were damaged under a right checksum are read or refused, never anything else", () => {
  const damage = fc.array(fc.tuple(fc.nat(vector.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(damage, (changes) => {
      const bytes = Buffer.from(vector);
      for (const [at, byte] of changes) bytes[at] = byte;
      reseal(bytes);
      try {
        for (const batch of validateBatches(bytes)) if (batch.codec === "none") rowsOf(batch);
      } catch (error) {
        assert.ok(isInvalidPayload(error), String(error));
        const position = error.context["position"] as number;
        assert.ok(position >= 0 && position <= bytes.length);
      }
    }),
    { numRuns: 3000 },
  );
});

test("records that are malformed in a log are reported as a corrupt log", () => {
  const bytes = Buffer.from(vector);
  bytes.writeInt8(0x7e, RECORD + 4);
  const reader = new RecordReader(new StoredBatch(bytes));
  assert.throws(
    () => reader.next(),
    (error) => isBrokerError(error, "LOG_CORRUPT") && error.context["position"] === RECORD + 5,
  );
});

test("attributes that others set are told apart", () => {
  const bytes = Buffer.from(vector);
  writeInt16(bytes, ATTRIBUTES_AT, 0x38);
  writeInt32(bytes, LEADER_EPOCH_AT, 12);
  const batch = new StoredBatch(reseal(bytes));
  assert.deepEqual([batch.hasAppendTime, batch.isTransactional, batch.isControl], [true, true, true]);
  assert.equal(batch.leaderEpoch, 12);
  assert.equal(batch.codec, "none");
  assert.deepEqual(
    rowsOf(batch).map((each) => each.timestampMs),
    Array(4).fill(1_700_000_000_100),
  );
});

function asBytes(field: string | null): Buffer | null {
  return field === null ? null : Buffer.from(field);
}

function isInvalidPayload(error: unknown): error is BrokerError {
  return isBrokerError(error, "INVALID_PAYLOAD");
}

function setRecordCount(bytes: Buffer, count: number): void {
  writeInt32(bytes, RECORD_COUNT_AT, count);
  writeInt32(bytes, LAST_OFFSET_DELTA_AT, count - 1);
}

/** The batch as compaction leaves it when only the records with these indexes survive. */
function thinnedOut(batch: StoredBatch, kept: readonly number[]): Buffer {
  const parts = [batch.bytes.subarray(0, BATCH_HEADER_BYTES)];
  const reader = new RecordReader(batch);
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    const isKept = kept.includes(record.offset - batch.baseOffset);
    if (isKept) parts.push(batch.bytes.subarray(record.start, record.end));
  }
  const bytes = Buffer.concat(parts);
  writeInt32(bytes, RECORD_COUNT_AT, kept.length);
  assert.equal(batchSizeAt(reseal(bytes), 0), bytes.length);
  assert.equal(readInt32(bytes, RECORD_COUNT_AT), kept.length);
  return bytes;
}
