// Decides when to commit and what goes into one commit: while one runs, everything that is appended gathers for the
// next. There is no timer.

import type { Clock } from "../io/io.js";
import type { BuilderPool } from "./builder-pool.js";
import { CommitPart } from "./commit-part.js";
import { CommitRound, type RoundContext } from "./commit-round.js";
import type { Log, LogCommitter } from "./log.js";
import type { PendingAppend } from "./pending-append.js";

/** What a commit takes from one log: about one batch, so that a single sync covers it. */
const PART_BYTES = 1024 * 1024;
/** What a commit takes in all. Logs beyond that wait for the next one. */
const ROUND_BYTES = 16 * 1024 * 1024;
/** So many logs are worth a commit of their own: it begins without waiting for the rest of the turn. */
const FULL_ROUND_LOGS = 64;

/**
 * One doorbell: the first append of an idle committer has `run` called in a later turn, when all whom the last commit
 * woke have appended what they had to. Many logs do not wait for that: while the disk has what some of them appended,
 * the turn goes on with the others. See docs/decisions/006-full-rounds.md.
 */
export class Committer implements LogCommitter {
  private readonly clock: Clock;
  private readonly builders: BuilderPool;
  private readonly context: RoundContext;
  /** Logs with something to commit, in the order in which they rang. */
  private waiting: Log[];
  private readonly tasks: (() => Promise<void>)[];
  /** Whether a later turn will run a commit. */
  private isDeferred: boolean;
  /** Whether one was begun without waiting for that turn: the next has to wait, or nothing else would have its turn. */
  private isEarly: boolean;
  private isRunning: boolean;
  /** What is being committed. */
  private current: readonly CommitPart[];

  constructor(clock: Clock, builders: BuilderPool, context: RoundContext) {
    this.clock = clock;
    this.builders = builders;
    this.context = context;
    this.waiting = [];
    this.tasks = [];
    this.isDeferred = false;
    this.isEarly = false;
    this.isRunning = false;
    this.current = [];
  }

  get isBusy(): boolean {
    return this.isRunning || this.waiting.length > 0;
  }

  ring(log: Log): void {
    this.waiting.push(log);
    this.#schedule();
  }

  adopt(log: Log): void {
    if (log.committer === this) return;
    log.committer = this;
    log.isQueued = true;
    this.ring(log);
  }

  exclusive<T>(action: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.tasks.push(() => action().then(resolve, reject));
      this.#schedule();
    });
  }

  /** What is being committed at this moment. */
  committing(): PendingAppend[] {
    return this.current.flatMap((part) => part.appends);
  }

  #schedule(): void {
    if (this.isRunning) return;
    // Not at once: whoever rings is in the middle of an append.
    if (this.waiting.length >= FULL_ROUND_LOGS && !this.isEarly) {
      this.isEarly = true;
      queueMicrotask(this.#run);
    }
    if (this.isDeferred) return;
    this.isDeferred = true;
    this.clock.defer(this.#runDeferred);
  }

  readonly #runDeferred = (): void => {
    this.isDeferred = false;
    this.isEarly = false;
    this.#run();
  };

  /** Hot. */
  readonly #run = (): void => {
    if (this.isRunning) return;
    this.isRunning = true;
    try {
      const waited = this.tasks.length > 0 ? this.#runTasks().then(() => this.#commit()) : this.#commit();
      if (waited === undefined) this.#ended();
      else waited.then(this.#ended).catch(this.#abandon);
    } catch (error) {
      this.#abandon(error);
    }
  };

  /** A commit that rejects is a bug of ours. The store must not go on, nor may anybody wait for it. */
  readonly #abandon = (error: unknown): void => {
    const failure = this.context.failAllLogs(error);
    for (const append of this.committing()) if (append.state === "pending") append.fail(failure);
    this.current = [];
    this.context.crash(error);
  };

  async #runTasks(): Promise<void> {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) await task();
  }

  /** Undefined when there is nothing to wait for. */
  #commit(): Promise<void> | undefined {
    const parts = this.#take();
    if (parts.length === 0) return undefined;
    this.current = parts;
    return new CommitRound(parts, this.builders, this.context).run();
  }

  readonly #ended = (): void => {
    this.#releaseAdopted(this.current);
    this.current = [];
    this.isRunning = false;
    if (this.waiting.length > 0 || this.tasks.length > 0) this.#schedule();
  };

  #take(): CommitPart[] {
    const parts: CommitPart[] = [];
    const later: Log[] = [];
    let sizeBytes = 0;
    for (const log of this.waiting) {
      if (log.committer !== this) continue;
      if (sizeBytes >= ROUND_BYTES && !log.appends.isInUnit) {
        later.push(log);
        continue;
      }
      const appends = log.appends.take(PART_BYTES);
      if (appends.length > 0) {
        const part = new CommitPart(log, appends);
        parts.push(part);
        sizeBytes += part.expectedBytes;
      }
      if (!log.appends.isEmpty) later.push(log);
      else log.isQueued = false;
    }
    this.waiting = later;
    return parts;
  }

  #releaseAdopted(parts: readonly CommitPart[]): void {
    for (const { log } of parts) {
      if (log.committer === this && log.home !== this && !log.isQueued) log.committer = log.home;
    }
  }
}
