// Runs one plan: an engine on a simulated machine, used by publishers and consumers, crashed and opened again, and held
// against a model of what it may do.

import assert from "node:assert/strict";
import { Broker } from "../../src/broker/broker.js";
import type { DeadLetter } from "../../src/broker/dead-letters.js";
import type { Delivery } from "../../src/broker/delivery.js";
import type { Dispatcher } from "../../src/broker/dispatcher.js";
import { isBrokerError } from "../../src/broker-error.js";
import { LogStore } from "../../src/log/log-store.js";
import { SeededRandom } from "../support/seeded-random.js";
import { systemError } from "../support/simulated-disk.js";
import { type HeldDelivery, SourceModel } from "../support/source-model.js";
import { TestConsumer } from "../support/test-consumer.js";
import type { Life, Operation, Plan } from "./plan.js";
import { Publishers, type PublishersOwner } from "./publishers.js";
import { emptyTally } from "./tally.js";
import { TransactionModel } from "./transaction-model.js";
import { World } from "./world.js";

const LEASE_MS = 5_000;
const ATTEMPTS_MAX = 4;
const JOURNAL_BYTES = 16 * 1024;
/** Virtual time in which all that is left has to come out when nothing goes wrong any more. */
const DRAIN_MS = 120_000;
/** How far the wall clock is set back at most. */
const CLOCK_JUMP_MS = 2 * 60 * 60_000;

/** For how long ids are remembered: longer than any history. */
const ONCE_MS = 30 * 24 * 60 * 60_000;

/** What consumers do with a message, as often as it stands here. */
const ANSWERS = ["ack", "ack", "ack", "ack", "ack", "ack", "nack", "nack", "release", "dead letter"] as const;

export class History implements PublishersOwner {
  readonly tally = emptyTally();
  readonly plan: Plan;
  readonly world: World;
  readonly sources: readonly SourceModel[];
  readonly trace: (line: string) => void;
  random: SeededRandom;
  broker: Broker | undefined = undefined;
  #store: LogStore | undefined = undefined;
  #consumers: TestConsumer[] = [];
  readonly transactions = new TransactionModel();
  readonly #publishers: Publishers;
  #isDraining = false;
  /** Whether the disk was full, or failed, in this life. */
  #wasFull = false;
  /** Whether a storage failure was answered in this life: then others may follow. */
  #isBroken = false;
  /** What a delivery did against the model, found in a turn of the broker. */
  #problem: unknown = undefined;

  constructor(plan: Plan, trace: (line: string) => void = () => undefined) {
    this.plan = plan;
    this.world = new World(plan.seed);
    this.random = this.world.random;
    this.trace = trace;
    this.sources = [
      new SourceModel("work", plan.isByKey, ATTEMPTS_MAX, plan.isSynced),
      new SourceModel("order/mail", plan.isByKey, ATTEMPTS_MAX, plan.isSynced),
    ];
    this.#publishers = new Publishers(this);
  }

  /** Throws what was found to be wrong. */
  async run(): Promise<void> {
    for (const [number, life] of this.plan.lives.entries()) {
      this.trace(`life ${number + 1}`);
      await this.#live(life);
    }
    await this.#drain();
  }

  async #live(life: Life): Promise<void> {
    if (life.brokenOpening > 0) await this.#breakOpening(life);
    await this.#open(life);
    this.#breakDisk(life);
    for (const operation of life.operations) {
      await this.#operate(operation);
      if (this.#problem !== undefined) throw this.#problem;
    }
    this.world.disk.onOperation = () => undefined;
    this.world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    if (life.end === "close") await this.#close();
    else await this.#crash(life.end === "power");
  }

