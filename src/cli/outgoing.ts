// The messages that `send` and `publish` make: where their bodies come from and what goes beside them.

import { Buffer } from "node:buffer";
import { type Command, Option } from "commander";
import type { Codec, Duration, PublishOptions } from "../index.js";
import type { CommonOptions } from "./data-directory.js";
import { EXIT } from "./exit-codes.js";
import { CommandFailure } from "./failure.js";
import { parseDuration } from "./format.js";
import { readChunks } from "./lines.js";
import type { World } from "./world.js";

/** A message as the command line gives it: bytes that nothing encodes any more, and its key. */
export interface Outgoing {
  readonly body: Uint8Array;
  readonly key: string | undefined;
}

/** What `send` and `publish` take beside the destination and the body. */
export interface OutgoingOptions extends CommonOptions {
  readonly file?: string;
  readonly jsonl?: string;
  readonly key?: string;
  readonly keyField?: string;
  readonly header?: readonly string[];
  readonly delay?: string;
  readonly expiresIn?: string;
  readonly priority?: string;
  readonly id?: string;
  readonly skipInvalid?: boolean;
}

/** A file of more bytes is refused before it is read. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;

const JSON_TYPE = "application/json";

/** Adds the options that `send` and `publish` share. */
export function withOutgoingOptions(command: Command): Command {
  return command
    .addOption(new Option("--file <path>", "send the whole file as one message").conflicts("jsonl"))
    .option("--jsonl <path>", "send each line of this file of JSON Lines as a message; - is standard input")
    .addOption(new Option("--key <key>", "key of the message: one key keeps its order").conflicts("keyField"))
    .option("--key-field <path>", "take each message's key from this field of its JSON: id, customer.id")
    .option("--header <name=value>", "add a header; may be repeated", collect)
    .option("--delay <duration>", "hand it out only after this time: 500ms, 10s, 15m, 2h, 1d")
    .option("--expires-in <duration>", "do not hand it out any more after this time")
    .option("--priority <n>", "level in queues with priorities: 0 is the lowest")
    .option("--id <id>", "identifier of the message, instead of one that is made up")
    .option("--skip-invalid", "count lines that are no JSON and go on, instead of stopping at the first");
}

export function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** Where the messages come from. */
export type Source =
  | { readonly kind: "one"; readonly body: Uint8Array; readonly contentType: string }
  | { readonly kind: "lines"; readonly chunks: AsyncIterable<Uint8Array>; readonly contentType: string };

/** Finds the source: the argument, a file, or JSON Lines from a file or standard input. Errors: a usage failure. */
export async function sourceOf(
  world: World,
  body: string | undefined,
  options: OutgoingOptions,
): Promise<Source> {
  const given = [body, options.file, options.jsonl].filter((source) => source !== undefined).length;
  if (given > 1)
    throw new CommandFailure(
      EXIT.usage,
      "give the body, --file or --jsonl, only one of them",
      "leave the others out",
    );
  if (body !== undefined) return { kind: "one", body: Buffer.from(body), contentType: typeOfText(body) };
  if (options.file !== undefined)
    return {
      kind: "one",
      body: await readWhole(world, options.file),
      contentType: "application/octet-stream",
    };
  if (options.jsonl !== undefined && options.jsonl !== "-") {
    return { kind: "lines", chunks: readChunks(world.io.files, options.jsonl), contentType: JSON_TYPE };
  }
  if (options.jsonl === "-" || world.stdin.isTTY !== true) {
    return { kind: "lines", chunks: world.stdin, contentType: JSON_TYPE };
  }
  throw new CommandFailure(
    EXIT.usage,
    "there is nothing to send",
    "give the body as an argument, --file, or --jsonl, or pipe JSON Lines in: cat events.jsonl | omnibus ...",
  );
}

export function typeOfText(text: string): string {
  try {
    JSON.parse(text);
    return JSON_TYPE;
  } catch {
    return "text/plain";
  }
}

async function readWhole(world: World, path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of path === "-" ? world.stdin : readChunks(world.io.files, path)) {
    chunks.push(chunk);
    size += chunk.length;
    if (size <= FILE_BYTES_MAX) continue;
    const limit = `${FILE_BYTES_MAX / 1024 / 1024} MiB`;
    throw new CommandFailure(
      EXIT.badInput,
      `${path} is larger than ${limit}, too large for one message`,
      "store it elsewhere and send a reference to it",
    );
  }
  return Buffer.concat(chunks);
}

/** The options that all messages of one run share. Errors: a usage failure for what is not written as it should be. */
export function publishOptionsOf(
  options: OutgoingOptions,
  source: Source,
  signal: AbortSignal,
): PublishOptions {
  if (options.id !== undefined && source.kind === "lines") {
    throw new CommandFailure(EXIT.usage, "--id names one message; JSON Lines are many", "leave --id out");
  }
  return {
    signal,
    ...(options.id !== undefined && { id: options.id }),
    ...(options.key !== undefined && { key: options.key }),
    ...(options.header !== undefined && { headers: headersOf(options.header) }),
    ...(options.delay !== undefined && { delay: durationOf("--delay", options.delay) }),
    ...(options.expiresIn !== undefined && { expiresIn: durationOf("--expires-in", options.expiresIn) }),
    ...(options.priority !== undefined && { priority: priorityOf(options.priority) }),
  };
}

export function headersOf(pairs: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at <= 0) {
      throw new CommandFailure(EXIT.usage, `--header '${pair}' has no name`, "write --header name=value");
    }
    headers[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return headers;
}

export function durationOf(option: string, text: string): Duration {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return durationMs;
  throw new CommandFailure(
    EXIT.usage,
    `${option} '${text}' is no duration`,
    "write a number and a unit: 500ms, 10s, 15m, 2h, 1d",
  );
}

export function priorityOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new CommandFailure(
    EXIT.usage,
    `--priority '${text}' is no whole number`,
    "write 0 for the lowest, or more",
  );
}

/** Hands the bytes through as they are. */
export function asGiven(contentType: string): Codec<Outgoing> {
  return {
    contentType,
    encode: (message) => message.body,
    decode: (record) => ({ body: record.value ?? new Uint8Array(), key: undefined }),
  };
}

/** How the bus finds the key of a message when each line brings its own. */
export function keyFromField(options: OutgoingOptions): { key?: (message: Outgoing) => string } {
  return options.keyField === undefined ? {} : { key: (message) => message.key ?? "" };
}
