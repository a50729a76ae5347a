// A real process on a real disk, killed again and again. Not a simulation: this is what a user's machine does.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Bus, openBus } from "../../src/index.js";
import { Account } from "./account.js";
import { BURYING, type Item, SUMS } from "./workload.js";

const VICTIM = fileURLToPath(new URL("./victim.js", import.meta.url));
const LIVES = Number(process.env["OMNIBUS_TORTURE_LIVES"] ?? 55);
const seed = Number(process.env["OMNIBUS_TORTURE_SEED"] ?? Date.now() % 1_000_000_007);

/** Xorshift: the same seed draws the same instants. */
function randomFrom(start: number): () => number {
  let state = start | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

class Life {
  readonly ready: Promise<void>;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly child: ChildProcess;
  errors = "";

  constructor(account: Account, directory: string, number: number, mode: "work" | "drain") {
    this.child = spawn(process.execPath, [VICTIM, directory, String(number), mode], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code, signal) => resolve({ code, signal }));
    });
    let rest = "";
    this.ready = new Promise((resolve) => {
      this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n");
        // What a killed process had not finished saying is not said.
        rest = lines.pop() ?? "";
        for (const line of lines) {
          if (line === "R") resolve();
          account.hear(number, line);
        }
      });
      void this.ended.then(() => resolve());
    });
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    const { signal } = await this.ended;
    assert.equal(signal, "SIGKILL", `the victim ended by itself: ${this.errors}`);
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

async function assertDeadLettersAddUp(bus: Bus, account: Account): Promise<void> {
  for (const source of BURYING) {
    const ids: string[] = [];
    for await (const letter of bus.deadLetters.list({ source })) ids.push(letter.message.json<Item>().id);
    assert.equal(new Set(ids).size, ids.length, `${source} has a dead letter twice`);
    const acknowledged = account.poisonOf(source);
    assert.deepEqual(
      acknowledged.filter((id) => !ids.includes(id)),
      [],
      `${source} lacks dead letters`,
    );
    for (const id of ids)
      assert.ok(account.wasSent(id, source), `${source} has a dead letter ${id} that was never sent`);
  }
  const all: string[] = [];
  for await (const letter of bus.deadLetters.list()) all.push(letter.source);
  assert.deepEqual([...new Set(all)].sort(), [...BURYING].sort());
}

async function assertReceiptsMatchTheTopic(
  bus: Bus,
  account: Account,
  topic: "orders" | "metrics",
): Promise<void> {
  const { partitions } = await bus.topic(topic).statistics();
  const stored = new Map<string, string>();
  for (const { partition } of partitions) {
    for await (const message of bus.topic(topic).read({ partition, from: "beginning" })) {
      const { id } = message.json<Item>();
      assert.equal(stored.has(id), false, `${id} is stored twice`);
      stored.set(id, `${partition}@${message.offset}`);
    }
  }
  for (const [id, { route, partition, offset }] of account.acknowledged) {
    if (route === topic) assert.equal(stored.get(id), `${partition}@${offset}`, `the place of ${id}`);
  }
}

/** What a handler sends is there once for each message that it has settled, however often it ran. */
async function assertOutputsMatchTheInputs(bus: Bus): Promise<void> {
  const inputs: string[] = [];
  for await (const message of bus.topic("metrics").read()) inputs.push(message.json<Item>().id);
  const outputs: string[] = [];
  for await (const message of bus.queue(SUMS).browse()) outputs.push(message.text());
  assert.equal(outputs.length, inputs.length);
  assert.deepEqual(outputs.sort(), inputs.sort());
}

test(`a process killed ${LIVES} times loses no acknowledged message`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "omnibus-torture-"));
  const random = randomFrom(seed);
  const account = new Account();
  let isSound = false;
  try {
    for (let number = 1; number <= LIVES; number += 1) {
      const life = new Life(account, directory, number, "work");
      // Some die while they recover, most while they work.
      if (random() < 0.15) {
        await pause(60 + random() * 150);
      } else {
        await life.ready;
        await pause(20 + random() * 380);
      }
      await life.kill();
    }
    const last = new Life(account, directory, LIVES + 1, "drain");
    assert.deepEqual(await last.ended, { code: 0, signal: null }, last.errors);

    const total = [...account.handled.values()].reduce((sum, counts) => sum + counts.size, 0);
    t.diagnostic(
      `seed ${seed}: ${account.acknowledged.size} acknowledged, ${total} handled, ${account.repeated} again`,
    );
    assert.ok(account.acknowledged.size > LIVES * 5, "the victims hardly worked");
    assert.deepEqual(account.problems, []);
    assert.deepEqual(account.unhandled(), []);
    const bus = await openBus(directory);
    try {
      await assertDeadLettersAddUp(bus, account);
      await assertReceiptsMatchTheTopic(bus, account, "orders");
      await assertReceiptsMatchTheTopic(bus, account, "metrics");
      await assertOutputsMatchTheInputs(bus);
    } finally {
      await bus.close();
    }
    isSound = true;
  } finally {
    if (isSound) await rm(directory, { recursive: true, maxRetries: 3 });
    else
      process.stderr.write(
        `OMNIBUS_TORTURE_SEED=${seed} repeats the instants; the data is kept in ${directory}\n`,
      );
  }
});
