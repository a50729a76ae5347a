// What the broker does from time to time without being asked: retention, compaction, deleting what is settled.

import { isBrokerError } from "../broker-error.js";
import type { Clock, Timer } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { Dispatcher } from "./dispatcher.js";
import type { Queue } from "./queue.js";
import type { RetainedMessages } from "./retained-messages.js";
import type { Schedules } from "./schedules.js";
import type { Topic } from "./topic.js";

/** How often retention is enforced. */
const MAINTENANCE_MS = 30_000;

/** What is maintained. */
export interface MaintenanceParts {
  readonly clock: Clock;
  readonly queues: () => Iterable<Queue>;
  readonly topics: () => Iterable<Topic>;
  /** Of every queue and every subscription. */
  readonly dispatchers: () => Iterable<Dispatcher>;
  readonly schedules: Schedules;
  readonly retained: RetainedMessages;
  readonly onError: (error: unknown, where: string) => void;
}

export class Maintenance {
  readonly #parts: MaintenanceParts;
  #timer: Timer | undefined = undefined;
  #running: Promise<void> | undefined = undefined;
  #isClosed = false;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
  }

  /** From now on every 30 seconds. */
  start(): void {
    if (this.#isClosed) return;
    const run = (): void => {
      void this.run().then(() => this.start());
    };
    this.#timer = this.#parts.clock.setTimer(run, MAINTENANCE_MS, true);
  }

  /** Once; or joins the run that is under way. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Resolves when nothing is under way. */
  async ended(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, dispatchers, queues, topics, schedules, retained } = this.#parts;
    const nowMs = clock.nowMs();
    for (const dispatcher of [...dispatchers()]) await this.#releaseLogs(dispatcher);
    const idLogs = [...queues(), ...topics()].flatMap((owner) => owner.idLogs);
    for (const log of idLogs) if (!this.#isClosed) await this.#maintainLog(log, nowMs);
    for (const { partitions } of [...topics()]) {
      for (const log of partitions) {
        if (this.#isClosed) return;
        await this.#maintainLog(log, nowMs);
      }
    }
    await this.#unlessClosed("compacting the log of schedules", () => schedules.compact());
    await this.#unlessClosed("maintaining retained messages", () => retained.maintain(nowMs));
  }

  /** A queue in which all is settled keeps no file that is worth mentioning. */
  async #releaseLogs({ name, states }: Dispatcher): Promise<void> {
    await this.#unlessClosed(`deleting what is settled of ${name}`, async () => {
      for (const state of states) if (!this.#isClosed) await state.releaseLog();
    });
  }

  /** It may be deleted meanwhile. */
  async #maintainLog(log: Log, nowMs: number): Promise<void> {
    await this.#unlessClosed(`enforcing the retention of ${log.name}`, async () => {
      await log.enforceRetention(nowMs);
      if (log.options.compact) await log.compact();
    });
  }

  async #unlessClosed(what: string, step: () => Promise<void>): Promise<void> {
    try {
      if (!this.#isClosed) await step();
    } catch (error) {
      if (!isBrokerError(error, "CLOSED")) this.#parts.onError(error, what);
    }
  }
}
