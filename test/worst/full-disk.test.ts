// A disk that is really full, and has room again.

import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type Bus, embedded, event, isBrokerError, openBus } from "../../src/index.js";
import { collect, failsWith, withBus } from "../support/buses.js";
import { smallDisk, withoutMounts } from "./small-disk.js";

const skip = withoutMounts();
const DISK_BYTES = 4 * 1024 * 1024;
const BALLAST_BYTES = 512 * 1024;

const Happened = event<{ readonly id: string; readonly filler: string }>("happened.here");

class Publisher {
  readonly acknowledged: string[] = [];
  refusals = 0;
  readonly #bus: Bus;
  #last = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Publishes to a topic and two queues at the same time, until each of the three was refused. */
  async fill(): Promise<void> {
    await Promise.all([
      this.#until((id, filler) => this.#bus.publish(Happened, { id, filler })),
      this.#until((id, filler) => this.#bus.queue("a").send(`${id} ${filler}`)),
      this.#until((id, filler) => this.#bus.queue("b").send(`${id} ${filler}`)),
    ]);
  }

  async #until(store: (id: string, filler: string) => Promise<unknown>): Promise<void> {
    for (;;) {
      this.#last += 1;
      const id = `m${this.#last}`;
      try {
        await store(id, "x".repeat(1 + (this.#last % 16) * 1000));
      } catch (error) {
        assert.ok(isBrokerError(error, "DISK_FULL"), String(error));
        assert.match(error.message, /No room.*\/data\/.*ENOSPC.*Free some space/);
        this.refusals += 1;
        return;
      }
      this.acknowledged.push(id);
    }
  }
}

async function storedIds(bus: Bus): Promise<string[]> {
  const ids: string[] = [];
  for (const name of ["a", "b"])
    for (const message of await collect(bus.queue(name).browse())) ids.push(message.text().split(" ", 1)[0]!);
  for (const message of await collect(bus.topic("happened").read({ from: "beginning" })))
    ids.push(message.json<{ id: string }>().id);
  return ids;
}

test("a disk that is full refuses what has no room, keeps all that was acknowledged, and goes on when there is room", {
  skip,
}, async (t) => {
  const disk = smallDisk(t, DISK_BYTES);
  const [ballast, filler] = [`${disk}/ballast`, `${disk}/filler`];
  for (const path of [ballast, filler]) await writeFile(path, Buffer.alloc(BALLAST_BYTES));
  const bus = await openBus(`${disk}/data`, { onError: () => undefined });
  const publisher = new Publisher(bus);
  try {
    for (const name of ["a", "b"]) await bus.queue(name).declare();
    await bus.topic("happened").declare();
    await publisher.fill();
    assert.equal(publisher.refusals, 3);
    const whenFull = publisher.acknowledged.length;
    assert.deepEqual((await storedIds(bus)).sort(), publisher.acknowledged.sort());

    const [delivery] = await bus.queue("a").receiveBatch({ max: 1 });
    const consumed = delivery!.message.text().split(" ", 1)[0]!;
    await delivery!.ack();
    publisher.acknowledged.splice(publisher.acknowledged.indexOf(consumed), 1);

    await rm(ballast);
    await publisher.fill();
    assert.ok(publisher.acknowledged.length > whenFull + 20, "there was room again");
  } finally {
    await bus.close();
  }
  await rm(filler);
  await withBus(`${disk}/data`, async (again) => {
    assert.deepEqual((await storedIds(again)).sort(), publisher.acknowledged.sort());
  });
});

test("a directory on a full disk says so when it is opened, can be read, and opens when there is room", {
  skip,
}, async (t) => {
  const disk = smallDisk(t, DISK_BYTES);
  const directory = `${disk}/data`;
  let acknowledged: string[] = [];
  await withBus(directory, async (bus) => {
    const publisher = new Publisher(bus);
    for (const name of ["a", "b"]) await bus.queue(name).declare();
    await bus.topic("happened").declare();
    await publisher.fill();
    acknowledged = publisher.acknowledged.sort();
  });
  const filler = `${disk}/filler`;
  await assert.rejects(writeFile(filler, Buffer.alloc(DISK_BYTES)), { code: "ENOSPC" });

  const before = await readdir(directory);
  await failsWith("DATA_DIRECTORY_UNUSABLE", () => openBus(directory), /\/data cannot be opened: ENOSPC/);
  assert.deepEqual(await readdir(directory), before, "nothing is left behind");
  const reader = await openBus(embedded({ directory, readOnly: true }));
  assert.deepEqual((await storedIds(reader)).sort(), acknowledged);
  await reader.close();

  await rm(filler);
  await withBus(directory, async (bus) => assert.deepEqual((await storedIds(bus)).sort(), acknowledged));
});
