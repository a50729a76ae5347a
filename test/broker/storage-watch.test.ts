import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type BrokerError, embedded, openBus } from "../../src/index.js";
import type { Io } from "../../src/io/io.js";
import { systemIo } from "../../src/io/system-io.js";
import { VirtualClock } from "../../src/testing/virtual-clock.js";
import { type Deferred, deferred } from "../support/buses.js";
import { FaultySyncFiles } from "../support/faulty-sync-files.js";

/** A disk whose syncs do not come back while it hangs. */
class HangingFiles extends FaultySyncFiles {
  isHanging = false;
  readonly hanging: Deferred[] = [];

  recover(): void {
    this.isHanging = false;
    for (const { resolve } of this.hanging.splice(0)) resolve();
  }

  protected override async beforeSync(): Promise<void> {
    if (!this.isHanging) return;
    const hang = deferred();
    this.hanging.push(hang);
    await hang.promise;
  }
}

/** A bus on such a disk, and what nobody else was told. */
async function hangingBus(t: TestContext) {
  const clock = new VirtualClock();
  const files = new HangingFiles();
  const io: Io = { ...systemIo, clock, files };
  const errors: BrokerError[] = [];
  const bus = await openBus(embedded({ directory: "data", io }), {
    onError: (error) => errors.push(error as BrokerError),
  });
  t.after(() => bus.close());
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    bus,
    errors,
    hang: () => {
      files.isHanging = true;
    },
    recover: () => files.recover(),
    /** The disk goes on in so many milliseconds, after all timers of that moment. */
    recoverIn: (delayMs: number) => clock.setTimer(() => files.recover(), delayMs),
    pass: (durationMs: number) => clock.advance(durationMs, turn),
    stalledMs: () => bus.statistics().storage.stalledMs,
    async untilItHangs() {
      while (files.hanging.length === 0) await turn();
    },
  };
}

test("a sync that hangs for five seconds is reported once, and the statistics say for how long", async (t) => {
  const disk = await hangingBus(t);
  await disk.bus.queue("jobs").send("before");
  // A timer of an earlier sync is no alarm for a later one.
  await disk.pass(3_000);
  disk.hang();
  let isStored = false;
  const sent = disk.bus.queue("jobs").send("hangs");
  void sent.then(() => {
    isStored = true;
  });
  await disk.untilItHangs();
  await disk.pass(4_999);
  assert.deepEqual([disk.errors.length, disk.stalledMs()], [0, 0]);
  await disk.pass(1);
  assert.deepEqual(
    disk.errors.map(({ code, context }) => [code, context["stalledMs"]]),
    [["STORAGE_STALLED", 5_000]],
  );
  await disk.pass(60_000);
  assert.deepEqual([disk.errors.length, disk.stalledMs(), isStored], [1, 65_000, false]);

  disk.recover();
  await sent;
  assert.equal(disk.stalledMs(), 0);
  assert.ok(disk.bus.statistics().storage.longestSyncMs >= 65_000);
  await disk.pass(60_000);
  assert.equal(disk.errors.length, 1);
});

test("the next sync that hangs is reported too", async (t) => {
  const disk = await hangingBus(t);
  for (let hung = 1; hung <= 2; hung += 1) {
    disk.hang();
    const sent = disk.bus.queue("jobs").send("hangs");
    await disk.untilItHangs();
    await disk.pass(5_000);
    disk.recover();
    await sent;
    assert.equal(disk.errors.length, hung);
  }
});

test("a sync that came back while this thread was blocked is no alarm", async (t) => {
  const disk = await hangingBus(t);
  disk.hang();
  const sent = disk.bus.queue("jobs").send("slow");
  await disk.untilItHangs();
  disk.recoverIn(5_000);
  await disk.pass(5_000);
  await sent;
  assert.deepEqual(disk.errors, []);
});

test("many syncs that each come back in time are no alarm", async (t) => {
  const disk = await hangingBus(t);
  for (let i = 0; i < 20; i += 1) {
    disk.hang();
    const sent = disk.bus.queue("jobs").send("slow");
    await disk.untilItHangs();
    await disk.pass(4_000);
    disk.recover();
    await sent;
  }
  assert.deepEqual([disk.errors.length, disk.stalledMs()], [0, 0]);
});