  async #operate({ kind, seed }: Operation): Promise<void> {
    this.random = new SeededRandom(seed);
    this.tally.operations += 1;
    this.trace(`  ${kind}`);
    try {
      await this.#operations[kind]();
    } catch (error) {
      if (!this.isStorageError(error)) throw error;
    }
  }

  readonly #operations: Record<Operation["kind"], () => Promise<void> | void> = {
    publish: () => this.#publishers.publish(),
    repeat: () => this.#publishers.repeat(),
    answer: () => this.#answer(),
    transact: () => this.#publishers.transact(),
    steps: () => this.world.step(this.random.below(60)),
    pass: () => this.world.pass(this.random.pick([1, 10, 100, 1_000, LEASE_MS])),
    consumers: () => this.#changeConsumers(),
    replay: () => this.#returnLetters("replay"),
    discard: () => this.#returnLetters("discard"),
    flush: () => this.#flush(),
    checkpoint: () => this.world.run(this.#store!.checkpoint()),
    maintain: () => this.world.run(this.broker!.maintain()),
    "disk-full": () => {
      this.#doubt();
      this.tally.faults["disk full"]! += 1;
      this.world.disk.capacityBytes = this.world.disk.usedBytes + this.random.below(4_000);
    },
    "disk-freed": () => {
      this.world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    },
    "jump-clock": () => {
      this.tally.faults["clock jump"]! += 1;
      this.world.jumpWallClock(this.random.pick([-CLOCK_JUMP_MS, -1_000, 1_000]));
    },
  };

  async #breakOpening(life: Life): Promise<void> {
    this.tally.faults["broken opening"]! += 1;
    const opening = this.#openStore(life);
    opening.catch(() => undefined);
    await this.world.step(life.brokenOpening);
    await this.#crash(life.end === "power");
  }

  async #openStore(life: Pick<Life, "isUncached">): Promise<{ store: LogStore; broker: Broker }> {
    const { io } = this.world;
    const process = this.tally.crashes;
    const options = { journalBytes: JOURNAL_BYTES, ...(life.isUncached ? { tailCacheBytes: 1 } : {}) };
    const store = await LogStore.open(io, "data", options);
    const onError = (error: unknown, where: string): void => {
      if (process !== this.tally.crashes || this.isStorageError(error)) return;
      this.#problem ??= new Error(`${where}: ${String(error)}`, { cause: error });
    };
    return {
      store,
      broker: await Broker.open(io, store, {
        durability: this.plan.isSynced ? "synced" : "written",
        readOnly: false,
        onError,
      }),
    };
  }

  async #open(life: Pick<Life, "isUncached">): Promise<void> {
    this.#isBroken = false;
    this.#wasFull = false;
    const open = async (): Promise<void> => {
      const { store, broker } = await this.#openStore(life);
      this.#store = store;
      this.broker = broker;
      const once = this.plan.isOnce ? { deduplicateMs: ONCE_MS, inboxMs: ONCE_MS } : {};
      await broker.declareQueue("work", { priorities: this.plan.priorities, ...once });
      await broker.declareTopic("order", {
        partitions: 2,
        ...(this.plan.isOnce ? { deduplicateMs: ONCE_MS } : {}),
      });
      await broker.declareSubscription("order", "mail", this.plan.isOnce ? { inboxMs: ONCE_MS } : {});
      for (const subject of ["all", "work"])
        await broker.bind({ pattern: subject, to: { kind: "queue", name: "work" } });
      for (const subject of ["all", "order/mail"])
        await broker.bind({ pattern: subject, to: { kind: "topic", name: "order" } });
    };
    await this.world.run(open());
    for (const source of this.sources) if (source.isByKey) this.#dispatcherOf(source).orderByKey();
    for (const { record, source } of await this.#letters()) source.dead(record.valueText());
    this.#consumers = [];
    this.#changeConsumers();
  }

  #breakDisk({ faults }: Life): void {
    const { random, disk } = this.world;
    let syncs = 0;
    let operations = 0;
    disk.onOperation = ({ kind, path }) => {
      if (kind === "sync" && syncs++ === faults.failingSync) throw this.#fault("failed sync", path);
      if (operations++ === faults.failingOperation) throw this.#fault("failed operation", path);
      if (kind !== "write" || faults.shortWrites === 0 || !random.chance(faults.shortWrites))
        return undefined;
      this.tally.faults["short write"]! += 1;
      return 1 + random.below(200);
    };
  }

  /** What was acknowledged a moment ago, with an inbox, may find no room. */
  #doubt(): void {
    this.#wasFull = true;
    if (this.plan.isOnce) for (const source of this.sources) source.diskFull();
  }

  #fault(kind: string, path: string): Error {
    this.#doubt();
    this.tally.faults[kind]! += 1;
    this.trace(`    ${kind}: ${path}`);
    return systemError("EIO", path);
  }

  /** Whether it is what a disk that is full, slow or broken leads to. */
  isStorageError(error: unknown): boolean {
    if (isBrokerError(error, "STORAGE_FAILED")) this.#isBroken = true;
    const isBroken = this.#isBroken && isBrokerError(error, "CLOSED");
    // Slow disks are a part of this world.
    const isExpected = ["STORAGE_FAILED", "STORAGE_STALLED", "DISK_FULL"] as const;
    return isExpected.some((code) => isBrokerError(error, code)) || isBroken;
  }

  #dispatcherOf({ name }: SourceModel): Dispatcher {
    const broker = this.broker!;
    return name === "work"
      ? broker.queue("work")!.dispatcher
      : broker.topic("order")!.subscriptions.get("mail")!.dispatcher;
  }

  #changeConsumers(): void {
    for (const consumer of this.#consumers.splice(0))
      if (this.random.chance(0.5)) this.#closeConsumer(consumer);
      else this.#consumers.push(consumer);
    for (const source of this.sources)
      if (this.random.chance(0.7)) this.#consume(source, 1 + this.random.below(6), ATTEMPTS_MAX);
  }

  #closeConsumer({ consumer }: TestConsumer): void {
    for (const source of this.sources)
      for (const held of source.held)
        if (held.delivery.consumer === consumer && held.delivery.isLeased) source.released(held, false);
    consumer.close();
  }

  #consume(source: SourceModel, prefetch: number, attemptsMax: number): void {
    const options = { prefetch, leaseMs: LEASE_MS, attemptsMax };
    const consumer = new TestConsumer(this.#dispatcherOf(source), options, (delivery) => {
      if (!this.#consumers.includes(consumer)) return;
      try {
        this.#delivered(source, delivery);
      } catch (error) {
        this.#problem ??= error;
      }
    });
    this.#consumers.push(consumer);
  }

  #delivered(source: SourceModel, delivery: Delivery): void {
    this.trace(`    ${source.name} gives ${delivery.record.valueText()}, attempt ${delivery.attempt}`);
    this.#publishers.checkTimes(source, delivery);
    const held = source.delivered(delivery);
    this.transactions.delivered(`${source.name} ${held.message.id}`);
    delivery.onLeaseLost = () => source.lost(held);
    if (!this.#isDraining) return;
    delivery.ack();
    source.settled(held);
  }

  async #answer(): Promise<void> {
    await this.world.step(this.random.below(20));
    for (const source of this.sources)
      for (const held of [...source.held]) if (this.random.chance(0.6)) this.#answerOne(source, held);
  }

  #answerOne(source: SourceModel, held: HeldDelivery): void {
    const { delivery } = held;
    const { isLeased } = delivery;
    const delayMs = this.random.pick([0, 0, 50, 2_000]);
    const keepsTurn = this.random.chance(0.7);
    const what = this.random.pick(ANSWERS);
    try {
      if (what === "ack") {
        delivery.ack();
        // An inbox stores it with the id, and a disk that is full refuses both.
        if (this.plan.isOnce && this.#wasFull) source.settledInDoubt(held);
        else source.settled(held);
      } else if (what === "nack") {
        delivery.nack({ delayMs, error: "it failed", keepsTurn });
        source.failed(held, delayMs > 0 && !keepsTurn);
      } else if (what === "release") {
        delivery.release(delayMs);
        source.released(held, delayMs > 0);
      } else {
        this.#bury(source, held);
      }
    } catch (error) {
      if (!isBrokerError(error, "LEASE_LOST")) throw error;
      assert.ok(!isLeased, "an answer in time was refused");
      source.held.delete(held);
      return;
    }
    this.trace(`    ${source.name}: ${held.message.id} ${what}`);
    assert.ok(isLeased, "an answer after the lease was lost was accepted");
  }

  #bury(source: SourceModel, held: HeldDelivery): void {
    const process = this.tally.crashes;
    const burial = held.delivery.deadLetter("rejected", "no");
    source.settling(held);
    burial.then(
      () => {
        if (process === this.tally.crashes) source.dead(held.message.id);
      },
      (error: unknown) => {
        if (process !== this.tally.crashes) return;
        if (!this.isStorageError(error)) this.#problem ??= error;
        source.burialFailed(held.message.id);
      },
    );
  }

  async #letters(): Promise<(DeadLetter & { source: SourceModel })[]> {
    const collect = async () => {
      const letters: (DeadLetter & { source: SourceModel })[] = [];
      for await (const letter of this.broker!.deadLetters.list()) {
        const source = this.sources.find(({ name }) => name === letter.queue.deadLettersOf)!;
        letters.push({ ...letter, source });
      }
      return letters;
    };
    return await this.world.run(collect());
  }

  async #returnLetters(how: "replay" | "discard"): Promise<void> {
    await this.world.step(this.random.below(40));
    const letters = (await this.#letters()).filter(() => this.random.chance(0.5));
    for (const { source, record } of letters) {
      // The exhausted ones are noticed here for the first time.
      source.dead(record.valueText());
      source.leaving(record.valueText(), how);
    }
    this.trace(`    ${letters.map(({ record }) => record.valueText()).join(", ")}`);
    const { deadLetters } = this.broker!;
    const returning = how === "replay" ? deadLetters.replay(letters) : deadLetters.discard(letters);
    const count = await this.world.run(returning).catch((error: unknown) => {
      for (const { source, record } of letters) source.maybeReplayed(record.valueText());
      throw error;
    });
    assert.equal(count, letters.length);
  }

  async #flush(): Promise<void> {
    await this.world.run(this.broker!.flush());
    for (const source of this.sources) source.stored();
  }

  async #close(): Promise<void> {
    this.#consumers = [];
    await this.world.run(this.broker!.close());
    for (const source of this.sources)
      if (this.#isBroken) source.crashed(true);
      else source.closed();
    this.#crashWorld(this.#isBroken);
  }

  async #crash(power: boolean): Promise<void> {
    this.#consumers = [];
    for (const source of this.sources) source.crashed(power || this.#isBroken);
    this.#crashWorld(power);
  }

  #crashWorld(power: boolean): void {
    this.tally.crashes += 1;
    this.tally.faults[power ? "power" : "kill"]! += 1;
    this.trace(power ? "  the power fails" : "  the process is killed");
    this.world.crash(power);
  }

  /** Everything comes out in the end: nothing is lost, and nothing is stuck. */
  async #drain(): Promise<void> {
    this.trace("at the end");
    this.#isDraining = true;
    this.random = this.world.random;
    await this.#open({ isUncached: false });
    for (const consumer of this.#consumers.splice(0)) this.#closeConsumer(consumer);
    for (const source of this.sources) this.#consume(source, 5, 1_000);
    // A clock that was set back makes delayed messages wait for so much longer.
    await this.world.pass(DRAIN_MS + this.tally.faults["clock jump"]! * CLOCK_JUMP_MS);
    if (this.#problem !== undefined) throw this.#problem;
    for (const { record, source } of await this.#letters()) source.dead(record.valueText());
    for (const source of this.sources) {
      assert.deepEqual(source.unsettled(), [], `${source.name} lost messages`);
      const dispatcher = this.#dispatcherOf(source);
      for (const state of dispatcher.states) assert.equal(state.unsettledCount, 0, `${source.name} is stuck`);
      assert.equal(dispatcher.inFlight, 0);
    }
    await this.world.run(this.broker!.close());
  }
}
