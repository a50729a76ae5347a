import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fitText,
  formatAge,
  formatBytes,
  formatCount,
  parseDuration,
  parseMoment,
} from "../../src/cli/format.js";

test("counts, sizes and ages are written for people", () => {
  assert.equal(formatCount(1_234_567), "1,234,567");
  assert.deepEqual([0, 512, 1536, 20 * 1024 * 1024, 3 * 1024 ** 4].map(formatBytes), [
    "0 B",
    "512 B",
    "1.5 KiB",
    "20 MiB",
    "3 TiB",
  ]);
  assert.deepEqual([0, 40, 3_200, 720_000, 18_360_000, 259_200_000].map(formatAge), [
    "0 ms",
    "40 ms",
    "3.2 s",
    "12 min",
    "5.1 h",
    "3 d",
  ]);
});

test("durations have a number and a unit", () => {
  assert.deepEqual(["500ms", "1.5h", "2d"].map(parseDuration), [500, 5_400_000, 172_800_000]);
  assert.deepEqual(["", "10", "s", "-1s", "1 week"].map(parseDuration), Array(5).fill(undefined));
});

test("a moment is a date or how long ago", () => {
  assert.equal(parseMoment("2h", "--from", 10_000_000).getTime(), 2_800_000);
  assert.equal(parseMoment("2026-03-01T14:00:00Z", "--from", 0).toISOString(), "2026-03-01T14:00:00.000Z");
  for (const text of ["yesterday", "12", "2026-99-01"]) {
    assert.throws(() => parseMoment(text, "--from", 0), {
      message: new RegExp(`^--from '${text}' is no moment`),
    });
  }
});

test("text that would move the cursor is put into plain sight", () => {
  assert.equal(fitText("a\nb\u001b[2J", 40), "a\\nb\\x1b[2J");
  assert.equal(fitText("abcdef", 4), "abc…");
});
