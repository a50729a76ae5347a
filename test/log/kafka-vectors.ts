// Batches that Kafka's own classes wrote (MemoryRecords of Kafka 3.9.1), one per codec.

import type { CompressionCodec } from "../../src/log/record-batch.js";
import type { Row } from "../support/record-batches.js";

export const vectorBaseOffset = 77;

/** What the batches hold; in the compressed ones the second value is repeated a hundred times. */
export function vectorRows(codec: CompressionCodec): Row[] {
  const second = "héllo".repeat(codec === "none" ? 1 : 100);
  return [
    {
      timestampMs: 1_700_000_000_000,
      key: "k",
      value: "hello",
      headers: [
        ["type", "greeting"],
        ["none", null],
      ],
    },
    { timestampMs: 1_700_000_000_100, key: null, value: second, headers: [] },
    { timestampMs: 1_690_000_000_000, key: "k", value: null, headers: [] },
    { timestampMs: 1_700_000_000_000, key: "", value: "", headers: [] },
  ];
}

export function vectorBytes(codec: CompressionCodec): Buffer {
  return Buffer.from(vectors[codec].join(""), "hex");
}

/** What precedes the attributes, the rest of the header, then the records. */
const vectors: Record<CompressionCodec, readonly string[]> = {
  none: [
    "000000000000004d000000730000000002e0ce8c13",
    "0000000000030000018bcfe568000000018bcfe56864ffffffffffffffffffffffffffff00000004",
    "40000000026b0a68656c6c6f040874797065106772656574696e67086e6f6e65011a00c80102010c68c3a96c6c6f0016",
    "00ff8fdfc04a04026b01000c000006000000",
  ],
  gzip: [
    "000000000000004d0000008e0000000002e7df3745",
    "0001000000030000018bcfe568000000018bcfe56864ffffffffffffffffffffffffffff00000004",
    "1f8b08000000000000ff7360606060cae6ca48cdc9c967e128a92c4815482f4a4d2dc9cc4be7c8cbcf4b653cc0c97082",
    "9189710367c6e1954035a3e428495d92418ce17ffffd035e2c4cd98c0c3c0c0c6cc014090094f26a1096020000",
  ],
  snappy: [
    "000000000000004d000000ac00000000029490db99",
    "0002000000030000018bcfe568000000018bcfe56864ffffffffffffffffffffffffffff00000004",
    "82534e41505059000000000100000001000000679605c040000000026b0a68656c6c6f04087479706510677265657469",
    "6e67086e6f6e6501c00900c8010201b00968c3a96c6c6f68fe0600fe0600fe0600fe0600fe0600fe0600fe0600fe0600",
    "fe06004206004c001600ff8fdfc04a04026b01000c000006000000",
  ],
  lz4: [
    "000000000000004d0000008d00000000022d523814",
    "0003000000030000018bcfe568000000018bcfe56864ffffffffffffffffffffffffffff00000004",
    "04224d186040824d000000ff2140000000026b0a68656c6c6f040874797065106772656574696e67086e6f6e6501c009",
    "00c8010201b00968c3a96c6c6f0600ffff41f005001600ff8fdfc04a04026b01000c00000600000000000000",
  ],
  zstd: [
    "000000000000004d0000008a00000000029945c4ca",
    "0004000000030000018bcfe568000000018bcfe56864ffffffffffffffffffffffffffff00000004",
    "28b52ffd00586c0200440440000000026b0a68656c6c6f040874797065106772656574696e67086e6f6e6501c00900c8",
    "010201b00968c3a96c6c6f001600ff8fdfc04a04026b01000c0000060000000100f024558102010000",
  ],
};
