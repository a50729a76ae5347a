// Messages that are sent again and again, as applications declare and look at them.

import type { MissedPolicy, ScheduleTimes } from "../broker/schedule-times.js";
import type { EngineScheduleStatistics } from "../engines/engine.js";
import type { BusCore } from "./bus-core.js";
import { type Duration, toMs } from "./duration.js";
import type { CommandType, EventType } from "./message-type.js";
import { invalidOption, knownOptions, oneOf } from "./option-checks.js";

/** When: by a cron expression, or at an interval. */
export type ScheduleWhen =
  | {
      /** Minute, hour, day, month, weekday; with seconds before them or not; or `@hourly`, `@daily`, `@weekly`, `@monthly`. */
      readonly cron: string;
      /** The IANA name of a time zone, such as `"Europe/Berlin"`. @default "UTC" */
      readonly timeZone?: string;
      readonly every?: never;
    }
  | {
      /** From one time to the next, at least 100 ms; the first is so long after the declaration. */
      readonly every: Duration;
      readonly cron?: never;
      readonly timeZone?: never;
    };

/** Where it is known what the engine can do, only one that has schedules takes any. */
export type IfScheduling<Supported, When> = Supported extends true ? When : never;

export interface ScheduleOptions {
  /**
   * What becomes of times at which no process had the data directory open: one message for all of them, none, or one
   * for each. @default "once"
   */
  readonly missed?: MissedPolicy;
  /** Whether a schedule of that name that was declared otherwise becomes this one; else SCHEDULE_MISMATCH. @default false */
  readonly replace?: boolean;
  /** See the options of publish; each message has an id of its own, of the name and the time. */
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly priority?: number;
  readonly expiresIn?: Duration;
}

/** A schedule, as it was when it was looked at. */
export interface Schedule {
  readonly name: string;
  /** Undefined for an interval. */
  readonly cron: string | undefined;
  readonly timeZone: string | undefined;
  /** Undefined for a cron expression. */
  readonly everyMs: number | undefined;
  /** The name of the event or command. */
  readonly subject: string;
  /** The queue that it is sent to; undefined for an event. */
  readonly queue: string | undefined;
  readonly missed: MissedPolicy;
  readonly isPaused: boolean;
  /** Undefined while it is paused, and when there is no further time. */
  readonly nextAt: Date | undefined;
  /** The last time that a message was sent for; undefined before the first. */
  readonly lastAt: Date | undefined;
  /** Messages sent since it was declared. */
  readonly sent: number;
}

const OPTIONS = ["missed", "replace", "key", "headers", "priority", "expiresIn"];

/** The schedules of a bus. They are stored, and send whenever a process has the data directory open. */
export class Schedules {
  readonly #core: BusCore;

  /** Made by the bus. */
  constructor(core: BusCore) {
    this.#core = core;
  }

  /** See `Bus.schedule`. */
  async declare<In, Out>(
    name: string,
    when: ScheduleWhen,
    type: EventType<In, Out> | CommandType<In, Out>,
    value: In,
    given: ScheduleOptions | undefined,
  ): Promise<Schedule> {
    const core = this.#core;
    core.assertOpen();
    core.assertSupports("schedules", "schedules");
    const options = knownOptions("schedule", given, OPTIONS);
    const { missed, replace = false, expiresIn, key, headers, priority } = options;
    if (missed !== undefined) oneOf("missed", missed, ["once", "skip", "all"]);
    if (typeof replace !== "boolean") throw invalidOption("replace", replace, "true or false");
    const times = timesOf(when);
    const lifeMs = expiresIn === undefined ? undefined : toMs("expiresIn", expiresIn, 1);
    const isEvent = type?.kind === "event";
    const sender = isEvent ? core.senders.event(type) : core.senders.command(type as CommandType<In, Out>);
    const { message } = await sender.prepareUnheard(value, {
      ...(key === undefined ? {} : { key }),
      ...(headers === undefined ? {} : { headers }),
      ...(priority === undefined ? {} : { priority }),
    });
    const target = isEvent
      ? ({ kind: "exchange", name: "" } as const)
      : ({ kind: "queue", name: (type as CommandType<In, Out>).queue } as const);
    return scheduleOf(
      await core.engine.broker.schedules.declare(name, { times, target, message, lifeMs, missed, replace }),
    );
  }

  /** All of them, in the order in which they were declared. */
  list(): Schedule[] {
    this.#assertUsable(false);
    return [...this.#core.engine.broker.schedules].map(scheduleOf);
  }

  /** Sends nothing until it is resumed, durably. Errors: SCHEDULE_NOT_FOUND, those of storage. */
  async pause(name: string): Promise<void> {
    this.#assertUsable(true);
    await this.#core.engine.broker.schedules.pause(name);
  }

  /** Goes on with the next time; what passed meanwhile is left out. Errors: SCHEDULE_NOT_FOUND, those of storage. */
  async resume(name: string): Promise<void> {
    this.#assertUsable(true);
    await this.#core.engine.broker.schedules.resume(name);
  }

  /** Returns whether it was there. What it has sent stays. Errors: those of storage. */
  async remove(name: string): Promise<boolean> {
    this.#assertUsable(true);
    return await this.#core.engine.broker.schedules.remove(name);
  }

  #assertUsable(changes: boolean): void {
    this.#core.assertOpen();
    if (changes) this.#core.assertWritable();
    this.#core.assertSupports("schedules", "schedules");
  }
}

/** Errors: INVALID_OPTION. What is wrong with a cron expression is found later. */
function timesOf(when: ScheduleWhen): ScheduleTimes {
  const known = knownOptions<{ cron?: string; timeZone?: string; every?: Duration }>(
    "the times of a schedule",
    when,
    ["cron", "timeZone", "every"],
  );
  const { cron, timeZone, every } = known;
  if ((cron === undefined) === (every === undefined))
    throw invalidOption("cron", cron, "either a cron expression or, as every, an interval");
  if (every === undefined) return { cron: cron!, timeZone };
  if (timeZone !== undefined) throw invalidOption("timeZone", timeZone, "it with a cron expression only");
  return { everyMs: toMs("every", every, 1) };
}

function scheduleOf(statistics: EngineScheduleStatistics): Schedule {
  const { name, times, target, subject, missed, isPaused, nextAtMs, lastAtMs, sent } = statistics;
  const { cron, timeZone, everyMs } = times as { cron?: string; timeZone?: string; everyMs?: number };
  return {
    name,
    cron,
    timeZone,
    everyMs,
    subject,
    queue: target.kind === "queue" ? target.name : undefined,
    missed,
    isPaused,
    nextAt: nextAtMs === undefined ? undefined : new Date(nextAtMs),
    lastAt: lastAtMs === undefined ? undefined : new Date(lastAtMs),
    sent,
  };
}
