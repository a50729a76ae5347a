import assert from "node:assert/strict";
import { test } from "node:test";
import { isBrokerError } from "../../src/broker-error.js";
import { BatchBuilder } from "../../src/log/batch-builder.js";
import type { Log } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import { NO_HEADERS } from "../../src/log/record-headers.js";
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
  readonly #logCount: number;
  readonly #models: LogModel[] = [];
  readonly #unitSizes = new Map<number, number>();
  readonly #unitsOverLogs = new Set<number>();
  readonly #deleted: LogModel[] = [];
  #logs: Log[] = [];
  #store!: LogStore;
  #nextValue = 0;
  #nextUnit = 0;
  #nextLog = 0;

  constructor(seed: number) {
    this.#world = new SimulatedWorld(seed);
    const { random } = this.#world;
    this.#logCount = random.pick([1, 2, 3, 6]);
  }

  async run(): Promise<void> {
    let isPowerFailure = false;
    for (let life = 0; life < LIVES; life += 1) {
      await this.#open(isPowerFailure);
      this.#breakDisk();
      for (let i = 0; i < ACTIONS; i += 1) await this.#act();
      isPowerFailure = this.#world.random.chance(0.7);
      this.#world.crash(isPowerFailure);
    }
    await this.#open(isPowerFailure);
  }

  async #open(isPowerFailure: boolean): Promise<void> {
    const { random } = this.#world;
    if (random.chance(0.3)) {
      const opening = LogStore.open(this.#world.io, "data", { journalBytes: 10_000 });
      opening.catch(() => {});
      await this.#world.step(random.below(60));
      this.#world.crash(isPowerFailure);
    }
    const options = {
      journalBytes: random.pick([10_000, 32 * 1024]),
      tailCacheBytes: random.pick([0, 2000, 1_000_000]),
    };
    this.#store = await this.#world.run(LogStore.open(this.#world.io, "data", options));
    this.#logs = [];
    while (this.#models.length < this.#logCount) {
      this.#models.push(new LogModel(`log-${this.#nextLog++}`, random.chance(0.8) ? "synced" : "written"));
    }
    for (const model of this.#models) {
      const { name, durability } = model;
      const log = await this.#world.run(this.#store.openLog(name, { durability, segmentBytes: 1500 }));
      this.#logs.push(log);
      await this.#checkRecovered(model, log, isPowerFailure);
    }
    for (const model of this.#deleted) {
      if (!this.#store.hasLog(model.name)) continue;
      const log = await this.#world.run(this.#store.openLog(model.name, { durability: model.durability }));
      await this.#checkRecovered(model, log, isPowerFailure);
    }
    this.#checkUnits();
  }

  async #checkRecovered(model: LogModel, log: Log, isPowerFailure: boolean): Promise<void> {
    const found = await this.#world.run(valuesByOffset(log));
    model.checkRecovered(log.highWatermark, found, isPowerFailure, (unit) => this.#unitsOverLogs.has(unit));
  }

  #checkUnits(): void {
    const found = new Map<number, number>();
    for (const model of this.#models) {
      for (const [unit, count] of model.units) found.set(unit, (found.get(unit) ?? 0) + count);
    }
    for (const [unit, size] of this.#unitSizes) {
      assert.ok(
        [0, undefined, size].includes(found.get(unit)),
        `${found.get(unit)} of ${size} records of unit ${unit}`,
      );
    }
  }

  #breakDisk(): void {
    const { random, disk } = this.#world;
    const failingSync = random.chance(0.15) ? random.below(60) : -1;
    let syncs = 0;
    const failing = random.chance(0.1) ? random.below(300) : -1;
    let operations = 0;
    disk.onOperation = ({ kind, path }) => {
      if (kind === "sync" && syncs++ === failingSync) throw systemError("EIO", path);
      if (operations++ === failing) throw systemError("EIO", path);
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
      else if (choice < 84) this.#appendEncoded();
      else if (choice < 86) this.#deleteBefore();
      else if (choice < 87) this.#deleteLog();
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

  #appendEncoded(): void {
    const { random } = this.#world;
    const at = random.below(this.#logs.length);
    const values: string[] = [];
    const batches = Array.from({ length: 1 + random.below(3) }, () => {
      const builder = new BatchBuilder();
      for (let i = random.below(3); i >= 0; i -= 1) {
        values.push(`${this.#nextValue}-encoded`);
        builder.append(1, null, values.at(-1)!, NO_HEADERS);
        this.#nextValue += 1;
      }
      return Buffer.from(builder.finish(0));
    });
    const pending = this.#logs[at]!.appendEncoded(Buffer.concat(batches));
    values.forEach((value, i) => void this.#models[at]!.add(this.#logs[at]!, value, pending, undefined, i));
  }

  #deleteBefore(): void {
    const at = this.#world.random.below(this.#logs.length);
    const log = this.#logs[at]!;
    const offset = this.#world.random.below(log.highWatermark + 1);
    this.#models[at]!.deleteBefore(offset);
    log.deleteBefore(offset).catch(() => {});
  }

  /** Another one takes its place in the next life. */
  #deleteLog(): void {
    if (this.#models.length === 1) return;
    const [model] = this.#models.splice(0, 1);
    const [log] = this.#logs.splice(0, 1);
    this.#deleted.push(model!);
    for (const unit of model!.units.keys()) {
      this.#unitSizes.delete(unit);
      this.#unitsOverLogs.delete(unit);
    }
    this.#store.deleteLog(log!.name).catch(() => {});
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

test("a crash in the middle of compaction loses no last value and moves no offset", async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const world = new SimulatedWorld(seed);
    const { random } = world;
    const appended: { key: string; value: string }[] = [];
    for (let life = 0; life < 4; life += 1) {
      const store = await world.run(LogStore.open(world.io, "data", { tailCacheBytes: 0 }));
      const log = await world.run(
        store.openLog("log", { durability: "synced", segmentBytes: 500, compact: true }),
      );
      const found = await world.run(valuesByOffset(log));
      for (const [offset, value] of found) assert.equal(value, appended[offset]?.value, `seed ${seed}`);
      for (const key of new Set(appended.map((record) => record.key))) {
        const last = appended.findLastIndex((record) => record.key === key);
        assert.ok(found.has(last), `seed ${seed}: ${key} at ${last}`);
      }
      assert.equal(log.recordCount, found.size, `seed ${seed}`);
      for (let i = 0; i < 30; i += 1) {
        const record = {
          key: `k${random.below(8)}`,
          value: `${appended.length}-${"x".repeat(random.below(60))}`,
        };
        append(log, record.value, record.key);
        appended.push(record);
        if (random.chance(0.4)) await world.run(store.flush());
      }
      await world.run(store.flush());
      const compacting = log.compact();
      if (random.chance(0.2)) await world.run(compacting);
      else await world.step(random.below(150));
      world.crash(random.chance(0.5));
    }
  }
});
