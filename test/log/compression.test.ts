import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { compressFrameSync } from "lz4-napi";
import { compressSync } from "snappy";
import { isBrokerError } from "../../src/broker-error.js";
import { readInt16, writeInt16 } from "../../src/bytes/cursor.js";
import { decompressBatch } from "../../src/log/compression.js";
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  COMPRESSION_CODECS,
  type CompressionCodec,
} from "../../src/log/record-batch.js";
import { RecordReader } from "../../src/log/record-reader.js";
import { StoredBatch } from "../../src/log/stored-batch.js";
import { validateBatches, validateRecords } from "../../src/log/validate-batches.js";
import { encodeRows, reseal, rowsOf } from "../support/record-batches.js";
import { vectorBytes, vectorRows } from "./kafka-vectors.js";

const compressedCodecs = ["gzip", "snappy", "lz4", "zstd"] as const;
const plainSize = encodeRows(vectorRows("gzip")).length - BATCH_HEADER_BYTES;

for (const codec of compressedCodecs) {
  test(`a ${codec} batch that Kafka wrote becomes the same batch without compression`, async () => {
    const [batch] = validateBatches(vectorBytes(codec));
    assert.equal(batch!.codec, codec);
    const plain = await decompressBatch(batch!, { sizeBytesMax: plainSize });
    assert.deepEqual(rowsOf(plain), vectorRows(codec));
    assert.equal(plain.bytes.toString("hex"), encodeRows(vectorRows(codec), 77).toString("hex"));
    validateRecords(plain);
  });

  test(`a ${codec} batch that would take a byte more than the limit is refused`, async () => {
    const batch = new StoredBatch(vectorBytes(codec));
    await assert.rejects(
      decompressBatch(batch, { sizeBytesMax: plainSize - 1, code: "INVALID_PAYLOAD" }),
      (error) => isBrokerError(error, "INVALID_PAYLOAD") && error.message.includes("limit"),
    );
  });

  test(`a ${codec} batch whose compressed bytes are cut off anywhere is refused`, async () => {
    const records = vectorBytes(codec).subarray(BATCH_HEADER_BYTES);
    for (let size = 0; size < records.length; size += 1) {
      await assert.rejects(readCompressed(codec, records.subarray(0, size)), isLogCorrupt, `${size} bytes`);
    }
  });

  test(`a ${codec} batch with damaged compressed bytes is read or refused, never anything else`, async () => {
    const records = vectorBytes(codec).subarray(BATCH_HEADER_BYTES);
    const damage = fc.array(fc.tuple(fc.nat(records.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const bytes = Buffer.from(records);
        for (const [at, byte] of changes) bytes[at] = byte;
        await readCompressed(codec, bytes).catch((error) => assert.ok(isLogCorrupt(error), String(error)));
      }),
      { numRuns: 500 },
    );
  });
}

test("a batch that is not compressed is handed back as it is", async () => {
  const batch = new StoredBatch(vectorBytes("none"));
  assert.equal(await decompressBatch(batch), batch);
});

test("a compressed batch cannot be read before it is decompressed", () => {
  assert.throws(() => new RecordReader(new StoredBatch(vectorBytes("gzip"))), /decompressed/);
});

test("a bare snappy block is read as well as Kafka's framing of it", async () => {
  const plain = await decompressBatch(new StoredBatch(vectorBytes("snappy")));
  const records = plain.bytes.subarray(BATCH_HEADER_BYTES);
  const bare = await readCompressed("snappy", Buffer.from(compressSync(records)));
  assert.deepEqual(bare, vectorRows("snappy"));
});

/** A little that becomes a gigabyte, put together without ever holding one. */
const bombs: Record<(typeof compressedCodecs)[number], () => Buffer> = {
  gzip: () => Buffer.concat(Array<Buffer>(1024).fill(gzipSync(Buffer.alloc(1 << 20)))),
  snappy: () => Buffer.concat([Buffer.from("8080808004", "hex"), Buffer.alloc(100)]),
  lz4: lz4Bomb,
  zstd: zstdBomb,
};

