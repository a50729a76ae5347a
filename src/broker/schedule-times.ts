// When a schedule is due: cron expressions in a time zone, and intervals. Nothing here looks at a clock.

import { Cron } from "croner";
import { BrokerError } from "../broker-error.js";
import { shown } from "./limits.js";

/** When something is to happen, again and again. */
export type ScheduleTimes =
  | {
      /** Five fields (minute, hour, day, month, weekday), six with seconds before them, or `@hourly`, `@daily` and so on. */
      readonly cron: string;
      /** An IANA name. @default "UTC" */
      readonly timeZone?: string | undefined;
    }
  | {
      /** Milliseconds from one time to the next, at least 100, counted from the declaration. */
      readonly everyMs: number;
    };

/** What becomes of times at which the broker was not there. */
export type MissedPolicy =
  /** They are made up for by one message. */
  | "once"
  /** They are left out. */
  | "skip"
  /** Each is made up for. */
  | "all";

/** How late a time may be noticed before it counts as missed: a busy process is not an absent one. */
const LATE_MS = 30_000;
const EVERY_MS_MIN = 100;
const TIME_ZONE_DEFAULT = "UTC";

/** The times of one schedule, in milliseconds since 1970. */
export interface Occurrences {
  /** The first after `timeMs`; undefined when there is none. */
  after(timeMs: number): number | undefined;
  /** The last up to and including `timeMs`, of those from `fromMs` on, which is one. */
  last(fromMs: number, timeMs: number): number;
}

/** `anchorMs` is one of the times of an interval. Errors: INVALID_OPTION. */
export function occurrencesOf(times: ScheduleTimes, anchorMs: number): Occurrences {
  const { cron, timeZone, everyMs } = times as { cron?: unknown; timeZone?: unknown; everyMs?: unknown };
  if ((cron === undefined) === (everyMs === undefined))
    throw invalid("cron", cron, "give either a cron expression or an interval");
  if (everyMs !== undefined) return new Interval(checkedInterval(everyMs), anchorMs);
  return new CronTimes(checkedCron(cron), checkedTimeZone(timeZone));
}

/** The first time after `nowMs`. Errors: INVALID_OPTION when there is none. */
export function firstTime(times: ScheduleTimes, occurrences: Occurrences, nowMs: number): number {
  const timeMs = occurrences.after(nowMs);
  if (timeMs !== undefined) return timeMs;
  throw invalid(
    "cron",
    (times as { cron?: unknown }).cron,
    "no such time comes; correct the day or the month",
  );
}

/** The times from `nextMs`, which is due, up to `nowMs` that a message is sent for: oldest first, at most `countMax`. */
export function dueTimes(
  occurrences: Occurrences,
  nextMs: number,
  nowMs: number,
  missed: MissedPolicy,
  countMax: number,
): number[] {
  if (missed !== "all") {
    const last = occurrences.last(nextMs, nowMs);
    return missed === "skip" && nowMs - last > LATE_MS ? [] : [last];
  }
  const due: number[] = [];
  let timeMs: number | undefined = nextMs;
  for (; timeMs !== undefined && timeMs <= nowMs && due.length < countMax; timeMs = occurrences.after(timeMs))
    due.push(timeMs);
  return due;
}

/** The times without what is only said by leaving it out, so that equal ones look alike. */
export function completeTimes(times: ScheduleTimes): ScheduleTimes {
  if ("everyMs" in times && times.everyMs !== undefined) return { everyMs: times.everyMs };
  const { cron, timeZone = TIME_ZONE_DEFAULT } = times as { cron: string; timeZone?: string };
  return { cron, timeZone };
}

class CronTimes implements Occurrences {
  readonly #cron: Cron;

  constructor(pattern: string, timezone: string) {
    this.#cron = new Cron(pattern, { timezone, paused: true });
  }

  after(timeMs: number): number | undefined {
    return this.#cron.nextRun(new Date(timeMs))?.getTime();
  }

  last(fromMs: number, timeMs: number): number {
    const [last] = this.#cron.previousRuns(1, new Date(timeMs + 1));
    return Math.max(fromMs, last?.getTime() ?? fromMs);
  }
}

/** Times that are `everyMs` apart, of which `anchorMs` is one. */
class Interval implements Occurrences {
  readonly #everyMs: number;
  readonly #anchorMs: number;

  constructor(everyMs: number, anchorMs: number) {
    this.#everyMs = everyMs;
    this.#anchorMs = anchorMs;
  }

  after(timeMs: number): number {
    const steps = Math.floor((timeMs - this.#anchorMs) / this.#everyMs) + 1;
    return this.#anchorMs + steps * this.#everyMs;
  }

  last(fromMs: number, timeMs: number): number {
    return fromMs + Math.floor((timeMs - fromMs) / this.#everyMs) * this.#everyMs;
  }
}

function checkedInterval(everyMs: unknown): number {
  if (typeof everyMs === "number" && Number.isSafeInteger(everyMs) && everyMs >= EVERY_MS_MIN) return everyMs;
  throw invalid("everyMs", everyMs, `give whole milliseconds, at least ${EVERY_MS_MIN}`);
}

function checkedCron(cron: unknown): string {
  const wanted =
    "give a cron expression such as '0 9 * * 1-5': minute, hour, day, month, weekday, with seconds before them or not";
  if (typeof cron !== "string") throw invalid("cron", cron, wanted);
  // The library would put the time of the call there.
  const pattern = cron.replaceAll("?", "*");
  try {
    new Cron(pattern, { paused: true, timezone: TIME_ZONE_DEFAULT });
    return pattern;
  } catch (error) {
    throw invalid("cron", cron, wanted, error);
  }
}

function checkedTimeZone(timeZone: unknown): string {
  if (timeZone === undefined) return TIME_ZONE_DEFAULT;
  const wanted = "give the IANA name of a time zone, such as 'Europe/Berlin'";
  if (typeof timeZone !== "string") throw invalid("timeZone", timeZone, wanted);
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return timeZone;
  } catch (error) {
    throw invalid("timeZone", timeZone, wanted, error);
  }
}

function invalid(option: string, value: unknown, problem: string, cause?: unknown): BrokerError {
  return new BrokerError(
    "INVALID_OPTION",
    `The option ${option} of a schedule is ${shown(value)}; ${problem}.`,
    { option, value: String(value) },
    cause,
  );
}
