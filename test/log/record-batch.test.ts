import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import { encodeHeaders, NO_HEADERS } from "../../src/log/record-headers.js";
import { RecordReader } from "../../src/log/record-reader.js";
import { validateBatches } from "../../src/log/validate-batches.js";

test("what was appended is read back", () => {
  const builder = new BatchBuilder();
  const headers = encodeHeaders([
    ["type", "order.placed"],
    ["nothing", null],
  ]);
  builder.append(1_700_000_000_000, "key", "value", headers);
  builder.append(1_600_000_000_000, null, "значение", NO_HEADERS);
  const [batch] = validateBatches(builder.finish(77));
  assert.equal(batch?.lastOffset, 78);
  assert.equal(batch.maxTimestampMs, 1_700_000_000_000);
  const reader = new RecordReader(batch);
  const first = reader.next();
  assert.equal(first?.keyText(), "key");
  assert.equal(first.valueText(), "value");
  assert.equal(first.header("type")?.toString(), "order.placed");
  assert.equal(first.header("nothing"), undefined);
  const second = reader.next()?.detach();
  assert.equal(second?.offset, 78);
  assert.equal(second.timestampMs, 1_600_000_000_000);
  assert.equal(second.key, null);
  assert.equal(second.valueText(), "значение");
  assert.equal(reader.next(), undefined);
});
