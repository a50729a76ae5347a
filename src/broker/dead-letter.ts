// What is written on a message that could not be handled: where it came from, why, and what happened before.

import type { StoredRecord } from "../log/record.js";
import { type EncodedHeaders, encodeHeaders, type Header } from "../log/record-headers.js";
import type { DeadLetterTarget } from "./dead-letter-target.js";
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
  /** What the message's subject was. Missing in what earlier versions wrote, as `times` is. */
  readonly subject?: string;
  /** How often the message had died of this in this source, this time included. */
  readonly times?: number;
  /** Where it was sent, when its queue keeps no dead letters itself. */
  readonly to?: DeadLetterTarget;
}

/** A death before it is written down. */
export type Death = Omit<DeadLetterEntry, "times">;

/** JSON: an array of {@link DeadLetterEntry}, the latest last. */
export const DEAD_LETTER_HEADER = `${RESERVED_PREFIX}dead-letter`;
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

/** The deaths of a message with one more. */
export function historyWith(record: StoredRecord, death: Death): readonly DeadLetterEntry[] {
  const earlier = deadLetterHistory(record);
  const times = earlier.reduce(
    (most, entry) => Math.max(most, isAlike(entry, death) ? timesOf(entry) : 0),
    0,
  );
  return shortened([...earlier, { ...death, times: times + 1 }]);
}

/**
 * The record's headers with this history, and with `more` instead of those of the same names; its delay, its expiry and its
 * forwards are spent.
 */
export function headersWithDeath(
  record: StoredRecord,
  more: readonly Header[],
  history: readonly DeadLetterEntry[],
): EncodedHeaders {
  const gone = new Set([...SPENT_HEADERS, ...more.map(([name]) => name)]);
  const kept = record.headers().filter(([name]) => !gone.has(name));
  return encodeHeaders([...kept, ...more, [DEAD_LETTER_HEADER, JSON.stringify(history)]]);
}

function isAlike(one: Death, other: Death): boolean {
  return one.source === other.source && one.reason === other.reason;
}

function timesOf({ times = 1 }: DeadLetterEntry): number {
  return times;
}

/** Those go first that a later one counts on from, so that the counts stay right. */
function shortened(history: readonly DeadLetterEntry[]): readonly DeadLetterEntry[] {
  if (history.length <= HISTORY_MAX) return history;
  const counted = history.findIndex((entry, at) =>
    history.slice(at + 1).some((later) => isAlike(entry, later)),
  );
  return history.toSpliced(Math.max(0, counted), 1);
}

const BY_ITSELF: readonly DeadLetterReason[] = ["expired", "overflow", "attempts-exhausted"];

/** Whether the message has come from that queue before, with nobody having turned it away since: it would for ever. */
export function isCircle(queue: string, history: readonly DeadLetterEntry[]): boolean {
  for (const { source, reason } of history.toReversed()) {
    if (!BY_ITSELF.includes(reason)) return false;
    if (source === queue) return true;
  }
  return false;
}
