// Runs one plan: an engine on a simulated machine, used by publishers and consumers, crashed and opened again, and held
// against models of what it may do.

import assert from "node:assert/strict";
import { isBrokerError } from "../../src/broker-error.js";
import { SeededRandom } from "../support/seeded-random.js";
import type { SourceModel } from "../support/source-model.js";
import { Changes } from "./changes.js";
import { Consumers, LEASE_MS } from "./consumers.js";
import { DiskFaults } from "./disk-faults.js";
import { Forwarding } from "./forwarding.js";
import { Letters } from "./letters.js";
import type { End, Life, Operation, OperationKind, Plan } from "./plan.js";
import { Publishers } from "./publishers.js";
import { Seeks } from "./seeks.js";
import { COUNT_MAX, Stage } from "./stage.js";
import type { Tally } from "./tally.js";
import { Ticking } from "./ticking.js";
import { TopicAudit } from "./topic-audit.js";

/** Virtual time in which all that is left has to come out when nothing goes wrong any more. */
const DRAIN_MS = 120_000;
/** How far the wall clock is set back at most. */
const CLOCK_JUMP_MS = 2 * 60 * 60_000;

const ENDINGS: Readonly<Record<End, string>> = {
  kill: "  the process is killed",
  power: "  the power fails",
  close: "  it is closed",
};

export class History {
  readonly #stage: Stage;
  readonly #publishers: Publishers;
  readonly #consumers: Consumers;
  readonly #letters: Letters;
  readonly #changes: Changes;
  readonly #seeks: Seeks;
  readonly #audit: TopicAudit;
  readonly #forwarding: Forwarding;
  readonly #ticking: Ticking;
  readonly #faults: DiskFaults;
  readonly #operations: Readonly<Record<OperationKind, () => Promise<void> | void>>;

