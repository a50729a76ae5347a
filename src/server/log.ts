// What the server says of itself: a line for each thing that happened, for people or for programs.

import { inspect } from "node:util";
import type { LogFields, ServerLog } from "../network/host.js";

export type { LogFields, ServerLog } from "../network/host.js";

/** A line of a log that people read. */
export type WriteLine = (level: LogLevel, fields: LogFields, text: string) => void;

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Warnings and errors, a line each on standard error. */
export const standardErrorLog: ServerLog = lineLog("warn", (level, fields, text) => {
  process.stderr.write(`omnibus: ${level}: ${text}${fieldsText(fields)}\n`);
});

/** A log that hands each line of `least` or above to `write`. */
export function lineLog(least: LogLevel, write: WriteLine): ServerLog {
  const from = LOG_LEVELS.indexOf(least);
  const at = (level: LogLevel): WriteLine | undefined =>
    LOG_LEVELS.indexOf(level) >= from ? write : undefined;
  const [debug, info, warn, error] = LOG_LEVELS.map(at);
  return {
    debug: (fields, text) => debug?.("debug", fields, text),
    info: (fields, text) => info?.("info", fields, text),
    warn: (fields, text) => warn?.("warn", fields, text),
    error: (fields, text) => error?.("error", fields, text),
  };
}

/** ` name=value` for each, on one line. */
export function fieldsText(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${valueText(value)}`)
    .join("");
}

function valueText(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(`${value.name}: ${value.message}`);
  const text = typeof value === "string" ? value : inspect(value, { breakLength: Number.POSITIVE_INFINITY });
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}
