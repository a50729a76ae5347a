import assert from "node:assert/strict";
import { test } from "node:test";
import { command, embedded, openBus } from "../../src/index.js";
import { MemoryFiles } from "../../src/io/memory-files.js";
import { systemIo } from "../../src/io/system-io.js";
import { VirtualClock } from "../../src/testing/virtual-clock.js";

const Work = command<number>("work");

test("messages fetched ahead are not charged with the crashes of the one that is being handled", async () => {
  const files = new MemoryFiles();
  const attempts = new Map<number, number>();
  for (let life = 1; life <= 4; life += 1) {
    const io = { ...systemIo, files, clock: new VirtualClock() };
    // Each life ends without a close, and the next takes its lock over, as after a kill.
    const processes = { current: systemIo.processes.current, isRunning: () => false };
    const bus = await openBus(embedded({ directory: "data/shop", io: { ...io, processes } }));
    if (life === 1) await bus.sendMany(Work, [1, 2, 3]);
    const began = new Promise<void>((resolve) => {
      bus.handle(Work, { retry: { attempts: 10 } }, (value, { attempt }) => {
        attempts.set(value, attempt);
        resolve();
        return life === 4 ? undefined : new Promise<void>(() => undefined);
      });
    });
    await began;
    await bus.engine.broker.flush();
    if (life === 4) await bus.drain();
  }
  assert.deepEqual(
    [...attempts],
    [
      [1, 4],
      [2, 1],
      [3, 1],
    ],
  );
});
