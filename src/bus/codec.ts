// How a value becomes the body of a message and a value again: what a codec is, and those that need no library.

import { BrokerError } from "../broker-error.js";
import type { EngineRecord } from "../engines/engine.js";
import { describeThrown } from "./describe-thrown.js";
import { shown } from "./option-checks.js";

/** Turns values into bodies and back. Chosen per message type. `In` is what it writes, `Out` what it reads. */
export interface Codec<In, Out = In> {
  /** Stored with each message, so that whoever gets it knows how to read it. */
  readonly contentType: string;
  /** Other content types that it reads as well, such as `text/*`. @default none */
  readonly reads?: readonly string[];
  /** Throws when the value cannot be written. A string is stored as UTF-8. */
  encode(value: In): string | Uint8Array;
  /** Throws when the body cannot be read. */
  decode(record: EngineRecord): Out;
}

/** Any codec, as far as reading goes. */
export type AnyCodec = Codec<never, unknown>;

/** Never throws, whatever is given. */
export function isCodec(codec: unknown): codec is AnyCodec {
  const { contentType, reads = [], encode, decode } = (codec ?? {}) as Partial<AnyCodec>;
  if (typeof contentType !== "string" || typeof encode !== "function" || typeof decode !== "function")
    return false;
  return Array.isArray(reads) && reads.every((type) => typeof type === "string");
}

/** JSON text: the default. A value that JSON has no text for, such as `undefined` or a cycle, is refused. */
export const json: Codec<unknown> = {
  contentType: "application/json",
  reads: ["text/json"],
  encode(value) {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`JSON has no text for ${typeof value}`);
    return text;
  },
  decode(record) {
    return JSON.parse(record.valueText());
  },
};

/** Text as it is, in UTF-8. Reads every `text/*`. */
export const text: Codec<string> = {
  contentType: "text/plain",
  reads: ["text/*"],
  encode(value) {
    if (typeof value !== "string") throw new TypeError(`expected a string, got ${shown(value)}`);
    return value;
  },
  decode(record) {
    return record.valueText();
  },
};

/** What is read when a message has no body. */
const EMPTY = new Uint8Array(0);

/**
 * Bytes as they are, whatever their content type. A handler gets a view of what is stored: it is not to be changed, and keeps the messages that were
 * stored with it in memory as long as it is kept; copy it to keep it for long.
 */
export const bytes: Codec<Uint8Array> = {
  contentType: "application/octet-stream",
  reads: ["*/*"],
  encode(value) {
    if (!(value instanceof Uint8Array)) throw new TypeError(`expected a Uint8Array, got ${shown(value)}`);
    return value;
  },
  decode(record) {
    return record.value ?? EMPTY;
  },
};

/** Errors: INVALID_PAYLOAD. */
export function encodeValue<T>(codec: Codec<T, unknown>, type: string, value: T): string | Uint8Array {
  let problem: string;
  let cause: unknown;
  try {
    const body: unknown = codec.encode(value);
    if (typeof body === "string" || body instanceof Uint8Array) return body;
    problem = `the codec gave ${shown(body)} instead of a string or a Uint8Array`;
  } catch (error) {
    problem = describeThrown(error);
    cause = error;
  }
  throw new BrokerError(
    "INVALID_PAYLOAD",
    `The payload of ${type} cannot be written as ${codec.contentType}: ${problem}.`,
    { type },
    cause,
  );
}
