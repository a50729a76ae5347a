import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import type { Log } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import { LogModel } from "../support/log-model.js";
import { append, valuesByOffset } from "../support/log-records.js";
import { systemError } from "../support/simulated-disk.js";
import { SimulatedWorld } from "../support/simulated-world.js";

const SEEDS = Number(process.env["CRASH_SEEDS"] ?? 100);
const FIRST_SEED = Number(process.env["CRASH_SEED"] ?? 1);
const LIVES = 4;
const ACTIONS = 40;

/** One data directory through several lives, each of which a crash ends. */
class CrashRun {
  readonly #world: SimulatedWorld;
  readonly #models: LogModel[];
  readonly #unitSizes = new Map<number, number>();
  readonly #unitsOverLogs = new Set<number>();
  #logs: Log[] = [];
  #store!: LogStore;
  #nextValue = 0;
  #nextUnit = 0;

  constructor(seed: number) {
    this.#world = new SimulatedWorld(seed);
    const { random } = this.#world;
    const count = random.pick([1, 2, 3, 6]);
    this.#models = Array.from({ length: count }, (_, i) => {
      return new LogModel(`log-${i}`, random.chance(0.8) ? "synced" : "written");
    });
  }

  async run(): Promise<void> {
    let isPowerFailure = false;
    for (let life = 0; life < LIVES; life += 1) {
      if (!(await this.#open(isPowerFailure))) continue;
      this.#breakDisk();
      for (let i = 0; i < ACTIONS; i += 1) await this.#act();
      isPowerFailure = this.#world.random.chance(0.7);
      this.#world.crash(isPowerFailure);
    }
    await this.#open(isPowerFailure);
  }

  /** False when the process crashed before it was done. */
  async #open(isPowerFailure: boolean): Promise<boolean> {
    const { random } = this.#world;
    if (random.chance(0.3)) {
      const opening = LogStore.open(this.#world.io, "data", { journalBytes: 32 * 1024 });
      opening.catch(() => {});
      await this.#world.step(random.below(60));
      this.#world.crash(isPowerFailure);
    }
    const options = { journalBytes: 32 * 1024, tailCacheBytes: random.pick([0, 2000, 1_000_000]) };
    this.#store = await this.#world.run(LogStore.open(this.#world.io, "data", options));
    this.#logs = [];
    for (const model of this.#models) {
      const { name, durability } = model;
      const log = await this.#world.run(this.#store.openLog(name, { durability, segmentBytes: 1500 }));
      this.#logs.push(log);
      const found = await this.#world.run(valuesByOffset(log));
      model.checkRecovered(found, isPowerFailure, (unit) => this.#unitsOverLogs.has(unit));
    }
    this.#checkUnits();
    return true;
  }

  #checkUnits(): void {
    const found = new Map<number, number>();
    for (const model of this.#models) {
      for (const [unit, count] of model.units) found.set(unit, (found.get(unit) ?? 0) + count);
    }
    for (const [unit, count] of found)
      assert.equal(count, this.#unitSizes.get(unit), `records of unit ${unit}`);
  }

  #breakDisk(): void {
    const { random, disk } = this.#world;
    const failingSync = random.chance(0.15) ? random.below(60) : -1;
    let syncs = 0;
    disk.onOperation = ({ kind, path }) => {
      if (kind === "sync" && syncs++ === failingSync) throw systemError("EIO", path);
      return kind === "write" && random.chance(0.1) ? 1 + random.below(200) : undefined;
    };
  }

  async #act(): Promise<void> {
    const { random, disk } = this.#world;
    const choice = random.below(100);
    try {
      if (choice < 45) this.#append(random.below(this.#logs.length), undefined, 1 + random.below(4));
      else if (choice < 65) this.#appendAtomically();
      else if (choice < 68) await this.#world.run(this.#store.flush());
      else if (choice < 70) await this.#world.run(this.#store.checkpoint());
      else if (choice < 73) await this.#checkLive();
      else if (choice < 76) disk.capacityBytes = disk.usedBytes + random.below(3000);
      else if (choice < 80) disk.capacityBytes = Number.POSITIVE_INFINITY;
      else if (choice < 81) await this.#reopen();
      else await this.#world.step(random.below(40));
    } catch (error) {
      if (!isBrokerError(error, "STORAGE_FAILED") && !isBrokerError(error, "DISK_FULL")) throw error;
    }
  }

  #append(at: number, unit: number | undefined, count: number): void {
    for (let i = 0; i < count; i += 1) {
      const value = `${this.#nextValue}-${"x".repeat(this.#world.random.below(120))}`;
      const log = this.#logs[at]!;
      this.#models[at]!.add(log, value, append(log, value), unit);
      this.#nextValue += 1;
    }
  }

  #appendAtomically(): void {
    const { random } = this.#world;
    const unit = this.#nextUnit;
    this.#nextUnit += 1;
    if (this.#logs.some((log) => log.failure !== undefined)) return;
    let size = 0;
    const logs = new Set<number>();
    this.#store.atomically(() => {
      for (let i = 0; i < 1 + random.below(4); i += 1) {
        const count = 1 + random.below(2);
        const log = random.below(this.#logs.length);
        this.#append(log, unit, count);
        size += count;
        logs.add(log);
      }
    });
    this.#unitSizes.set(unit, size);
    if (logs.size > 1) this.#unitsOverLogs.add(unit);
  }

  async #checkLive(): Promise<void> {
    for (const [i, log] of this.#logs.entries()) {
      if (log.failure !== undefined) continue;
      this.#models[i]!.checkLive(await this.#world.run(valuesByOffset(log)));
    }
  }

  async #reopen(): Promise<void> {
    this.#world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    await this.#world.run(this.#store.close());
    const isPowerFailure = this.#world.random.chance(0.5);
    this.#world.crash(isPowerFailure);
    const isFailed = this.#logs.some((log) => isBrokerError(log.failure, "STORAGE_FAILED"));
    await this.#open(isPowerFailure && isFailed);
    this.#breakDisk();
  }
}

test(`what was acknowledged survives ${SEEDS} seeded histories of crashes, full disks and failed syncs`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
    try {
      await new CrashRun(seed).run();
    } catch (error) {
      throw new Error(`seed ${seed} (CRASH_SEED=${seed} CRASH_SEEDS=1 replays it)`, { cause: error });
    }
  }
});
