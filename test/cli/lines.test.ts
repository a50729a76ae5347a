import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { splitLines } from "../../src/cli/lines.js";

async function linesOf(chunks: readonly Uint8Array[]): Promise<{ number: number; text: string }[]> {
  const lines: { number: number; text: string }[] = [];
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }
  for await (const some of splitLines(source())) {
    for (const { number, bytes } of some) lines.push({ number, text: bytes.toString("utf8") });
  }
  return lines;
}

test("lines are numbered from 1, whatever ends them", async () => {
  const lines = await linesOf([Buffer.from("a\r\nb\n\nc")]);
  assert.deepEqual(
    lines,
    [
      ["a", 1],
      ["b", 2],
      ["", 3],
      ["c", 4],
    ].map(([text, number]) => ({ text, number })),
  );
});

test("a byte order mark is no part of the first line", async () => {
  assert.deepEqual(await linesOf([Buffer.from("\ufeff{}\n\ufeff{}")]), [
    { number: 1, text: "{}" },
    { number: 2, text: "\ufeff{}" },
  ]);
});

test("a line is the same wherever the chunks are cut", async () => {
  const text = fc.array(
    fc.string({ unit: "grapheme", maxLength: 12 }).map((line) => line.replace(/[\r\n]/g, "")),
    {
      maxLength: 12,
    },
  );
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat({ max: 200 }), { maxLength: 20 }), async (lines, cuts) => {
      const bytes = Buffer.from(`x${lines.join("\n")}\n`);
      const points = [...new Set([0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort(
        (a, b) => a - b,
      );
      const chunks = points.slice(1).map((point, index) => bytes.subarray(points[index], point));
      const found = (await linesOf(chunks)).map((line) => line.text);
      assert.deepEqual(found, `x${lines.join("\n")}`.split("\n"));
    }),
    { numRuns: 300 },
  );
});
