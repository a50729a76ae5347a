// Where a server's log goes when nobody says otherwise.

import { format } from "node:util";
import type { LogFields, ServerLog } from "../network/host.js";

/** Warnings and errors, a line each on standard error. */
export const standardErrorLog: ServerLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields, text) => write("warning", fields, text),
  error: (fields, text) => write("error", fields, text),
};

function write(level: string, fields: LogFields, text: string): void {
  process.stderr.write(`omnibus: ${level}: ${text}${fieldsText(fields)}\n`);
}

/** ` name=value` for each, on one line. */
function fieldsText(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${valueText(value)}`)
    .join("");
}

function valueText(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(`${value.name}: ${value.message}`);
  const text = typeof value === "string" ? value : format("%O", value);
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}
