import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemIo } from "../../../src/io/system-io.js";
import { LogStore } from "../../../src/log/log-store.js";
import { append } from "../../support/log-records.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { KafkaJars } from "./kafka-jars.js";

const jars = await KafkaJars.fetch();
const skip = typeof jars === "string" && jars;
const kafka = jars as KafkaJars;

test("Kafka's dump tool accepts the segments and indexes of a log that rolled and was compacted", {
  skip,
}, async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await LogStore.open(systemIo, directory);
  const log = await store.openLog("orders", { durability: "synced", segmentBytes: 60_000, compact: true });
  for (let i = 0; i < 3000; i += 1) {
    // The timestamps go up and down, so that not every batch is the latest one.
    append(log, "x".repeat(i % 200), `key-${i % 500}`, 1_700_000_000_000 + i * 10 - (i % 7) * 45);
    if (i % 5 === 0) await store.flush();
  }
  await store.flush();
  await log.compact();
  for (let i = 0; i < 1000; i += 1) {
    append(log, "y".repeat(100), `key-${i}`, 1_700_000_100_000 + i);
    if (i % 3 === 0) await store.flush();
  }
  await store.close();

  const folder = join(directory, "logs", "orders");
  const names = readdirSync(folder);
  const sealed = names.filter((name) => name.endsWith(".timeindex"));
  assert.ok(sealed.length >= 3, names.join(", "));
  const files = names.map((name) => join(folder, name)).join(",");
  const dumped = kafka.run("kafka.tools.DumpLogSegments", "--deep-iteration", "--files", files);
  for (const complaint of ["Mismatches in", "isvalid: false", "not found", "out of order", "error"]) {
    assert.ok(
      !dumped.toLowerCase().includes(complaint.toLowerCase()),
      `${complaint}:\n${dumped.slice(-2000)}`,
    );
  }
  assert.equal(dumped.split("\n").filter((line) => line.startsWith("| offset:")).length, log.recordCount);
  assert.ok(dumped.split("\n").filter((line) => /^offset: \d+ position: \d+$/.test(line)).length > 20);

  const indexes = names.filter((name) => name.endsWith("index")).map((name) => join(folder, name));
  const checked = kafka.run(
    "kafka.tools.DumpLogSegments",
    "--index-sanity-check",
    "--files",
    indexes.join(","),
  );
  for (const path of indexes) assert.ok(checked.includes(`${path} passed sanity check.`), checked);
});
