import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Finding,
  repairDataDirectory,
  type Verification,
  verifyDataDirectory,
} from "../../src/broker/verification.js";
import { LogStore } from "../../src/log/log-store.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { valuesByOffset } from "../support/log-records.js";
import { SeededRandom } from "../support/seeded-random.js";
import { TestConsumer } from "../support/test-consumer.js";

function damages({ findings }: Verification): readonly Finding[] {
  return findings.filter(({ severity }) => severity === "damage");
}

const quietly = (): void => undefined;
const WORK = "data/logs/queue.1.work/00000000000000000000.log";

/** A directory that was closed, with a queue of ten messages of which each is a batch of its own. */
async function filled(): Promise<BrokerWorld> {
  const world = new BrokerWorld();
  const broker = await world.open();
  const queue = await broker.declareQueue("work");
  for (let number = 0; number < 10; number += 1) await queue.append(message(`m${number}`)).committed;
  await broker.close();
  return world;
}

async function change(world: BrokerWorld, path: string, edit: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = edit(Buffer.from(await world.disk.readFile(path)));
  const file = await world.disk.open(path, "write");
  await file.truncate(0);
  await file.write(bytes, 0);
  await file.close();
}

/** Everything that the queue gives, in a new process. */
async function received(world: BrokerWorld): Promise<string[]> {
  const broker = await world.open();
  const consumer = new TestConsumer(broker.queue("work")!.dispatcher);
  await world.quiet();
  const values = consumer.ackAll();
  assert.equal(broker.queue("work")!.count, 0);
  await broker.declareQueue("other");
  await broker.queue("work")!.append(message("later")).committed;
  await world.quiet();
  assert.deepEqual(consumer.ackAll(), ["later"]);
  await broker.close();
  return values;
}

test("a sound directory has no finding, and repairing it changes nothing", async () => {
  const world = await filled();
  const verification = await verifyDataDirectory(world.io(), "data", quietly);
  assert.deepEqual(verification.findings, []);
  assert.ok(verification.records >= 10);
  const { copy, givenUp } = await repairDataDirectory(world.io(), "data", quietly);
  assert.deepEqual([copy, givenUp], [undefined, []]);
  assert.equal((await received(world)).length, 10);
});

test("a flipped bit is found with its file and byte, and repairing gives up that batch alone", async () => {
  const world = await filled();
  const size = (await world.disk.readFile(WORK)).length / 10;
  await change(world, WORK, (bytes) => {
    bytes[3 * size + 70]! ^= 1;
    return bytes;
  });
  const { findings } = await verifyDataDirectory(world.io(), "data", quietly);
  assert.equal(findings.length, 1);
  const [{ severity, path, position, what }] = findings as [(typeof findings)[number]];
  assert.deepEqual([severity, path, position], ["damage", WORK, 3 * size + 17]);
  assert.match(what, /checksum/);
  const { givenUp, after, copy } = await repairDataDirectory(world.io(), "data", quietly);
  assert.deepEqual(givenUp, [{ log: "queue.1.work", start: 3, end: 4 }]);
  assert.deepEqual(damages(after), []);
  assert.equal(
    (await world.disk.readFile(`${copy}/logs/queue.1.work/00000000000000000000.log`)).length,
    10 * size,
  );
  assert.deepEqual(await received(world), ["m0", "m1", "m2", "m4", "m5", "m6", "m7", "m8", "m9"]);
});

test("a segment that was cut off is found, and its offsets are not given out again", async () => {
  const world = await filled();
  const size = (await world.disk.readFile(WORK)).length / 10;
  await change(world, WORK, (bytes) => bytes.subarray(0, 6 * size + 10));
  const { findings } = await verifyDataDirectory(world.io(), "data", quietly);
  assert.ok(findings.every(({ severity, path }) => severity === "damage" && path === WORK));
  const { givenUp } = await repairDataDirectory(world.io(), "data", quietly);
  assert.deepEqual(givenUp, [{ log: "queue.1.work", start: 6, end: 10 }]);
  const store = await LogStore.open(world.io(), "data");
  const log = await store.openLog("queue.1.work", { durability: "synced" });
  assert.equal(log.highWatermark, 10);
  await store.close();
  assert.equal((await received(world)).length, 6);
});

test("a segment that was deleted is found, and the others are read on", async () => {
  const world = new BrokerWorld();
  const { broker, store } = await world.openStore();
  const log = await store.openLog("queue.9.log", { durability: "synced", segmentBytes: 300 });
  for (let i = 0; i < 12; i += 1) await log.append(1, null, "x".repeat(60), NO_HEADERS).committed;
  await broker.close();
  const names = await world.disk.list("data/logs/queue.9.log");
  const segments = names.filter((name) => name.endsWith(".log"));
  assert.ok(segments.length >= 3);
  await world.disk.remove(`data/logs/queue.9.log/${segments[1]}`);
  const { givenUp, after } = await repairDataDirectory(world.io(), "data", quietly);
  const [start, end] = [Number.parseInt(segments[1]!, 10), Number.parseInt(segments[2]!, 10)];
  assert.deepEqual(givenUp, [{ log: "queue.9.log", start, end }]);
  assert.deepEqual(damages(after), []);
});

test("a damaged journal is set aside after what can be read of it was put into place", async () => {
  const world = new BrokerWorld();
  const { store } = await world.openStore();
  const names = ["a", "b", "c"];
  const logs = await Promise.all(names.map((name) => store.openLog(name, { durability: "synced" })));
  for (let round = 0; round < 3; round += 1) {
    for (const log of logs) log.append(1, null, `${log.name}${round}`, NO_HEADERS);
    await store.flush();
  }
  world.crash();
  const [journal] = await world.disk.list("data/journal");
  const file = await world.disk.open(`data/journal/${journal}`, "write");
  await file.write(Buffer.from([255]), 4096 + 40);
  await file.close();
  const { findings } = await verifyDataDirectory(world.io(), "data", quietly);
  assert.match(findings[0]!.what, /journal is damaged/);
  world.crash();
  const { after } = await repairDataDirectory(world.io(), "data", quietly);
  assert.deepEqual(damages(after), []);
  const { store: again, broker } = await world.openStore();
  for (const name of names) {
    const log = await again.openLog(name, { durability: "synced" });
    const expected = [0, 1, 2].map((round) => `${name}${round}`);
    assert.deepEqual([...(await valuesByOffset(log)).values()], expected);
  }
  await broker.close();
});

test("whatever bytes are changed, a repair keeps what is sound, invents nothing, and the directory opens", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new SeededRandom(seed);
    const world = await filled();
    const size = (await world.disk.readFile(WORK)).length / 10;
    const touched = new Set<number>();
    await change(world, WORK, (bytes) => {
      for (let count = 1 + random.below(4); count > 0; count -= 1) {
        const at = random.below(bytes.length);
        bytes[at]! ^= 1 + random.below(255);
        touched.add(Math.floor(at / size));
      }
      return bytes;
    });
    await repairDataDirectory(world.io(), "data", quietly);
    const values = await received(world);
    const expected = Array.from({ length: 10 }, (_, number) => `m${number}`);
    for (const value of values) assert.ok(expected.includes(value), `seed ${seed}: ${value} was invented`);
    for (const [number, value] of expected.entries())
      assert.ok(
        touched.has(number) || values.includes(value),
        `seed ${seed}: ${value} was sound and is gone`,
      );
  }
});
