// A stored message as a line for people, or as JSON for programs.

import { isUtf8 } from "node:buffer";
import type { StoredMessage } from "../index.js";
import { fitText, formatMoment } from "./format.js";
import type { World } from "./world.js";

/** The fields of a message for a program, without its body; what is not known is undefined. */
export function messageFields(message: StoredMessage): Record<string, unknown> {
  return {
    source: message.source,
    partition: message.partition ?? null,
    offset: message.offset,
    id: message.id,
    subject: message.subject,
    key: message.key,
    priority: message.priority,
    timestamp: new Date(message.timestampMs).toISOString(),
    contentType: message.contentType,
    headers: message.headers,
    attempts: message.attempts,
    error: message.error,
  };
}

/**
 * `fields` and the body as one line of JSON. `body` is the JSON value that the body holds, as it was written, or its
 * text; a body that is no text comes as `bodyBase64` instead.
 */
export function jsonWithBody(fields: Record<string, unknown>, body: Buffer): string {
  const [name, value] = bodyJson(body);
  return `${JSON.stringify(fields).slice(0, -1)},"${name}":${value}}`;
}

/** The name and the JSON text of the body. Numbers keep every digit: what is JSON on one line is passed through. */
function bodyJson(body: Buffer): [name: string, value: string] {
  if (!isUtf8(body)) return ["bodyBase64", JSON.stringify(body.toString("base64"))];
  const text = body.toString("utf8");
  try {
    const value: unknown = JSON.parse(text);
    return ["body", /[\r\n]/.test(text) ? JSON.stringify(value) : text.trim()];
  } catch {
    return ["body", JSON.stringify(text)];
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
