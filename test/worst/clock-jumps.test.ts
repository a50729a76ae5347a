// A wall clock that somebody sets hours ahead and back while everything runs, on a real disk.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { verifyDataDirectory } from "../../src/broker/verification.js";
import { type Bus, type EmbeddedCapabilities, embedded, event, openBus } from "../../src/index.js";
import type { Io } from "../../src/io/io.js";
import { systemIo } from "../../src/io/system-io.js";
import { collect } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const HOUR_MS = 3_600_000;
/** Hours from the true time, one after the other. */
const JUMPS = [5, -7, 26, 0, -3, 48, -1, 0];
const Ticked = event<number>("clock.ticked");

/** The real world, but for the time of day. */
class JumpingWorld {
  aheadMs = 0;
  readonly io: Io = {
    ...systemIo,
    clock: {
      nowMs: () => systemIo.clock.nowMs() + this.aheadMs,
      monotonicMs: () => systemIo.clock.monotonicMs(),
      setTimer: (action, delayMs, background) => systemIo.clock.setTimer(action, delayMs, background),
      defer: (action) => systemIo.clock.defer(action),
    },
  };

  /** Closed when the test is over. An error that nobody waits for fails the test. */
  async open(t: TestContext): Promise<Bus<EmbeddedCapabilities>> {
    // Hooks run in the order in which they were given: the bus is closed before its directory is removed.
    let bus: Bus<EmbeddedCapabilities> | undefined;
    const errors: unknown[] = [];
    t.after(async () => {
      await bus?.close();
      assert.deepEqual(errors, []);
    });
    const directory = await temporaryDirectory(t);
    bus = await openBus(embedded({ directory, io: this.io }), { onError: (error) => errors.push(error) });
    return bus;
  }
}

test("nothing is lost, reordered or handed out twice when the time of day jumps for hours and back", async (t) => {
  const world = new JumpingWorld();
  const bus = await world.open(t);
  const handled: number[] = [];
  const all = new Promise<void>((resolve) => {
    bus.on(Ticked, { group: "all" }, (number, ctx) => {
      assert.equal(ctx.attempt, 1);
      handled.push(number);
      if (handled.length === JUMPS.length * 10) resolve();
    });
  });
  let next = 0;
  for (const hours of JUMPS) {
    world.aheadMs = hours * HOUR_MS;
    for (let count = 0; count < 10; count += 1) {
      next += 1;
      await bus.publish(Ticked, next);
    }
  }
  await all;
  const expected = Array.from({ length: next }, (_, index) => index + 1);
  assert.deepEqual(handled, expected);
  const stored = await collect(bus.topic("clock").read({ from: "beginning" }));
  assert.deepEqual(
    stored.map((message) => message.json<number>()),
    expected,
  );
});

test("a lease neither ends nor lasts longer when the time of day jumps", async (t) => {
  const world = new JumpingWorld();
  const bus = await world.open(t);
  const jobs = bus.queue("jobs");
  await jobs.send("a");
  const [delivery] = await jobs.receiveBatch({ max: 1, lease: "1m" });
  for (const hours of JUMPS) {
    world.aheadMs = hours * HOUR_MS;
    assert.deepEqual(await jobs.receiveBatch({ max: 1 }), []);
  }
  await delivery!.ack();
  assert.equal((await jobs.statistics()).leasesLost, 0);
});

test("a delayed message keeps to the time of day, whichever way it jumps, and is not lost", async (t) => {
  const world = new JumpingWorld();
  const bus = await world.open(t);
  const jobs = bus.queue("jobs");
  await jobs.send("later", { delay: "2h" });
  world.aheadMs = -10 * HOUR_MS;
  assert.deepEqual(await jobs.receiveBatch({ max: 1 }), []);
  world.aheadMs = 1 * HOUR_MS;
  assert.deepEqual(await jobs.receiveBatch({ max: 1 }), []);
  world.aheadMs = 3 * HOUR_MS;
  const [delivery] = await jobs.receiveBatch({ max: 1, wait: "10s" });
  assert.equal(delivery?.message.text(), "later");
  await delivery!.ack();
});

test("a directory that was written under many times of day opens whole, and verifies", async (t) => {
  const directory = await temporaryDirectory(t);
  const world = new JumpingWorld();
  const expected: string[] = [];
  for (const hours of JUMPS) {
    world.aheadMs = hours * HOUR_MS;
    const bus = await openBus(embedded({ directory, io: world.io }));
    try {
      await bus
        .queue("jobs", { deduplicate: { window: "1h" } })
        .send(`at ${hours}`, { id: `id ${hours} ${expected.length}` });
      expected.push(`at ${hours}`);
      const found = (await collect(bus.queue("jobs").browse())).map((message) => message.text());
      assert.deepEqual(found, expected);
    } finally {
      await bus.close();
    }
  }
  assert.deepEqual((await verifyDataDirectory(world.io, directory, () => undefined)).findings, []);
});
