// Runs one plan of a bus: the whole engine on a simulated machine, used by publishers and handlers, crashed and opened
// again, and held against a model of what it may do.

import assert from "node:assert/strict";
import { Broker } from "../../src/broker/broker.js";
import { EMBEDDED_CAPABILITIES } from "../../src/engines/embedded.js";
import {
  type Bus,
  type DeadLetter,
  type EmbeddedCapabilities,
  type EngineFactory,
  isBrokerError,
  openBus,
} from "../../src/index.js";
import type { Clock } from "../../src/io/io.js";
import { LogStore } from "../../src/log/log-store.js";
import { SeededRandom } from "../support/seeded-random.js";
import { systemError } from "../support/simulated-disk.js";
import type { Drawn } from "./bus-calls.js";
import { BusHandlers, ONCE } from "./bus-handlers.js";
import { type Body, Held, placesOf, Tick, type Type, Work } from "./bus-messages.js";
import { BusModel } from "./bus-model.js";
import type { BusLife, BusOperationKind, BusPlan } from "./bus-plan.js";
import { BusPublishers, type PublishersOwner } from "./bus-publishers.js";
import type { Step, Task, Times } from "./bus-task.js";
import type { End } from "./plan.js";
import { emptyTally, type FaultKind } from "./tally.js";
import { World } from "./world.js";

const JOURNAL_BYTES = 16 * 1024;
/** Virtual time in which all that is left has to come out when nothing goes wrong any more. */
const DRAIN_MS = 120_000;
/** Virtual time after which what has not ended is stuck. */
const PATIENCE_MS = 300_000;
const NO_TIMES: Times = { readyAtMs: 0, expiresAtMs: Number.POSITIVE_INFINITY };
const EXPECTED = ["STORAGE_FAILED", "STORAGE_STALLED", "DISK_FULL", "EVENT_LOOP_BLOCKED"] as const;

export class BusHistory implements PublishersOwner {
  readonly tally = emptyTally();
  readonly plan: BusPlan;
  readonly trace: (line: string) => void;
  readonly model: BusModel;
  readonly handlers: BusHandlers;
  readonly replied = new Set<number>();
  random: SeededRandom;
  clock: Clock;
  isDraining = false;
  /** Of the processes that ran. */
  life = 0;
  readonly #world: World;
  readonly #publishers: BusPublishers;
  #bus: Bus<EmbeddedCapabilities> | undefined = undefined;
  /** A storage failure was answered in this life: then others may follow. */
  #isBroken = false;
  #isClosing = false;
  #problem: unknown = undefined;
  /** Where the message of each time of the schedule is. */
  readonly #ticks = new Map<string, number>();

  constructor(plan: BusPlan, trace: (line: string) => void = () => undefined) {
    this.plan = plan;
    this.trace = trace;
    this.#world = new World(plan.seed);
    this.random = this.#world.random;
    this.clock = this.#world.io.clock;
    this.model = new BusModel(plan);
    this.handlers = new BusHandlers(this);
    this.#publishers = new BusPublishers(this);
  }

  get bus(): Bus<EmbeddedCapabilities> {
    return this.#bus!;
  }

  /** Throws what was found to be wrong. */
  async run(): Promise<void> {
    const unheard = (error: unknown): void =>
      this.found(new Error(`nobody heard of: ${String(error)}`, { cause: error }));
    process.on("unhandledRejection", unheard);
    try {
      for (const [number, life] of this.plan.lives.entries()) {
        this.trace(`life ${number + 1}`);
        await this.#live(life);
      }
      await this.#drain();
    } finally {
      process.off("unhandledRejection", unheard);
      this.#sumUp();
    }
  }

  draw(random: SeededRandom, step: Step, type: Type, depth: number, times: Times = NO_TIMES): Drawn {
    const key = random.pick(["a", "b", "c"]);
    const filler = "x".repeat(random.below(200));
    const message = this.model.message(step, placesOf(type), { key, filler, depth, ...times });
    const { number } = message;
    if (depth === 0) this.trace(`    ${number} to ${placesOf(type).join(" and ")}`);
    return { message, body: { number, key, filler } };
  }

