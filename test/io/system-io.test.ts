import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mock, test } from "node:test";
import { systemIo } from "../../src/io/system-io.js";

const { clock, processes, random } = systemIo;

test("a timer of more than 2^31 milliseconds waits as long as it should", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let runs = 0;
    const days = 24 * 60 * 60 * 1000;
    clock.setTimer(() => {
      runs += 1;
    }, 60 * days);
    const cancelled = clock.setTimer(() => assert.fail("cancelled"), 30 * days);
    mock.timers.tick(26 * days);
    assert.equal(runs, 0);
    cancelled.cancel();
  } finally {
    mock.timers.reset();
  }
});

test("a deferred action runs after what is ready in this turn", async () => {
  const order: string[] = [];
  const deferred = new Promise<void>((resolve) => {
    clock.defer(() => {
      order.push("deferred");
      resolve();
    });
  });
  await Promise.resolve();
  order.push("microtask");
  await deferred;
  assert.deepEqual(order, ["microtask", "deferred"]);
});

test("random numbers are in their range and differ", () => {
  const words = new Set(Array.from({ length: 5000 }, () => random.uint32()));
  assert.ok(words.size > 4990);
  for (const word of words) assert.ok(Number.isInteger(word) && word >= 0 && word < 2 ** 32);
  const fractions = Array.from({ length: 5000 }, () => random.fraction());
  assert.ok(fractions.every((fraction) => fraction >= 0 && fraction < 1));
  const mean = fractions.reduce((sum, fraction) => sum + fraction, 0) / fractions.length;
  assert.ok(Math.abs(mean - 0.5) < 0.05, String(mean));
});

test("this process runs, one that has ended or was replaced does not, even while nobody asked for its result", async () => {
  const { current } = processes;
  assert.equal(current.pid, process.pid);
  assert.equal(processes.isRunning(current), true);
  assert.equal(processes.isRunning({ ...current, startedAt: "before" }), current.startedAt === "");
  assert.equal(processes.isRunning({ ...current, host: "elsewhere", pid: 1 }), true);
  assert.equal(processes.isRunning({ ...current, pid: -5 }), false);

  const child = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)"]);
  await once(child.stdout, "data");
  const identity = { ...current, pid: child.pid!, startedAt: "" };
  assert.equal(processes.isRunning(identity), true);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  assert.equal(processes.isRunning(identity), false);
});
