// What the parts of a history share: the machine, the engine that runs on it, what is known of its messages.

import { Broker } from "../../src/broker/broker.js";
import type { Dispatcher } from "../../src/broker/dispatcher.js";
import { isBrokerError } from "../../src/broker-error.js";
import { LogStore } from "../../src/log/log-store.js";
import type { SeededRandom } from "../support/seeded-random.js";
import { SourceModel } from "../support/source-model.js";
import type { Plan } from "./plan.js";
import { emptyTally, type FaultKind } from "./tally.js";
import { TopicModel } from "./topic-model.js";
import { TransactionModel } from "./transaction-model.js";
import { World } from "./world.js";

/** How often a message is handed out before it is a dead letter. */
export const ATTEMPTS_MAX = 4;
/** For how long ids are remembered: longer than any history. */
const ONCE_MS = 30 * 24 * 60 * 60_000;
/** How many messages the queue may have, where that is limited. */
export const COUNT_MAX = 12;
const JOURNAL_BYTES = 16 * 1024;
/** Of a topic that does not keep everything, so that its segments, which have 64 KiB at least, are full now and then. */
const LARGE_BYTES = 12_000;
const SMALL_BYTES = 300;

export class Stage {
  readonly tally = emptyTally();
  readonly plan: Plan;
  readonly world: World;
  readonly work: SourceModel;
  readonly mail: SourceModel;
  readonly sources: readonly SourceModel[];
  readonly topic: TopicModel;
  readonly transactions = new TransactionModel();
  readonly trace: (line: string) => void;
  /** Which one runs. */
  process = 0;
  /** Of the operation that runs. */
  random: SeededRandom;
  store: LogStore | undefined = undefined;
  broker: Broker | undefined = undefined;
  isDraining = false;
  /** Whether the disk was full, or failed, in this life. */
  wasFull = false;
  /** Whether a storage failure was answered in this life: then others may follow. */
  isBroken = false;
  /** Messages that the queue dropped because there were too many. */
  dropped = 0;
  /** Whether the last process ended in good order. */
  wasClosed = false;
  /** Whether a bit on the disk is not what was written. */
  isDamaged = false;
  /** Whether it is being closed: what was begun before may be refused. */
  isClosing = false;
  /** What was said about that in this life. */
  damage: string | undefined = undefined;
  /** What a delivery did against the model, found in a turn of the broker. */
  problem: unknown = undefined;

  constructor(plan: Plan, trace: (line: string) => void) {
    this.plan = plan;
    this.world = new World(plan.seed);
    this.random = this.world.random;
    this.trace = trace;
    const { isByKey, isSynced } = plan;
    this.work = new SourceModel("work", isByKey, ATTEMPTS_MAX, isSynced, ["relay"]);
    this.mail = new SourceModel("order/mail", isByKey, ATTEMPTS_MAX, isSynced);
    this.sources = [this.work, this.mail];
    this.topic = new TopicModel(plan.retention);
    this.mail.mayBeGone = (id) => this.#mayBeGone(id);
    if (plan.overflow === "drop-oldest") this.work.overflow = "drop";
    if (plan.overflow === "dead-letter-oldest") this.work.overflow = "bury";
  }

  /** The most bytes that a message has. */
  get bodyBytesMax(): number {
    return Object.keys(this.plan.retention).length > 0 ? LARGE_BYTES : SMALL_BYTES;
  }

  /** Whether it lasts for good that ids are not stored, or handled, a second time. */
  get once(): { deduplicateMs?: number; inboxMs?: number } {
    return this.plan.isOnce ? { deduplicateMs: ONCE_MS, inboxMs: ONCE_MS } : {};
  }

  async openStore(isUncached: boolean): Promise<{ store: LogStore; broker: Broker }> {
    const { io } = this.world;
    const process = this.process;
    const options = { journalBytes: JOURNAL_BYTES, ...(isUncached ? { tailCacheBytes: 1 } : {}) };
    const store = await LogStore.open(io, "data", options);
    const onError = (error: unknown, where: string): void => {
      if (process !== this.process || this.isStorageError(error)) return;
      this.fail(new Error(`${where}: ${String(error)}`, { cause: error }));
    };
    const durability = this.plan.isSynced ? "synced" : "written";
    return { store, broker: await Broker.open(io, store, { durability, readOnly: false, onError }) };
  }

  /** Tells what became of something, unless the process has ended meanwhile. */
  async follow<T>(
    promise: Promise<T>,
    done: (value: T) => void,
    failed: (error: unknown) => void,
  ): Promise<void> {
    const process = this.process;
    try {
      const value = await promise;
      if (process === this.process) done(value);
    } catch (error) {
      if (process !== this.process) return;
      if (!this.isStorageError(error)) this.fail(error);
      else failed(error);
    }
  }

  /** Something is wrong: the history ends. */
  fail(problem: unknown): void {
    this.problem ??= problem;
  }

  count(kind: FaultKind): void {
    this.tally.faults[kind] += 1;
  }

  /** What was acknowledged a moment ago, with an inbox, may find no room. */
  doubt(): void {
    this.wasFull = true;
    this.work.setAside();
    if (this.plan.isOnce) for (const source of this.sources) source.diskFull();
  }

  /** Whether it is what a disk that is full, slow, broken or damaged leads to. */
  isStorageError(error: unknown): boolean {
    if (isBrokerError(error, "STORAGE_FAILED")) this.isBroken = true;
    if (this.isDamaged && isDamage(error)) {
      this.damage ??= error.message;
      return true;
    }
    const isBroken = (this.isBroken || this.isClosing) && isBrokerError(error, "CLOSED");
    // Slow disks are a part of this world.
    const isExpected = ["STORAGE_FAILED", "STORAGE_STALLED", "DISK_FULL"] as const;
    return isExpected.some((code) => isBrokerError(error, code)) || isBroken;
  }

  /** Whether retention or compaction may have taken a message. */
  #mayBeGone(id: string): boolean {
    const { retention } = this.plan;
    if (Object.keys(retention).length === 0) return false;
    const place = this.topic.placeOf(id);
    const partitions = this.broker?.topic("order")?.partitions;
    if (place === undefined || partitions === undefined || retention.compact) return true;
    return place.offset < partitions[place.partition]!.logStartOffset;
  }

  dispatcherOf(source: SourceModel): Dispatcher {
    const broker = this.broker!;
    return source === this.work
      ? broker.queue("work")!.dispatcher
      : broker.topic("order")!.subscriptions.get("mail")!.dispatcher;
  }
}

/** Whether it says that what is on the disk is not what was written. */
function isDamage(error: unknown): error is Error {
  const says = ["LOG_CORRUPT", "FORMAT_UNSUPPORTED", "DATA_DIRECTORY_UNUSABLE"] as const;
  return says.some((code) => isBrokerError(error, code));
}
