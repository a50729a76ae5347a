// Giving memory back before garbage is collected.

import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseMemory } from "../../src/io/release-memory.js";

test("a buffer with memory of its own is empty afterwards, and its memory is free at once", async () => {
  // What is kept until the port has closed, soon after the start, is little.
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 1_000; count += 1) {
    const buffer = Buffer.alloc(1024 * 1024, 1);
    releaseMemory(buffer);
    assert.equal(buffer.length, 0);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
});

test("small buffers are emptied together, soon: none is kept back but the last few", () => {
  for (const sizeBytes of [10, 900, 3_000]) {
    const buffers = Array.from({ length: 1_000 }, () => Buffer.alloc(sizeBytes, 1));
    for (const buffer of buffers) releaseMemory(buffer);
    const kept = buffers.filter(({ length }) => length > 0);
    assert.ok(kept.length < 64, `${kept.length} of ${sizeBytes} bytes were kept`);
    assert.ok(kept.length * sizeBytes < 32 * 1024);
  }
});

test("a buffer that is a part of more memory is left as it is", () => {
  const whole = Buffer.alloc(1_000, 7);
  const part = whole.subarray(1);
  releaseMemory(part);
  assert.equal(part[0], 7);
  assert.equal(whole.length, 1_000);
  const pooled = Buffer.from("small");
  releaseMemory(pooled);
  assert.equal(pooled.toString(), "small");
});
