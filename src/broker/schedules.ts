// Messages that are handed over again and again: at the times of a cron expression, or at an interval. A message and
// that its time has been dealt with are stored in one atomic step, so that no crash doubles it or loses it.

import { BrokerError, isBrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { Log, LogOptions } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { PendingAppend } from "../log/pending-append.js";
import { NO_HEADERS } from "../log/record-headers.js";
import type { OutgoingMessage } from "./message.js";
import { NamedTurns } from "./named-turns.js";
import { assertName } from "./names.js";
import { readRecords } from "./read-records.js";
import {
  assertSameSchedule,
  definitionOf,
  messageAt,
  type ScheduleDefinition,
  type ScheduleOptions,
  type SchedulePosition,
  type ScheduleStatistics,
  type ScheduleTarget,
} from "./schedule.js";
import { dueTimes, firstTime, type Occurrences, occurrencesOf } from "./schedule-times.js";

const LOG_NAME = "schedules";
const LOG_OPTIONS: LogOptions = {
  durability: "synced",
  segmentBytes: 256 * 1024,
  compact: true,
  tombstoneAgeMs: 0,
};
/** How many missed times are made up for in one step. */
const STEP_MAX = 100;
/** When a message is tried again that its queue or topic did not take. */
const RETRY_MS = 1_000;
const DEFINITION_PREFIX = "definition/";
const POSITION_PREFIX = "position/";

export interface SchedulesParts {
  readonly clock: Clock;
  readonly store: LogStore;
  readonly readOnly: boolean;
  /** Hands a message over. Errors: those of the target, also when it is not there. */
  readonly append: (target: ScheduleTarget, message: OutgoingMessage) => void;
  /** Hears of what cannot be told to any caller. */
  readonly onError: (error: unknown, where: string) => void;
}

interface Schedule {
  readonly name: string;
  readonly definition: ScheduleDefinition;
  readonly occurrences: Occurrences;
  position: SchedulePosition;
  /** What was wrong is reported once. */
  hasFailed: boolean;
  /** Not before this time, because it failed. */
  retryAtMs: number;
}

export class Schedules implements Iterable<ScheduleStatistics> {
  readonly #parts: SchedulesParts;
  readonly #schedules = new Map<string, Schedule>();
  readonly #turns = new NamedTurns();
  readonly #timer: DueTimer;
  readonly #sending = new Set<Promise<void>>();
  /** Made when the first schedule is declared. */
  #log: Log | undefined = undefined;
  #isClosed = false;

  constructor(parts: SchedulesParts) {
    this.#parts = parts;
    this.#timer = new DueTimer(parts.clock, () => this.#sendDue());
  }

  /** Reads what is stored, and begins. Call when all targets are open. Errors: LOG_CORRUPT. */
  async open(): Promise<void> {
    const { store, readOnly } = this.#parts;
    if (!store.hasLog(LOG_NAME)) return;
    this.#log = await store.openLog(LOG_NAME, LOG_OPTIONS);
    await this.#load(this.#log);
    if (!readOnly) this.#arm();
  }

  *[Symbol.iterator](): Generator<ScheduleStatistics> {
    for (const schedule of this.#schedules.values()) yield statisticsOf(schedule);
  }

  /** Whether a message is being handed over. */
  get isBusy(): boolean {
    return this.#sending.size > 0;
  }

  /**
   * Makes the schedule, durably, or finds it as it is. Errors: INVALID_NAME, INVALID_OPTION, SCHEDULE_MISMATCH, those
   * of storage.
   */
  async declare(name: string, options: ScheduleOptions): Promise<ScheduleStatistics> {
    assertName("schedule", name);
    const nowMs = this.#parts.clock.nowMs();
    const occurrences = occurrencesOf(options.times, nowMs);
    const nextMs = firstTime(options.times, occurrences, nowMs);
    const definition = definitionOf(options);
    return await this.#turns.run(name, async () => {
      const existing = this.#schedules.get(name);
      if (existing !== undefined) {
        if (JSON.stringify(existing.definition) === JSON.stringify(definition)) return statisticsOf(existing);
        if (options.replace !== true) assertSameSchedule(name, existing.definition, definition);
      }
      const position = replacing(existing, definition) ?? { nextMs, lastMs: null, sent: 0, isPaused: false };
      const anchored = occurrencesOf(definition.times, position.nextMs ?? nowMs);
      const schedule: Schedule = {
        name,
        definition,
        occurrences: anchored,
        position,
        hasFailed: false,
        retryAtMs: 0,
      };
      this.#log ??= await this.#parts.store.openLog(LOG_NAME, LOG_OPTIONS);
      await this.#store(name, definition, position);
      this.#schedules.set(name, schedule);
      this.#arm();
      return statisticsOf(schedule);
    });
  }

  /** Sends nothing until it is resumed. Errors: SCHEDULE_NOT_FOUND, those of storage. */
  async pause(name: string): Promise<void> {
    await this.#turns.run(name, async () => {
      const schedule = this.#existing(name);
      if (!schedule.position.isPaused) await this.#move(schedule, { ...schedule.position, isPaused: true });
    });
  }

  /** Goes on with the next time; those that passed meanwhile are left out. Errors: SCHEDULE_NOT_FOUND, those of storage. */
  async resume(name: string): Promise<void> {
    await this.#turns.run(name, async () => {
      const schedule = this.#existing(name);
      if (!schedule.position.isPaused) return;
      // Behind those that were sent, also when the clock was set back since.
      const fromMs = Math.max(this.#parts.clock.nowMs(), schedule.position.lastMs ?? 0);
      const nextMs = schedule.occurrences.after(fromMs) ?? null;
      await this.#move(schedule, { ...schedule.position, nextMs, isPaused: false });
      this.#arm();
    });
  }

  /** Returns whether it was there. What it has sent stays. Errors: those of storage. */
  async remove(name: string): Promise<boolean> {
    return await this.#turns.run(name, async () => {
      if (!this.#schedules.has(name)) return false;
      await this.#store(name, null, null);
      this.#schedules.delete(name);
      return true;
    });
  }

  /** Lets go of positions that are over. */
  async compact(): Promise<void> {
    await this.#log?.compact();
  }

  /** Resolves when nothing is being sent any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer.cancel();
    await Promise.all(this.#sending);
  }

  #sendDue(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const schedule of this.#schedules.values()) {
      if (dueMs(schedule) > nowMs) continue;
      // It is looked at again when this has ended.
      schedule.retryAtMs = Number.POSITIVE_INFINITY;
      const sending = this.#turns
        .run(schedule.name, () => this.#send(schedule))
        .finally(() => {
          this.#sending.delete(sending);
          this.#arm();
        });
      this.#sending.add(sending);
    }
    this.#arm();
  }

  /** Never rejects. */
  async #send(schedule: Schedule): Promise<void> {
    const { name } = schedule;
    schedule.retryAtMs = 0;
    try {
      while (!this.#isClosed && this.#schedules.get(name) === schedule) {
        const nowMs = this.#parts.clock.nowMs();
        if (dueMs(schedule) > nowMs) return;
        await this.#sendStep(schedule, nowMs);
        schedule.hasFailed = false;
      }
    } catch (error) {
      schedule.retryAtMs = this.#parts.clock.nowMs() + RETRY_MS;
      if (isBrokerError(error, "CLOSED") || schedule.hasFailed) return;
      schedule.hasFailed = true;
      this.#parts.onError(error, `sending the message of schedule ${name}`);
    }
  }

  /** Errors: those of the target and of storage; then nothing was done. */
  async #sendStep(schedule: Schedule, nowMs: number): Promise<void> {
    const { name, definition, occurrences, position } = schedule;
    const due = dueTimes(occurrences, position.nextMs!, nowMs, definition.missed, STEP_MAX);
    const isCaughtUp = definition.missed !== "all" || due.length < STEP_MAX;
    const after: SchedulePosition = {
      nextMs: occurrences.after(isCaughtUp ? nowMs : due.at(-1)!) ?? null,
      lastMs: due.at(-1) ?? position.lastMs,
      sent: position.sent + due.length,
      isPaused: false,
    };
    let pending: PendingAppend | undefined;
    this.#parts.store.atomically(() => {
      for (const timeMs of due)
        this.#parts.append(definition.target, messageAt(name, definition, timeMs, nowMs));
      pending = this.#append(POSITION_PREFIX + name, after);
    });
    // One commit for all, so that this speaks for the messages too.
    await pending!.committed;
    schedule.position = after;
  }

  async #move(schedule: Schedule, position: SchedulePosition): Promise<void> {
    await this.#append(POSITION_PREFIX + schedule.name, position).committed;
    schedule.position = position;
  }

  async #store(
    name: string,
    definition: ScheduleDefinition | null,
    position: SchedulePosition | null,
  ): Promise<void> {
    let pending: PendingAppend | undefined;
    this.#parts.store.atomically(() => {
      this.#append(DEFINITION_PREFIX + name, definition);
      pending = this.#append(POSITION_PREFIX + name, position);
    });
    await pending!.committed;
  }

  #append(key: string, value: object | null): PendingAppend {
    const text = value === null ? null : JSON.stringify(value);
    return this.#log!.append(this.#parts.clock.nowMs(), key, text, NO_HEADERS);
  }

  #arm(): void {
    if (this.#isClosed) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const schedule of this.#schedules.values()) nextMs = Math.min(nextMs, dueMs(schedule));
    this.#timer.armAtTime(nextMs);
  }

  #existing(name: string): Schedule {
    const schedule = this.#schedules.get(name);
    if (schedule !== undefined) return schedule;
    throw new BrokerError(
      "SCHEDULE_NOT_FOUND",
      `There is no schedule ${String(name)}. Declare it first, or look at the list of schedules.`,
      { schedule: String(name) },
    );
  }

  async #load(log: Log): Promise<void> {
    const stored = new Map<string, unknown>();
    for await (const record of readRecords(log, 0, log.highWatermark)) {
      const key = record.keyText() ?? "";
      if (record.value === null) stored.delete(key);
      else stored.set(key, parsed(key, record.valueText()));
    }
    for (const [key, definition] of stored) {
      if (!key.startsWith(DEFINITION_PREFIX)) continue;
      const name = key.slice(DEFINITION_PREFIX.length);
      const position = stored.get(POSITION_PREFIX + name);
      if (position === undefined) throw unreadable(key);
      this.#schedules.set(name, opened(name, definition as ScheduleDefinition, position as SchedulePosition));
    }
  }
}

