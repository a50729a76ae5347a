// Files that cannot be opened because the process has too many: what was not even begun may be tried again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LogStore } from "../../src/log/log-store.js";
import { BrokerWorld } from "../support/broker-world.js";
import { failsWith } from "../support/buses.js";
import { append, values } from "../support/log-records.js";

const BODY = "x".repeat(900);
const OPTIONS = { durability: "synced", segmentBytes: 4_096 } as const;

function tooManyFiles(path: string): Error {
  return Object.assign(new Error(`EMFILE: too many open files, open '${path}'`), { code: "EMFILE" });
}

for (const kind of ["open", "syncDirectory"] as const) {
  test(`a log whose next segment fails in ${kind} for want of files refuses what it gets, and goes on when there are some`, async () => {
    const world = new BrokerWorld();
    const store = await LogStore.open(world.io(), "data");
    const log = await store.openLog("work", OPTIONS);
    world.disk.onOperation = (operation) => {
      if (operation.kind === kind && operation.path.includes("/work")) throw tooManyFiles(operation.path);
      return undefined;
    };
    const stored: string[] = [];
    const storeNext = async (): Promise<void> => {
      const text = `${stored.length} ${BODY}`;
      await append(log, text).committed;
      stored.push(text);
    };
    await failsWith(
      "STORAGE_FAILED",
      async () => {
        for (;;) await storeNext();
      },
      /EMFILE.*ulimit -n/,
    );
    assert.equal(stored.length, 4);
    await failsWith("STORAGE_FAILED", storeNext);
    assert.deepEqual(await values(log), stored, "what is there can be read");

    world.disk.onOperation = () => undefined;
    for (let count = 0; count < 6; count += 1) await storeNext();
    assert.deepEqual(await values(log), stored);
    world.crash(true);
    const again = await LogStore.open(world.io(), "data");
    assert.deepEqual(await values(await again.openLog("work", OPTIONS)), stored);
    await again.close();
  });
}