  ticked(id: string, offset: number): void {
    const known = this.#ticks.get(id);
    if (known !== undefined && known !== offset) this.found(new Error(`the schedule sent ${id} twice`));
    this.#ticks.set(id, offset);
  }

  found(problem: unknown): void {
    this.#problem ??= problem;
  }

  async maybeWait(promise: Promise<unknown>): Promise<void> {
    if (this.random.chance(0.5)) await this.#run(promise, "an answer");
  }

  /** Whether it is what a disk that is full, slow or broken leads to, or a close. */
  isExpected(error: unknown): boolean {
    if (isBrokerError(error, "STORAGE_FAILED")) this.#isBroken = true;
    if (isBrokerError(error, "CLOSED")) return this.#isBroken || this.#isClosing;
    return EXPECTED.some((code) => isBrokerError(error, code));
  }

  /** Adds what the disks, and the world, know. */
  #sumUp(): void {
    const { faults } = this.tally;
    const { writes, tornWrites, names } = this.#world.disk.losses;
    faults["lost write"] += writes;
    faults["torn write"] += tornWrites;
    faults["lost name"] += names;
    faults["reordered answer"] += this.#world.reordered;
  }

  async #live(life: BusLife): Promise<void> {
    if (life.brokenOpening > 0) await this.#breakOpening(life);
    await this.#open(life);
    this.#breakDisk(life);
    for (const { kind, seed } of life.operations) await this.#operate(kind, seed);
    // What was asked for last is on its way.
    await microtasks();
    this.#world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    if (life.end === "close") await this.#close();
    this.#world.disk.onOperation = () => undefined;
    if (life.end !== "close") this.model.crashed(life.end === "power" || this.#isBroken);
    this.#end(life.end);
  }

  async #operate(kind: BusOperationKind, seed: number): Promise<void> {
    this.random = new SeededRandom(seed);
    this.tally.operations += 1;
    this.trace(`  ${kind}`);
    try {
      await this.#operations[kind]();
    } catch (error) {
      if (!this.isExpected(error)) throw error;
    }
    if (this.#problem !== undefined) throw this.#problem;
  }

  readonly #operations: Record<BusOperationKind, () => unknown> = {
    publish: () => this.#publishers.publish(),
    many: () => this.#publishers.many(),
    repeat: () => this.#publishers.repeat(),
    transact: () => this.#publishers.transact(),
    produce: () => this.#publishers.produce(),
    request: () => this.#publishers.request(),
    receive: () => this.#publishers.receive(),
    steps: () => this.#world.step(this.random.below(60)),
    pass: () => this.#world.pass(this.random.pick([10, 100, 1_000, 5_000])),
    handlers: () => this.#changeHandlers(),
    schedules: () => this.#changeSchedule(),
    drain: () => this.#drainBus(),
    replay: () => this.#returnLetters("replay"),
    discard: () => this.#returnLetters("discard"),
    flush: () => this.#flush(),
    block: () => {
      this.tally.faults["blocked loop"] += 1;
      return this.#world.block(this.random.pick([1_000, 4_000, 40_000]));
    },
    "disk-full": () => {
      this.model.isFaulty = true;
      this.tally.faults["disk full"] += 1;
      this.#world.disk.capacityBytes = this.#world.disk.usedBytes + this.random.below(4_000);
    },
    "disk-freed": () => {
      this.#world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    },
    "slow-disk": () => {
      this.tally.faults["slow disk"] += 1;
      this.#world.slowDisk(this.random.pick([10, 1_000, 20_000]));
    },
  };

  async #breakOpening(life: BusLife): Promise<void> {
    this.tally.faults["broken opening"] += 1;
    const opening = this.#openBus(life);
    opening.catch(() => undefined);
    await this.#world.step(life.brokenOpening);
    const end = life.end === "power" ? "power" : "kill";
    this.model.crashed(end === "power");
    this.#end(end);
  }

  async #openBus(life: Pick<BusLife, "isUncached">): Promise<Bus<EmbeddedCapabilities>> {
    const { io } = this.#world;
    const process = this.life;
    this.clock = io.clock;
    const durability = this.plan.isSynced ? "synced" : "written";
    const engine: EngineFactory<EmbeddedCapabilities> = {
      async open(onError) {
        const options = { journalBytes: JOURNAL_BYTES, ...(life.isUncached ? { tailCacheBytes: 1 } : {}) };
        const store = await LogStore.open(io, "data", options);
        const broker = await Broker.open(io, store, { durability, readOnly: false, onError });
        const { clock, random } = io;
        return {
          name: "simulated",
          capabilities: EMBEDDED_CAPABILITIES,
          clock,
          random,
          isReadOnly: false,
          broker,
        };
      },
    };
    const onError = (error: unknown, where: string): void => {
      if (process !== this.life || this.isExpected(error)) return;
      this.found(new Error(`${where}: ${String(error)}`, { cause: error }));
    };
    return await openBus(engine, { onError });
  }

  async #open(life: Pick<BusLife, "isUncached">): Promise<void> {
    this.#isBroken = false;
    this.#isClosing = false;
    this.model.isFaulty = false;
    const isFirst = this.#bus === undefined;
    this.#bus = await this.#run(this.#openBus(life), "the opening");
    const declared = async (): Promise<void> => {
      const { attempts, partitions, isOnce } = this.plan;
      const once = isOnce ? { deduplicate: ONCE } : {};
      const inbox = isOnce ? { inbox: ONCE } : {};
      await this.bus.queue(Held.queue, { attemptsMax: attempts, ...once, ...inbox }).statistics();
      await this.bus.queue(Work.queue, { ...once, ...inbox }).statistics();
      await this.bus.topic("order", { partitions, ...once }).statistics();
      await this.handlers.register(this.bus, isFirst || this.isDraining);
    };
    await this.#run(declared(), "the declarations");
    await this.#letters();
  }

  #breakDisk({ faults }: BusLife): void {
    const { random, disk } = this.#world;
    let syncs = 0;
    let reads = 0;
    let operations = 0;
    disk.onOperation = ({ kind, path }) => {
      if (kind === "sync" && syncs++ === faults.failingSync) throw this.#fault("failed sync", path);
      if (kind === "read" && reads++ === faults.failingRead) throw this.#fault("failed read", path);
      if (operations++ === faults.failingOperation) throw this.#fault("failed operation", path);
      if (kind !== "write" || faults.shortWrites === 0 || !random.chance(faults.shortWrites))
        return undefined;
      this.tally.faults["short write"] += 1;
      return 1 + random.below(200);
    };
  }

  #fault(kind: FaultKind, path: string): Error {
    this.model.isFaulty = true;
    this.tally.faults[kind] += 1;
    this.trace(`    ${kind}: ${path}`);
    return systemError("EIO", path);
  }

  async #changeHandlers(): Promise<void> {
    await this.#run(this.handlers.closeSome(), "closing handlers");
    const ready = this.handlers.register(this.bus, false);
    ready.catch(() => undefined);
    await this.maybeWait(ready);
  }

  async #changeSchedule(): Promise<void> {
    const { schedules } = this.bus;
    const name = "ticks";
    const [schedule] = schedules.list();
    let changed: Promise<unknown>;
    if (schedule === undefined)
      changed = this.bus.schedule(name, { every: "1s" }, Tick, "tick", { missed: "all" });
    else if (schedule.isPaused) changed = schedules.resume(name);
    else changed = schedules.pause(name);
    await this.#run(changed, "changing a schedule");
  }

  async #drainBus(): Promise<void> {
    const drained = this.bus.drain();
    this.handlers.forget();
    await this.#run(drained, "drain");
    this.model.drained();
    await this.#run(this.handlers.register(this.bus, false), "the declarations");
  }

  async #letters(): Promise<{ letter: DeadLetter; task: Task }[]> {
    const collect = async (): Promise<DeadLetter[]> => {
      const letters: DeadLetter[] = [];
      for await (const letter of this.bus.deadLetters.list()) letters.push(letter);
      return letters;
    };
    const letters = await this.#run(collect(), "listing dead letters");
    return letters.map((letter) => {
      const { number } = letter.message.value as Body;
      return { letter, task: this.model.dead(letter, number, this.clock.nowMs()) };
    });
  }

  async #returnLetters(how: "replay" | "discard"): Promise<void> {
    const letters = await this.#letters();
    for (const { letter, task } of letters) {
      // Where logs are not synced, a place in them may be given out again, and is the id of two messages.
      const isAlone =
        letters.filter((one) => one.letter.id === letter.id && one.task.place === task.place).length === 1;
      if (!isAlone || !this.random.chance(0.5)) continue;
      this.trace(`    ${task.name}`);
      if (how === "replay") task.replaying();
      else task.status = "gone";
      const filter = { ids: [letter.id], source: letter.source };
      const { deadLetters } = this.bus;
      try {
        const returned = how === "replay" ? deadLetters.replay(filter) : deadLetters.discard(filter);
        assert.equal(await this.#run(returned, how), 1, `${how} of ${task.name}`);
      } catch (error) {
        task.isUnknown = true;
        throw error;
      }
    }
  }

  async #flush(): Promise<void> {
    const stored = this.model.flushing();
    await this.#run(this.bus.engine.broker.flush(), "flush");
    stored();
  }

  async #close(): Promise<void> {
    this.trace("  close");
    this.#isClosing = true;
    await this.#run(this.bus.close(), "close");
    if (this.#problem !== undefined) throw this.#problem;
    const [stuck] = this.#publishers.pending.values();
    assert.equal(stuck, undefined, `${stuck} was not answered before the close`);
    if (this.model.isFaulty) this.model.crashed(this.#isBroken);
    else this.model.closed();
  }

  /** The process is gone, and with it the machine when the power fails, or nobody knows what is on the disk. */
  #end(end: End): void {
    this.life += 1;
    if (end !== "close") {
      this.tally.crashes += 1;
      this.tally.faults[end] += 1;
      this.trace(end === "power" ? "  the power fails" : "  the process is killed");
    }
    this.#world.crash(end === "power" || this.#isBroken);
    this.handlers.forget();
    this.#publishers.forget();
  }

  /** Everything comes out in the end: nothing is lost, and nothing is stuck. */
  async #drain(): Promise<void> {
    this.trace("at the end");
    this.isDraining = true;
    this.random = this.#world.random;
    await this.#open({ isUncached: false });
    const [schedule] = this.bus.schedules.list();
    if (schedule !== undefined && !schedule.isPaused)
      await this.#run(this.bus.schedules.pause(schedule.name), "pausing");
    await this.#world.pass(DRAIN_MS);
    await this.#run(this.bus.drain(), "drain");
    await this.#letters();
    if (this.#problem !== undefined) throw this.#problem;
    this.model.verifyEnd();
    this.#verifyEmpty();
    await this.#close();
  }

  #verifyEmpty(): void {
    const { queues, topics } = this.bus.statistics();
    for (const { name, waiting, delayed, inFlight, deadLettersOf } of queues)
      if (deadLettersOf === undefined) assert.equal(waiting + delayed + inFlight, 0, `${name} is stuck`);
    for (const { name, groups } of topics)
      for (const group of groups) assert.equal(group.lag, 0, `${name}/${group.name} is stuck`);
    const [schedule] = this.bus.schedules.list();
    if (schedule !== undefined)
      assert.equal(this.#ticks.size, schedule.sent, "the schedule's messages came, each once");
  }

  /** Goes on until `promise` is settled. `what` it is that is stuck when it never is. */
  async #run<T>(promise: Promise<T>, what: string): Promise<T> {
    const world = this.#world;
    const untilMs = world.nowMs + PATIENCE_MS;
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await world.step(0);
    for (await microtasks(); !isSettled; ) {
      const before = world.steps;
      await world.step(1);
      if (this.#problem !== undefined) throw this.#problem;
      const isStuck = (world.steps === before && !isSettled) || world.nowMs > untilMs;
      assert.ok(!isStuck, `${what} never ended`);
    }
    return promise;
  }
}

function microtasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
