import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import {
  dataEntryBytes,
  encodeBlank,
  encodeData,
  encodeVoid,
  type JournalPart,
} from "../../src/log/journal-entry.js";
import { type JournalContent, readJournal } from "../../src/log/journal-recovery.js";
import type { Log } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import { append } from "../support/log-records.js";
import { PlainWorld } from "../support/plain-world.js";
import { SimulatedWorld } from "../support/simulated-world.js";

function part(logName: string, text: string): JournalPart {
  return { logName, segmentBase: 7, position: 100, bytes: Buffer.from(text) };
}

function data(number: number, pass: number, parts: readonly JournalPart[], neededFrom = 1): Buffer {
  return encodeData(Buffer.alloc(dataEntryBytes(parts)), { number, neededFrom, pass }, parts);
}

/** Reads journal files that hold these entries back to back. */
async function read(...files: readonly (readonly Buffer[])[]): Promise<JournalContent> {
  const { disk } = new PlainWorld();
  await disk.makeDirectory("journal");
  for (const [i, entries] of files.entries()) {
    const file = await disk.open(`journal/${String(i).padStart(20, "0")}.journal`, "create");
    if (entries.length > 0) await file.write(Buffer.concat(entries), 0);
  }
  return readJournal(disk, "journal");
}

function textsOf(content: JournalContent): Record<string, string[]> {
  return Object.fromEntries(
    [...content.parts].map(([log, parts]) => [log, parts.map(({ bytes }) => bytes.toString())]),
  );
}

test("parts come back by log, in order over all files, with their place", async () => {
  const content = await read(
    [data(3, 9, [part("a", "three")])],
    [data(1, 5, [part("a", "one"), part("b", "x")]), data(2, 5, [part("b", "")])],
  );
  assert.deepEqual(textsOf(content), { a: ["one", "three"], b: ["x", ""] });
  assert.deepEqual(content.parts.get("a")![0], part("a", "one"));
  assert.deepEqual([content.nextNumber, content.nextFileNumber], [4, 2]);
  assert.deepEqual(
    content.files.map(({ logNames }) => [...logNames]),
    [["a"], ["a", "b"]],
  );
});

test("what an earlier pass left behind is not taken, whatever its number", async () => {
  assert.deepEqual(textsOf(await read([data(1, 5, [part("a", "new")]), data(2, 4, [part("a", "old")])])), {
    a: ["new"],
  });
  assert.deepEqual(textsOf(await read([data(8, 5, [part("a", "new")], 8), data(3, 5, [part("a", "old")])])), {
    a: ["new"],
  });
});

test("voided parts are left out, also when a blank file has the number of their entry", async () => {
  const entries = [
    data(4, 5, [part("a", "1"), part("b", "2"), part("c", "3")], 4),
    encodeVoid({ number: 5, neededFrom: 4, pass: 5 }, [0, 2]),
  ];
  const blank = encodeBlank({ number: 4, neededFrom: 4, pass: 0 });
  assert.deepEqual(textsOf(await read(entries, [blank])), { b: ["2"] });
  assert.deepEqual(textsOf(await read([blank], entries)), { b: ["2"] });
});

test("a torn last entry is as if it had never been written", async () => {
  const last = data(2, 5, [part("a", "x".repeat(9000))]);
  for (const size of [1, 30, 4096, 8192, 9000]) {
    assert.deepEqual(textsOf(await read([data(1, 5, [part("a", "1")]), last.subarray(0, size)])), {
      a: ["1"],
    });
  }
  assert.deepEqual((await read([last.subarray(0, 4096)])).nextNumber, 1);
  assert.deepEqual((await read([])).nextNumber, 1);
});

test("an entry that is missing, and may be needed, means damage", async () => {
  const damaged = data(2, 5, [part("a", "2")]).fill(1, 50, 51);
  const first = data(1, 5, [part("a", "1")]);
  const third = data(3, 5, [part("a", "3")]);
  const isDamage = (error: unknown) => isBrokerError(error, "LOG_CORRUPT") && error.context["expected"] === 2;
  await assert.rejects(read([first, damaged, third]), isDamage);
  await assert.rejects(read([first], [data(3, 6, [part("a", "3")], 2)]), isDamage);
  const { nextNumber } = await read([first], [data(3, 6, [part("a", "3")], 3)]);
  assert.equal(nextNumber, 4);
});

test("a first entry that cannot be read means damage when others count on it, and nothing when none does", async () => {
  const damaged = data(4, 5, [part("a", "4")], 4).fill(1, 50, 51);
  const rest = [data(5, 5, [part("a", "5")], 4), data(6, 5, [part("a", "6")], 4)];
  const earlier = data(3, 4, [part("a", "3")], 3);
  const isDamage = (error: unknown) => isBrokerError(error, "LOG_CORRUPT") && error.context["expected"] === 4;
  await assert.rejects(read([damaged, ...rest]), isDamage);
  await assert.rejects(read([earlier], [damaged, ...rest]), isDamage);
  const { nextNumber, parts } = await read([damaged, ...rest, data(7, 5, [], 7)]);
  assert.deepEqual([nextNumber, parts.size], [8, 0]);
});

test("the last entry says that none is needed before the first of them is overwritten", async () => {
  for (const isClosed of [true, false]) {
    const world = new PlainWorld();
    const store = await LogStore.open(world.io, "data");
    const logs = await Promise.all(
      ["a", "b", "c"].map((name) => store.openLog(name, { durability: "synced" })),
    );
    for (const text of ["one", "two"]) {
      for (const log of logs) append(log, text);
      await store.flush();
    }
    if (isClosed) await store.close();
    world.crash(false);
    if (!isClosed) await LogStore.open(world.io, "data");
    world.crash(false);
    const file = await world.disk.open("data/journal/00000000000000000000.journal", "write");
    await file.write(Buffer.from("torn"), 0);
    const again = await LogStore.open(world.io, "data");
    assert.equal((await again.openLog("a", { durability: "synced" })).highWatermark, 2);
    await again.close();
  }
});

test("an entry that was not synced is applied whole or not at all, also when the power fails meanwhile", async () => {
  let applied = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const world = new SimulatedWorld(seed);
    const names = ["a", "b", "c"];
    const open = async () => {
      const store = await world.run(LogStore.open(world.io, "data"));
      const logs: Log[] = [];
      for (const name of names) logs.push(await world.run(store.openLog(name, { durability: "synced" })));
      return { store, logs };
    };
    const { store, logs } = await open();
    store.atomically(() => {
      for (const log of logs) append(log, "one step");
    });
    await world.step(world.random.below(12));
    world.crash(false);
    LogStore.open(world.io, "data").catch(() => undefined);
    await world.step(world.random.below(80));
    world.crash(true);
    const again = await open();
    const found = again.logs.filter((log) => log.highWatermark > 0).length;
    assert.ok(found === 0 || found === 3, `seed ${seed}: ${found} of 3 parts are there`);
    if (found === 3) applied += 1;
  }
  assert.ok(applied > 20, `${applied} were applied`);
});