function opened(name: string, definition: ScheduleDefinition, position: SchedulePosition): Schedule {
  const occurrences = occurrencesOf(definition.times, position.nextMs ?? 0);
  return { name, definition, occurrences, position, hasFailed: false, retryAtMs: 0 };
}

/** Where a schedule goes on that is declared anew with the same times; undefined where it begins. */
function replacing(
  existing: Schedule | undefined,
  definition: ScheduleDefinition,
): SchedulePosition | undefined {
  if (existing === undefined) return undefined;
  const isSame = JSON.stringify(existing.definition.times) === JSON.stringify(definition.times);
  return isSame ? existing.position : undefined;
}

/** Infinity when it is not due at any time. */
function dueMs({ position, retryAtMs }: Schedule): number {
  if (position.isPaused || position.nextMs === null) return Number.POSITIVE_INFINITY;
  return Math.max(position.nextMs, retryAtMs);
}

function statisticsOf({ name, definition, position }: Schedule): ScheduleStatistics {
  const { times, target, subject, missed } = definition;
  const { nextMs, lastMs, sent, isPaused } = position;
  const nextAtMs = isPaused ? undefined : (nextMs ?? undefined);
  return { name, times, target, subject, missed, isPaused, nextAtMs, lastAtMs: lastMs ?? undefined, sent };
}

/** Errors: LOG_CORRUPT. */
function parsed(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unreadable(key, error);
  }
}

function unreadable(key: string, cause?: unknown): BrokerError {
  return new BrokerError("LOG_CORRUPT", `The log of schedules has no complete ${key}.`, { key }, cause);
}
