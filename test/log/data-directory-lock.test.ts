import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isBrokerError } from "../../src/broker-error.js";
import type { ProcessIdentity } from "../../src/io/io.js";
import { systemIo } from "../../src/io/system-io.js";
import { DataDirectoryLock } from "../../src/log/data-directory-lock.js";
import { LogStore } from "../../src/log/log-store.js";
import { append, values } from "../support/log-records.js";
import { SimulatedWorld } from "../support/simulated-world.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const holder = fileURLToPath(new URL("../support/lock-holder.js", import.meta.url));

/** Starts a process that opens the directory; gives it and what it said about it. */
async function start(directory: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [holder, directory], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(child.stdout!.setEncoding("utf8"), "data");
  return { child, said: String(line).trim() };
}

async function stop(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
  const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  if (signal === undefined) child.stdin!.end();
  else child.kill(signal);
  await exited;
}

test("a second process is refused with the number of the first, and gets the directory when that is killed", async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await start(directory);
  assert.equal(first.said, `held ${first.child.pid}`);
  const second = await start(directory);
  assert.equal(second.said, `DATA_DIRECTORY_LOCKED ${first.child.pid}`);
  await stop(second.child);
  await assert.rejects(LogStore.open(systemIo, directory), (error) => {
    assert.ok(isBrokerError(error, "DATA_DIRECTORY_LOCKED"));
    assert.match(error.message, new RegExp(`process ${first.child.pid} on .* \\(.*lock-holder`));
    return true;
  });
  await stop(first.child, "SIGKILL");
  const third = await start(directory);
  assert.equal(third.said, `held ${third.child.pid}`);
  await stop(third.child);
  const store = await LogStore.open(systemIo, directory);
  await store.close();
});

test("of eight processes that race for a lock whose holder is dead, one gets it", async (t) => {
  const directory = await temporaryDirectory(t);
  const dead = await start(directory);
  await stop(dead.child, "SIGKILL");
  const racers = await Promise.all(Array.from({ length: 8 }, () => start(directory)));
  const winners = racers.filter(({ said }) => said.startsWith("held"));
  assert.equal(winners.length, 1, racers.map(({ said }) => said).join(", "));
  for (const { said } of racers) {
    if (!said.startsWith("held")) assert.equal(said, `DATA_DIRECTORY_LOCKED ${winners[0]!.child.pid}`);
  }
  await Promise.all(racers.map(({ child }) => stop(child)));
  const locks = (await readdir(directory)).filter((name) => name.startsWith("lock"));
  assert.equal(locks.length, 1, locks.join(", "));
});

test("the same process is refused as well, and a read-only store is not", async (t) => {
  const directory = await temporaryDirectory(t);
  const owner = await LogStore.open(systemIo, directory);
  await assert.rejects(LogStore.open(systemIo, directory), (error) => {
    return isBrokerError(error, "DATA_DIRECTORY_LOCKED") && error.context["pid"] === process.pid;
  });
  await append(await owner.openLog("orders", { durability: "synced" }), "a").committed;
  const names = await readdir(directory);
  const reader = await LogStore.open(systemIo, directory, { readOnly: true });
  assert.deepEqual(await values(await reader.openLog("orders", { durability: "synced" })), ["a"]);
  await reader.close();
  assert.deepEqual(await readdir(directory), names);
  await owner.close();
});

test("a lock that was given back, or cannot be read, is free", async (t) => {
  const directory = await temporaryDirectory(t);
  for (const content of ["", "no json", "7", '{"pid":"x"}', '{"released":true}']) {
    const store = await LogStore.open(systemIo, directory);
    await store.close();
    const [lock] = (await readdir(directory)).filter((name) => name.startsWith("lock."));
    assert.equal(await readFile(`${directory}/${lock}`, "utf8"), '{"released":true}\n');
    await writeFile(`${directory}/${lock}`, content);
  }
});

test("a process of another host, or one that had the same number before, is told apart", async (t) => {
  const directory = await temporaryDirectory(t);
  const { current } = systemIo.processes;
  await writeFile(`${directory}/lock.5`, JSON.stringify({ ...current, startedAt: "long ago" }));
  await (await LogStore.open(systemIo, directory)).close();
  await writeFile(`${directory}/lock.7`, JSON.stringify({ ...current, host: "elsewhere", command: "other" }));
  await assert.rejects(LogStore.open(systemIo, directory), /on elsewhere \(other\).*remove .*lock\.7/s);
});

test("whatever the order of their steps, two processes never hold the lock at once", async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const world = new SimulatedWorld(seed);
    await world.run(world.disk.makeDirectory("data"));
    const running = new Set<number>();
    const holders = new Set<number>();
    const link = world.disk.link.bind(world.disk);
    world.disk.link = async (from, to) => {
      // Long enough, now and then, for others to take the lock and give it back meanwhile.
      for (let i = world.random.below(2) * world.random.below(80); i > 0; i -= 1)
        await world.disk.exists("data");
      await link(from, to);
    };
    const contend = async (pid: number): Promise<void> => {
      const identity = { pid, startedAt: "", host: "here", command: "test" };
      const processes = { current: identity, isRunning: (other: ProcessIdentity) => running.has(other.pid) };
      running.add(pid);
      try {
        const lock = await DataDirectoryLock.acquire({ ...world.io, processes }, "data");
        holders.add(pid);
        assert.deepEqual([...holders], [pid], `seed ${seed}`);
        await world.disk.exists("data");
        assert.deepEqual([...holders], [pid], `seed ${seed}`);
        holders.delete(pid);
        if (world.random.chance(0.7)) await lock.release();
      } catch (error) {
        if (!isBrokerError(error, "DATA_DIRECTORY_LOCKED")) throw error;
      }
      running.delete(pid);
    };
    const contenders = Array.from({ length: 6 }, async (_, i) => {
      for (let life = 0; life < 3; life += 1) await contend(100 * i + life + 1);
    });
    await world.run(Promise.all(contenders));
  }
});
