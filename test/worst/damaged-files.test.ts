// Files that somebody deleted, cut off or changed between two runs, on a real disk.

import assert from "node:assert/strict";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type TestContext, test } from "node:test";
import { repairDataDirectory, verifyDataDirectory } from "../../src/broker/verification.js";
import { type Bus, isBrokerError, openBus } from "../../src/index.js";
import { systemIo } from "../../src/io/system-io.js";
import { collect, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const MESSAGES = 60;
const ALL = Array.from({ length: MESSAGES }, (_, index) => index);
/** In the middle of the 27th message. */
const HURT_AT = 30_001;
const quietly = (): void => undefined;

/** What was done to the file, and which messages are left when it was repaired. */
const HURTS: Readonly<
  Record<string, { hurt(path: string): Promise<void>; readonly left: readonly number[] }>
> = {
  deleted: { hurt: (path) => rm(path), left: [] },
  "deleted with its folder": { hurt: (path) => rm(dirname(path), { recursive: true }), left: [] },
  emptied: { hurt: (path) => truncate(path, 0), left: [] },
  "cut off": { hurt: (path) => truncate(path, HURT_AT), left: ALL.filter((number) => number < 27) },
  "changed in a bit": {
    async hurt(path) {
      const bytes = await readFile(path);
      bytes[HURT_AT]! ^= 0x10;
      await writeFile(path, bytes);
    },
    left: ALL.filter((number) => number !== 27),
  },
};

/** A directory of two queues, closed. Gives the file of the queue that is to be hurt. */
async function filled(t: TestContext): Promise<{ directory: string; segment: string }> {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    for (const name of ["hurt", "sound"])
      for (const number of ALL) await bus.queue(name).send(`${number} ${"x".repeat(1000)}`);
  });
  return { directory, segment: `${directory}/logs/queue.1.hurt/${"0".repeat(20)}.log` };
}

async function numbersIn(bus: Bus, queue: string): Promise<number[]> {
  return (await collect(bus.queue(queue).browse())).map((message) => Number.parseInt(message.text(), 10));
}

/** Opens and uses what is damaged; every error has to name the file. */
async function assertDamageIsContained(directory: string, segment: string): Promise<void> {
  const errors: unknown[] = [];
  const bus = await openBus(directory, { onError: (error) => errors.push(error) });
  try {
    assert.deepEqual((await numbersIn(bus, "sound")).slice(0, MESSAGES), ALL);
    await bus.queue("sound").send("60 goes on");
    await numbersIn(bus, "hurt").catch((error: unknown) => errors.push(error));
    assert.notEqual(errors.length, 0, "the damage was passed over");
    for (const error of errors) {
      assert.ok(isBrokerError(error, "LOG_CORRUPT"), String(error));
      assert.ok(error.message.includes(segment), error.message);
      assert.match(error.message, /at byte \d+, .*expected/);
    }
  } finally {
    await bus.close();
  }
}

for (const [what, { hurt, left }] of Object.entries(HURTS)) {
  test(`a segment that was ${what} is named whenever it is met, other queues go on, and a repair goes on without it`, async (t) => {
    const { directory, segment } = await filled(t);
    await hurt(segment);
    await assertDamageIsContained(directory, segment);
    await assertDamageIsContained(directory, segment);

    const { findings } = await verifyDataDirectory(systemIo, directory, quietly);
    assert.ok(
      findings.some(({ severity, path }) => severity === "damage" && path === segment),
      JSON.stringify(findings),
    );
    const repair = await repairDataDirectory(systemIo, directory, quietly);
    const lost = repair.givenUp.map(({ start, end }) => end - start).reduce((sum, count) => sum + count, 0);
    assert.equal(lost, MESSAGES - left.length);
    assert.deepEqual(
      repair.after.findings.filter(({ severity }) => severity === "damage"),
      [],
    );
    await withBus(directory, async (bus) => {
      assert.deepEqual(await numbersIn(bus, "hurt"), left);
      assert.equal((await bus.queue("hurt").send("60 goes on")).offset, MESSAGES, "no offset is used twice");
      assert.deepEqual(await numbersIn(bus, "hurt"), [...left, MESSAGES]);
    });
  });
}