  constructor(plan: Plan, trace: (line: string) => void = () => undefined) {
    const stage = new Stage(plan, trace);
    this.#stage = stage;
    this.#publishers = new Publishers(stage);
    this.#consumers = new Consumers(stage, this.#publishers);
    this.#letters = new Letters(stage, this.#publishers);
    this.#changes = new Changes(stage);
    this.#seeks = new Seeks(stage);
    this.#audit = new TopicAudit(stage);
    this.#forwarding = new Forwarding(stage);
    this.#ticking = new Ticking(stage);
    this.#faults = new DiskFaults(stage);
    this.#operations = {
      ...this.#publishers.operations,
      ...this.#consumers.operations,
      ...this.#letters.operations,
      ...this.#changes.operations,
      ...this.#seeks.operations,
      ...this.#audit.operations,
      ...this.#forwarding.operations,
      ...this.#ticking.operations,
      ...this.#faults.operations,
      steps: () => stage.world.step(stage.random.below(60)),
      pass: () => stage.world.pass(stage.random.pick([1, 10, 100, 1_000, LEASE_MS])),
      flush: () => this.#flush(),
      checkpoint: () => stage.world.run(stage.store!.checkpoint()),
      "jump-clock": () => this.#jumpClock(),
    };
  }

  get tally(): Tally {
    return this.#stage.tally;
  }

  /** Throws what was found to be wrong. */
  async run(): Promise<void> {
    for (const [number, life] of this.#stage.plan.lives.entries()) {
      this.#stage.trace(`life ${number + 1}`);
      await this.#live(life);
    }
    await this.#drain();
    this.#faults.sumUp();
  }

  async #live(life: Life): Promise<void> {
    if (life.brokenOpening > 0) await this.#breakOpening(life);
    if (life.flip > 0) this.#faults.flipBit(life);
    if (await this.#isOpened(life)) {
      this.#faults.begin(life);
      for (const operation of life.operations) {
        await this.#operate(operation);
        if (this.#stage.damage !== undefined) break;
      }
      this.#faults.end();
    }
    if (life.end === "close" && this.#stage.damage === undefined) await this.#close();
    else this.#crash(life.end === "power");
    this.#faults.repairBit();
  }

  async #operate({ kind, seed }: Operation): Promise<void> {
    const stage = this.#stage;
    stage.random = new SeededRandom(seed);
    stage.tally.operations += 1;
    stage.trace(`  ${kind}`);
    try {
      await this.#operations[kind]();
    } catch (error) {
      if (!stage.isStorageError(error)) throw error;
    }
    if (stage.problem !== undefined) throw stage.problem;
    this.#checkLimit();
  }

  /** A queue that refuses what is too much never holds more. */
  #checkLimit(): void {
    const { plan, work } = this.#stage;
    if (plan.overflow !== "reject" && plan.overflow !== "wait") return;
    assert.ok(
      work.countMin <= COUNT_MAX,
      `the queue holds ${work.countMin} messages and may have ${COUNT_MAX}`,
    );
  }

  /** The disk fails, or the process ends, before the engine is open. */
  async #breakOpening(life: Life): Promise<void> {
    const stage = this.#stage;
    stage.count("broken opening");
    this.#faults.beginOpening(life);
    const opening = stage.openStore(life.isUncached);
    opening.catch((error: unknown) => {
      if (!stage.isStorageError(error) && !(this.#faults.hasFailed && isBrokerError(error)))
        stage.fail(error);
    });
    await stage.world.step(life.brokenOpening);
    this.#faults.end();
    this.#crash(life.end === "power");
    if (stage.problem !== undefined) throw stage.problem;
  }

  /** False when damage keeps it from being opened, and it says so. */
  async #isOpened(life: Pick<Life, "isUncached">): Promise<boolean> {
    const stage = this.#stage;
    stage.isBroken = false;
    stage.wasFull = false;
    try {
      await this.#open(life.isUncached);
    } catch (error) {
      if (!stage.isStorageError(error)) throw error;
      stage.trace(`  ${stage.damage}`);
      this.#faults.checkOthers();
      return false;
    }
    return stage.damage === undefined;
  }

  async #open(isUncached: boolean): Promise<void> {
    const stage = this.#stage;
    stage.broker = undefined;
    const open = async (): Promise<void> => {
      const { store, broker } = await stage.openStore(isUncached);
      stage.store = store;
      stage.broker = broker;
      const { priorities, overflow, retention } = stage.plan;
      const { deduplicateMs, inboxMs } = stage.once;
      const once = deduplicateMs === undefined ? {} : { deduplicateMs };
      const handledOnce = inboxMs === undefined ? {} : { inboxMs };
      const limit = overflow === undefined ? {} : { overflow, countMax: COUNT_MAX };
      await broker.declareQueue("work", { priorities, ...limit, ...once, ...handledOnce });
      await broker.declareTopic("order", { partitions: 2, ...retention, ...once });
      await broker.declareSubscription("order", "mail", handledOnce);
      for (const subject of ["all", "work"])
        await broker.bind({ pattern: subject, to: { kind: "queue", name: "work" } });
      for (const subject of ["all", "order/mail"])
        await broker.bind({ pattern: subject, to: { kind: "topic", name: "order" } });
      await this.#forwarding.open();
      await this.#ticking.open();
    };
    await stage.world.run(open());
    if (stage.damage !== undefined) return;
    for (const source of stage.sources) if (source.isByKey) stage.dispatcherOf(source).orderByKey();
    this.#changes.check();
    await this.#audit.check();
    await this.#ticking.check();
    await this.#letters.read();
    this.#consumers.change();
  }

  async #flush(): Promise<void> {
    await this.#stage.world.run(this.#stage.broker!.flush());
    for (const source of this.#stage.sources) source.stored();
  }

  #jumpClock(): void {
    this.#stage.count("clock jump");
    this.#stage.world.jumpWallClock(this.#stage.random.pick([-CLOCK_JUMP_MS, -1_000, 1_000]));
  }

  async #close(): Promise<void> {
    const stage = this.#stage;
    stage.isClosing = true;
    await stage.world.run(stage.broker!.close());
    stage.isClosing = false;
    for (const source of stage.sources)
      if (stage.isBroken) source.crashed(true);
      else source.closed();
    this.#end(stage.isBroken ? "power" : "close");
    stage.wasClosed = !stage.isBroken;
  }

  #crash(power: boolean): void {
    const stage = this.#stage;
    for (const source of stage.sources) source.crashed(power || stage.isBroken);
    this.#end(power ? "power" : "kill");
  }

  #end(end: End): void {
    const stage = this.#stage;
    this.#consumers.forget();
    this.#publishers.forget();
    this.#seeks.forget();
    if (end === "power" && !stage.plan.isSynced) stage.topic.cut();
    stage.wasClosed = false;
    if (stage.plan.overflow === "drop-oldest")
      stage.dropped += stage.broker?.queue("work")?.dispatcher.counters.dropped ?? 0;
    stage.broker = undefined;
    stage.process += 1;
    if (end !== "close") stage.tally.crashes += 1;
    stage.trace(ENDINGS[end]);
    if (end !== "close") stage.count(end);
    stage.world.crash(end === "power");
  }

  /** Everything comes out in the end: nothing is lost, and nothing is stuck. */
  async #drain(): Promise<void> {
    const stage = this.#stage;
    stage.trace("at the end");
    stage.isDraining = true;
    stage.random = stage.world.random;
    await this.#isOpened({ isUncached: false });
    await this.#ticking.drain();
    await this.#changes.resumeAll();
    await this.#forwarding.begin();
    this.#consumers.drain();
    // A clock that was set back makes delayed messages wait for so much longer.
    await stage.world.pass(DRAIN_MS + stage.tally.faults["clock jump"] * CLOCK_JUMP_MS);
    if (stage.problem !== undefined) throw stage.problem;
    await this.#letters.read();
    await this.#audit.check();
    this.#publishers.checkDrained();
    this.#forwarding.checkDrained();
    for (const source of stage.sources) {
      const lost = source
        .unsettled()
        .filter((id) => source !== stage.mail || stage.topic.placeOf(id) !== undefined);
      assert.ok(lost.length <= this.#droppedFrom(source), `${source.name} lost messages: ${lost.join(", ")}`);
      const dispatcher = stage.dispatcherOf(source);
      for (const state of dispatcher.states) assert.equal(state.unsettledCount, 0, `${source.name} is stuck`);
      assert.equal(dispatcher.inFlight, 0);
    }
    await stage.world.run(stage.broker!.close());
  }

  /** So many of its messages may be gone because there were too many. */
  #droppedFrom(source: SourceModel): number {
    if (source.overflow !== "drop") return 0;
    return this.#stage.dropped + this.#stage.dispatcherOf(source).counters.dropped;
  }
}
