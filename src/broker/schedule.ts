// A schedule as it is declared, stored and shown. The format is described in docs/formats/schedules.md.

import { BrokerError } from "../broker-error.js";
import type { TargetKind } from "./binding.js";
import { type OutgoingMessage, withProperties } from "./message.js";
import { completeTimes, type MissedPolicy, type ScheduleTimes } from "./schedule-times.js";

/** Where the messages of a schedule go. */
export interface ScheduleTarget {
  readonly kind: TargetKind;
  /** Of an exchange, empty for the bus itself. */
  readonly name: string;
}

export interface ScheduleOptions {
  readonly times: ScheduleTimes;
  readonly target: ScheduleTarget;
  /** What is handed over each time, with an id of its own. Its timestamp and its own expiry do not count. */
  readonly message: OutgoingMessage;
  /** Each message expires when it is so old; undefined for never. */
  readonly lifeMs?: number | undefined;
  /** @default "once" */
  readonly missed?: MissedPolicy | undefined;
  /** Whether a schedule of that name that is declared otherwise becomes this one; else SCHEDULE_MISMATCH. @default false */
  readonly replace?: boolean | undefined;
}

/** What there is to know about a schedule. */
export interface ScheduleStatistics {
  readonly name: string;
  readonly times: ScheduleTimes;
  readonly target: ScheduleTarget;
  readonly subject: string;
  readonly missed: MissedPolicy;
  readonly isPaused: boolean;
  /** Undefined while it is paused, and when there is no further time. */
  readonly nextAtMs: number | undefined;
  /** The last time for which messages were handed over; undefined before the first. */
  readonly lastAtMs: number | undefined;
  /** Messages handed over since it was declared. */
  readonly sent: number;
}

/** As it is stored: what the schedule is. */
export interface ScheduleDefinition {
  readonly times: ScheduleTimes;
  readonly target: ScheduleTarget;
  readonly missed: MissedPolicy;
  readonly lifeMs?: number;
  readonly subject: string;
  readonly key?: string;
  /** Body and headers in base64. */
  readonly value?: string;
  readonly headers: string;
  readonly priority?: number;
}

/** As it is stored: how far it has come. */
export interface SchedulePosition {
  /** When it is due next; null for never. */
  readonly nextMs: number | null;
  readonly lastMs: number | null;
  readonly sent: number;
  readonly isPaused: boolean;
}

const MISSED: readonly string[] = ["once", "skip", "all"] satisfies MissedPolicy[];

/** Errors: INVALID_OPTION. */
export function definitionOf(options: ScheduleOptions): ScheduleDefinition {
  const { times, target, message, lifeMs, missed = "once" } = options;
  if (!MISSED.includes(missed))
    throw new BrokerError(
      "INVALID_OPTION",
      `The option missed of a schedule is ${JSON.stringify(missed)}; give one of ${MISSED.join(", ")}.`,
      { option: "missed", value: String(missed) },
    );
  const { subject, key, value, headers, priority } = message;
  return {
    times: completeTimes(times),
    target: { kind: target.kind, name: target.name },
    missed,
    ...(lifeMs === undefined ? {} : { lifeMs }),
    subject,
    ...(key === null ? {} : { key: toBase64(key) }),
    ...(value === null ? {} : { value: toBase64(value) }),
    headers: toBase64(headers),
    ...(priority === undefined ? {} : { priority }),
  };
}

/** The message for one time of a schedule. The same time always has the same id. */
export function messageAt(
  name: string,
  definition: ScheduleDefinition,
  timeMs: number,
  nowMs: number,
): OutgoingMessage {
  const { subject, key, value, headers, lifeMs, priority } = definition;
  const expiresAtMs = lifeMs === undefined ? 0 : nowMs + lifeMs;
  return {
    subject,
    key: key === undefined ? null : Buffer.from(key, "base64"),
    value: value === undefined ? null : Buffer.from(value, "base64"),
    headers: withProperties(Buffer.from(headers, "base64"), {
      id: `${name}@${new Date(timeMs).toISOString()}`,
      expiresAtMs: lifeMs === undefined ? undefined : expiresAtMs,
    }),
    expiresAtMs,
    timestampMs: nowMs,
    priority,
  };
}

/** Errors: SCHEDULE_MISMATCH, naming what differs; of messages only that they do. */
export function assertSameSchedule(
  name: string,
  existing: ScheduleDefinition,
  wanted: ScheduleDefinition,
): void {
  const different = (["times", "target", "missed", "lifeMs"] as const).filter(
    (option) => JSON.stringify(existing[option]) !== JSON.stringify(wanted[option]),
  );
  const is = (of: ScheduleDefinition) =>
    different.map((option) => `${option} ${JSON.stringify(of[option]) ?? "unlimited"}`);
  const [was, now] = [is(existing), is(wanted)];
  if (!isSameMessage(existing, wanted)) {
    was.push("another message");
    now.push("this one");
  }
  if (was.length === 0) return;
  throw new BrokerError(
    "SCHEDULE_MISMATCH",
    `Schedule ${name} was declared with ${was.join(", ")} and is now asked for with ${now.join(", ")}. Use the same, say that it is to be replaced, or choose another name.`,
    { schedule: name },
  );
}

function isSameMessage(one: ScheduleDefinition, other: ScheduleDefinition): boolean {
  return (["subject", "key", "value", "headers", "priority"] as const).every(
    (part) => one[part] === other[part],
  );
}

function toBase64(content: string | Uint8Array): string {
  const bytes = typeof content === "string" ? Buffer.from(content) : Buffer.from(content);
  return bytes.toString("base64");
}
