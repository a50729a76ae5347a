// Numbers, sizes, ages and moments, as people read and write them on a command line.

import { EXIT } from "./exit-codes.js";
import { CommandFailure } from "./failure.js";

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 1,234,567 */
export function formatCount(count: number): string {
  return COUNT.format(count);
}

/** `1 order`, `2,000 orders` */
export function formatAmount(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** 512 B, 1.5 KiB, 20 MiB */
export function formatBytes(sizeBytes: number): string {
  let size = sizeBytes;
  let unit = 0;
  while (size >= 1024 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${formatScaled(size, unit === 0)} ${BYTE_UNITS[unit]}`;
}

const AGE_UNITS = [
  { unit: "ms", lengthMs: 1 },
  { unit: "s", lengthMs: 1_000 },
  { unit: "min", lengthMs: 60_000 },
  { unit: "h", lengthMs: 3_600_000 },
  { unit: "d", lengthMs: 86_400_000 },
] as const;

/** 40 ms, 3.2 s, 12 min, 5.1 h, 3 d */
export function formatAge(ageMs: number): string {
  const age = Math.max(0, ageMs);
  const { unit, lengthMs } = AGE_UNITS.findLast((candidate) => age >= candidate.lengthMs) ?? AGE_UNITS[0];
  return `${formatScaled(age / lengthMs, unit === "ms")} ${unit}`;
}

function formatScaled(value: number, isWhole: boolean): string {
  return isWhole || value >= 10 ? COUNT.format(value) : value.toFixed(1).replace(/\.0$/, "");
}

/** 2026-03-01 14:05:09.123, in the machine's time zone. */
export function formatMoment(timestampMs: number): string {
  const moment = new Date(timestampMs);
  const date = [moment.getFullYear(), pad(moment.getMonth() + 1), pad(moment.getDate())].join("-");
  const time = [pad(moment.getHours()), pad(moment.getMinutes()), pad(moment.getSeconds())].join(":");
  return `${date} ${time}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
}

function pad(number: number): string {
  return String(number).padStart(2, "0");
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `10s`, `1.5h` in milliseconds; undefined when `text` is not written so. */
export function parseDuration(text: string): number | undefined {
  const parts = DURATION.exec(text.trim());
  return parts === null ? undefined : Number(parts[1]) * DURATION_UNITS_MS[parts[2]!]!;
}

/** A date and time, or how long ago (`2h`). Errors: a usage failure that names `option`. */
export function parseMoment(text: string, option: string, nowMs: number): Date {
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return new Date(nowMs - agoMs);
  const moment = /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : undefined;
  if (moment !== undefined && !Number.isNaN(moment.getTime())) return moment;
  throw new CommandFailure(
    EXIT.usage,
    `${option} '${text}' is no moment`,
    "write a date and time such as 2026-03-01T14:00:00Z, or how long ago, such as 15m or 2h",
  );
}

/** Cuts `text` to `width` characters, and puts what would move the cursor into plain sight. */
export function fitText(text: string, width: number): string {
  const visible = text.replace(/\p{Cc}/gu, escapeControl);
  return visible.length <= width ? visible : `${visible.slice(0, Math.max(0, width - 1))}…`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeControl(character: string): string {
  return ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