for (const codec of compressedCodecs) {
  test(`a ${codec} bomb is refused at the default limit, and takes no more memory than that`, async () => {
    const bomb = bombs[codec]();
    const before = process.resourceUsage().maxRSS;
    await assert.rejects(
      readCompressed(codec, bomb),
      (error) => isLogCorrupt(error) && (error as Error).message.includes("67108864"),
    );
    const grownKib = process.resourceUsage().maxRSS - before;
    assert.ok(grownKib < 300 * 1024, `grew by ${grownKib} KiB`);
  });
}

test("a zstd frame that asks for a window beyond the limit is refused before it is allocated", async () => {
  const frame = Buffer.from("28b52ffd00f8010000", "hex");
  await assert.rejects(readCompressed("zstd", frame), /67108864/);
});

test("a zstd frame that declares a content beyond the limit is refused before it is allocated", async () => {
  const frame = Buffer.from("28b52ffda000000040010000", "hex");
  await assert.rejects(readCompressed("zstd", frame), /limit/);
});

test("a codec whose package is not installed says which to install", () => {
  const folder = mkdtempSync(join(tmpdir(), "omnibus-compression-"));
  try {
    copySources(folder);
    for (const [codec, name] of [
      ["snappy", "snappy"],
      ["lz4", "lz4-napi"],
      ["zstd", "fzstd"],
    ] as const) {
      const error = JSON.parse(
        execFileSync(process.execPath, ["read.mjs", codec, vectorBytes(codec).toString("hex")], {
          cwd: folder,
          encoding: "utf8",
        }),
      );
      if (codec === "zstd" && error === null) continue; // This Node brings its own.
      assert.equal(error.code, "COMPRESSION_UNAVAILABLE");
      assert.deepEqual(error.context, { package: name });
      assert.match(error.message, new RegExp(`npm install ${name}`));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The compiled sources where no package is near them, and a program that reads one batch. */
function copySources(folder: string): void {
  const sources = fileURLToPath(new URL("../../src/", import.meta.url));
  for (const part of ["broker-error.js", "bytes", "log"]) {
    cpSync(join(sources, part), join(folder, "src", part), { recursive: true });
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(folder, "read.mjs"),
    `import { decompressBatch } from "./src/log/compression.js";
     import { StoredBatch } from "./src/log/stored-batch.js";
     const batch = new StoredBatch(Buffer.from(process.argv[3], "hex"));
     const error = await decompressBatch(batch).then(() => null, (error) => error);
     console.log(JSON.stringify(error && { ...error, message: error.message }));`,
  );
}

/** The rows of a batch whose records are these compressed bytes. */
async function readCompressed(codec: CompressionCodec, records: Buffer): Promise<unknown> {
  const header = vectorBytes(codec).subarray(0, BATCH_HEADER_BYTES);
  const bytes = reseal(Buffer.concat([header, records]));
  const attributes = readInt16(bytes, ATTRIBUTES_AT);
  writeInt16(bytes, ATTRIBUTES_AT, (attributes & ~7) | COMPRESSION_CODECS.indexOf(codec));
  return rowsOf(await decompressBatch(new StoredBatch(reseal(bytes))));
}

/** The blocks of a frame of a megabyte, a thousand times. */
function lz4Bomb(): Buffer {
  const frame = compressFrameSync(Buffer.alloc(1 << 20));
  const headerSize = 7;
  const blocks = frame.subarray(headerSize, -4);
  return Buffer.concat([frame.subarray(0, headerSize), ...Array<Buffer>(1024).fill(blocks), Buffer.alloc(4)]);
}

/** A frame of blocks that repeat one byte 128 Ki times each. */
function zstdBomb(): Buffer {
  const header = Buffer.from("28b52ffd0038", "hex");
  const block = Buffer.from("02001000", "hex");
  const last = Buffer.from("03001000", "hex");
  return Buffer.concat([header, ...Array<Buffer>(8191).fill(block), last]);
}

function isLogCorrupt(error: unknown): boolean {
  return isBrokerError(error, "LOG_CORRUPT");
}
