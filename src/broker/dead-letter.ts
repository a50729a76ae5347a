// What is written on a message that could not be handled: where it came from, why, and what happened before.

import type { StoredRecord } from "../log/record.js";
import { type EncodedHeaders, encodeHeaders, type Header } from "../log/record-headers.js";
import { EXPIRES_AT_HEADER, FORWARDS_HEADER, READY_AT_HEADER, RESERVED_PREFIX } from "./message.js";

/** Why a message was dead-lettered. */
export type DeadLetterReason =
  | "attempts-exhausted"
  | "expired"
  | "invalid-payload"
  | "unknown-type"
  | "rejected"
  | "overflow"
  | "unroutable";

/** One death of a message. */
export interface DeadLetterEntry {
  /** The queue, or `topic/group`. */
  readonly source: string;
  /** Of the topic; undefined for a queue. */
  readonly partition: number | undefined;
  readonly offset: number;
  readonly reason: DeadLetterReason;
  readonly error: string;
  readonly attempts: number;
  readonly firstFailedAtMs: number;
  readonly deadAtMs: number;
}

/** JSON: an array of {@link DeadLetterEntry}, the latest last. */
const DEAD_LETTER_HEADER = `${RESERVED_PREFIX}dead-letter`;
const SPENT_HEADERS = [READY_AT_HEADER, EXPIRES_AT_HEADER, FORWARDS_HEADER, DEAD_LETTER_HEADER];
/** How many deaths of one message are remembered. */
const HISTORY_MAX = 20;
/** How much of an error's text is kept. */
export const ERROR_LENGTH_MAX = 2_000;

/** All deaths of the message, the latest last; empty when it never died, or what is said of them cannot be read. */
export function deadLetterHistory(record: StoredRecord): DeadLetterEntry[] {
  const header = record.header(DEAD_LETTER_HEADER);
  if (header === undefined) return [];
  try {
    const history: unknown = JSON.parse(header.toString("utf8"));
    return Array.isArray(history) ? (history as DeadLetterEntry[]) : [];
  } catch {
    // The header is reserved, so this is not ours; the message must not be stuck for it.
    return [];
  }
}

/** The record's headers with `more` and one more death; its delay, its expiry and its forwards are spent. */
export function headersWithDeath(
  record: StoredRecord,
  more: readonly Header[],
  entry: DeadLetterEntry,
): EncodedHeaders {
  const history = [...deadLetterHistory(record), entry].slice(-HISTORY_MAX);
  const kept = record.headers().filter(([name]) => !SPENT_HEADERS.includes(name));
  return encodeHeaders([...kept, ...more, [DEAD_LETTER_HEADER, JSON.stringify(history)]]);
}
