import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OffsetIndex } from "../../src/log/offset-index.js";
import { TimeIndex } from "../../src/log/time-index.js";

test("an offset index gives the position of the last entry at or before an offset", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 9000 })), {
        maxLength: 200,
      }),
      fc.integer({ min: 0, max: 10_000 }),
      (steps, wanted) => {
        const index = new OffsetIndex(1000);
        const entries: [number, number][] = [];
        let offset = 999;
        let position = -1;
        for (const [offsetStep, positionStep] of steps) {
          offset += offsetStep;
          position += positionStep;
          index.add(offset, position);
          entries.push([offset, position]);
        }
        const expected = entries.findLast(([at]) => at <= 1000 + wanted)?.[1] ?? 0;
        assert.equal(index.positionOf(1000 + wanted), expected);
        const again = OffsetIndex.parse(1000, Buffer.from(index.encoded()), position + 1);
        assert.equal(again?.positionOf(1000 + wanted), expected);
      },
    ),
  );
});

test("an offset index is stored as relative offset and position, big-endian", () => {
  const index = new OffsetIndex(100);
  index.add(105, 4200);
  index.add(300, 0x01020304);
  assert.equal(index.encoded().toString("hex"), "0000000500001068000000c801020304");
});

test("an index that was cut off, does not grow, or points behind its segment is not taken", () => {
  const parse = (hex: string, segmentBytes = 10_000) =>
    OffsetIndex.parse(0, Buffer.from(hex, "hex"), segmentBytes);
  assert.notEqual(parse("0000000500000100" + "0000000600000200"), undefined);
  assert.equal(parse("00000005000001"), undefined);
  assert.equal(parse("0000000500000100" + "0000000500000200"), undefined);
  assert.equal(parse("0000000500000100" + "0000000600000100"), undefined);
  assert.equal(parse("0000000500000100" + "0000000000000000"), undefined);
  assert.equal(parse("0000000500000100", 0x100), undefined);
  assert.equal(TimeIndex.parse(0, Buffer.alloc(13)), undefined);
  assert.equal(TimeIndex.parse(0, Buffer.alloc(24)), undefined);
});

test("a time index names an offset before which everything is earlier", () => {
  const index = new TimeIndex(10);
  index.add(100, 15);
  index.add(100, 18);
  index.add(90, 20);
  index.add(200, 30);
  assert.equal(index.entryCount, 2);
  assert.equal(index.encoded().toString("hex"), "000000000000006400000005" + "00000000000000c800000014");
  assert.equal(index.offsetBefore(100), 10);
  assert.equal(index.offsetBefore(101), 16);
  assert.equal(index.offsetBefore(200), 16);
  assert.equal(index.offsetBefore(201), 31);
  assert.equal(TimeIndex.parse(10, Buffer.from(index.encoded()))?.lastTimestampMs, 200);
});
