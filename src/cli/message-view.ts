// A stored message as a line for people, or as JSON for programs.

import { isUtf8 } from "node:buffer";
import type { StoredMessage } from "../index.js";
import { fitText, formatMoment } from "./format.js";
import type { World } from "./world.js";

/**
 * The message for a program. `body` is the JSON value that the body holds, or its text; a body that is no text comes as
 * `bodyBase64` instead.
 */
export function messageJson(message: StoredMessage): Record<string, unknown> {
  return {
    source: message.source,
    partition: message.partition ?? null,
    offset: message.offset,
    id: message.id,
    subject: message.subject,
    key: message.key,
    timestamp: new Date(message.timestampMs).toISOString(),
    headers: message.headers,
    ...bodyJson(message.body),
  };
}

function bodyJson(body: Buffer): { body: unknown } | { bodyBase64: string } {
  if (!isUtf8(body)) return { bodyBase64: body.toString("base64") };
  const text = body.toString("utf8");
  try {
    return { body: JSON.parse(text) };
  } catch {
    return { body: text };
  }
}

/** The message on one line that fits the terminal: where, when, what, key, body. */
export function messageLine(world: World, message: StoredMessage): string {
  const { cyan, dim, yellow } = world.colours;
  const where = `${message.source}${(message.partition ?? 0) === 0 ? "" : `[${message.partition}]`}@${message.offset}`;
  const when = formatMoment(message.timestampMs);
  const key = message.key === null ? "" : ` ${fitText(message.key, 40)}`;
  const used = where.length + when.length + message.subject.length + key.length + 4;
  const body = bodyText(message.body, Math.max(world.columns - used, 20));
  return `${dim(where)} ${dim(when)} ${cyan(message.subject)}${yellow(key)} ${body}`;
}

/** The body as text of at most `width` characters; what is no text is described. */
export function bodyText(body: Buffer, width: number): string {
  if (!isUtf8(body)) return `<${body.length} bytes, ${body.subarray(0, 16).toString("hex")}...>`;
  return fitText(body.toString("utf8"), width);
}
