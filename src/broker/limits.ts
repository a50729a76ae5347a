// How much a queue may hold, and what happens to the message that is one too many.

import { BrokerError } from "../broker-error.js";
import type { Durability } from "../log/log.js";
import { type Attributes, attributesProblem } from "./attributes.js";
import type { Balance } from "./consumer-choice.js";
import { type DeadLetterTarget, targetProblem } from "./dead-letter-target.js";
import type { Assignment } from "./dealing.js";
import { positionProblem, type StartPosition } from "./positions.js";
import { assertPattern } from "./subject.js";

/** What happens when a message arrives and the queue is full. */
export type OverflowPolicy =
  /** The publisher gets QUEUE_FULL. */
  | "reject"
  /** The oldest message that is not in flight is removed. */
  | "drop-oldest"
  /** The oldest message that is not in flight is dead-lettered. */
  | "dead-letter-oldest"
  /** The publisher waits until there is room. */
  | "wait";

export interface QueueOptions {
  /** Bytes of one message's body, at most. */
  readonly messageBytesMax: number;
  /** Unsettled messages, at most. */
  readonly countMax: number;
  /** Body bytes of unsettled messages, at most. */
  readonly bytesMax: number;
  /** Whether messages in flight count for `countMax` and `bytesMax`; when not, only those that wait do. */
  readonly countsInFlight: boolean;
  /** A message older than this is expired. */
  readonly ageMaxMs: number;
  /** Messages in flight over all consumers, at most. */
  readonly inFlightMax: number;
  readonly overflow: OverflowPolicy;
  /** A message handed out this often without being acknowledged is dead-lettered, unless its consumer says otherwise. */
  readonly attemptsMax: number;
  /** Whether messages that cannot be handled are kept as dead letters; when not, they are dropped and counted. */
  readonly deadLetter: boolean;
  /** Where they are sent instead; kept, or dropped, is only what leads nowhere from there. */
  readonly deadLetterTo: DeadLetterTarget | undefined;
  readonly durability: Durability;
  /** For how long a second publish with the same id stores nothing; 0 for never. */
  readonly deduplicateMs: number;
  /** How many ids of publishes are remembered at most. */
  readonly deduplicateIdsMax: number;
  /** For how long the ids of handled messages are remembered; 0 for never. */
  readonly inboxMs: number;
  /** How many ids of handled messages are remembered at most. */
  readonly inboxIdsMax: number;
  /** Levels of priority, from 0 up. Messages of a higher one are handed out first. */
  readonly priorities: number;
  /** The queue is deleted when it had no consumer, and nobody declared it, for so long. Publishing is no use. */
  readonly expiresAfterMs: number;
  /** Only the session that declared it uses it, and it is deleted when that ends. */
  readonly exclusive: boolean;
  /** The queue is deleted when its last consumer has left. */
  readonly autoDelete: boolean;
  readonly balance: Balance;
  /** Whether one consumer gets everything until it has left. */
  readonly singleActiveConsumer: boolean;
  /** Those of who declared it first. They may be left out, or others, when it is declared again. */
  readonly attributes: Attributes;
}

const MIB = 1024 * 1024;
/** The largest body that any queue can be declared for. */
export const BODY_BYTES_MAX = 64 * MIB;
/** Stands for no limit in a definition, because JSON knows no Infinity. */
export const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Ids that are remembered unless more are asked for: some 20 MiB of memory. */
const IDS_MAX = 100_000;

export const QUEUE_DEFAULTS: QueueOptions = {
  messageBytesMax: MIB,
  countMax: UNLIMITED,
  bytesMax: 10 * 1024 * MIB,
  countsInFlight: true,
  ageMaxMs: UNLIMITED,
  inFlightMax: 10_000,
  overflow: "reject",
  attemptsMax: 5,
  deadLetter: true,
  deadLetterTo: undefined,
  durability: "synced",
  deduplicateMs: 0,
  deduplicateIdsMax: IDS_MAX,
  inboxMs: 0,
  inboxIdsMax: IDS_MAX,
  priorities: 1,
  expiresAfterMs: UNLIMITED,
  exclusive: false,
  autoDelete: false,
  balance: "credit",
  singleActiveConsumer: false,
  attributes: {},
};

export interface TopicOptions {
  readonly partitions: number;
  /** Bytes of one message's body, at most. */
  readonly messageBytesMax: number;
  /** Segments whose messages are all older are deleted, read or not. */
  readonly retentionMs: number;
  /** Oldest segments are deleted while a partition is larger. */
  readonly retentionBytes: number;
  /** Oldest segments are deleted while a partition holds more. */
  readonly retentionCount: number;
  /** Whether only the last message of each key is kept. */
  readonly compact: boolean;
  readonly durability: Durability;
  /** For how long a second publish with the same id stores nothing; 0 for never. */
  readonly deduplicateMs: number;
  /** How many ids of publishes are remembered at most. */
  readonly deduplicateIdsMax: number;
}

export const TOPIC_DEFAULTS: TopicOptions = {
  partitions: 1,
  messageBytesMax: MIB,
  retentionMs: 7 * 24 * 60 * 60 * 1000,
  retentionBytes: UNLIMITED,
  retentionCount: UNLIMITED,
  compact: false,
  durability: "synced",
  deduplicateMs: 0,
  deduplicateIdsMax: IDS_MAX,
};

export interface SubscriptionOptions {
  /** Where a subscription that is new begins. */
  readonly from: StartPosition;
  /** Patterns of the subjects that it is for; all when empty. Asking for more adds to those that were asked for before. */
  readonly subjects: readonly string[];
  readonly inFlightMax: number;
  readonly attemptsMax: number;
  readonly deadLetter: boolean;
  readonly balance: Balance;
  /** Whether one consumer gets everything until it has left. */
  readonly singleActiveConsumer: boolean;
  /** Who may get the messages of a partition. With `partitions`, the others of these have their defaults. */
  readonly assignment: Assignment;
  /** For how long the ids of handled messages are remembered; 0 for never. */
  readonly inboxMs: number;
  /** How many ids of handled messages are remembered at most. */
  readonly inboxIdsMax: number;
}

export const SUBSCRIPTION_DEFAULTS: SubscriptionOptions = {
  from: "new",
  subjects: [],
  inFlightMax: 10_000,
  attemptsMax: 5,
  deadLetter: true,
  balance: "credit",
  singleActiveConsumer: false,
  assignment: "shared",
  inboxMs: 0,
  inboxIdsMax: IDS_MAX,
};

/** How much of a value is said in an error. */
const SHOWN_LENGTH_MAX = 200;
/** The partitions that one topic may have. */
const PARTITIONS_MAX = 1024;
/** The levels of priority that one queue may have: each is a log of its own. */
const PRIORITIES_MAX = 32;
const OVERFLOWS: readonly string[] = [
  "reject",
  "drop-oldest",
  "dead-letter-oldest",
  "wait",
] satisfies OverflowPolicy[];
const DURABILITIES: readonly string[] = ["synced", "written", "memory"] satisfies Durability[];

/** Errors: INVALID_OPTION for a value out of its range and for an option that `known` does not have; INVALID_SUBJECT. */
export function assertOptions(what: string, options: object, known: object): void {
  for (const [option, value] of Object.entries(options)) {
    const problem =
      option in known
        ? optionProblem(option, value)
        : `there is no such option; there are ${Object.keys(known).join(", ")}`;
    if (problem !== undefined) {
      throw new BrokerError(
        "INVALID_OPTION",
        `The option ${option} of ${what} is ${shown(value)}; ${problem}.`,
        { option, value: String(value) },
      );
    }
  }
}

/** A partition that one consumer has is not shared out. Errors: INVALID_OPTION. */
export function assertSharing(what: string, options: SubscriptionOptions): void {
  const { assignment, balance, singleActiveConsumer } = options;
  if (assignment === "shared" || (balance === "credit" && !singleActiveConsumer)) return;
  const [option, value] = balance === "credit" ? ["singleActiveConsumer", true] : ["balance", balance];
  throw new BrokerError(
    "INVALID_OPTION",
    `The option ${option} of ${what} is ${shown(value)}, but with the assignment "partitions" each partition has one consumer already. Leave ${option} out, or the assignment.`,
    { option: String(option), value: String(value) },
  );
}

/** Of a long value its beginning. */
export function shown(value: unknown): string {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}...`;
}

function optionProblem(option: string, value: unknown): string | undefined {
  switch (option) {
    case "overflow":
      return oneOf(OVERFLOWS, value);
    case "durability":
      return oneOf(DURABILITIES, value);
    case "from":
      return positionProblem(value, ["new", "beginning"]);
    case "subjects":
      return subjectsProblem(value);
    case "countsInFlight":
    case "deadLetter":
    case "exclusive":
    case "autoDelete":
    case "compact":
    case "singleActiveConsumer":
      return typeof value === "boolean" ? undefined : "give true or false";
    case "partitions":
      return wholeNumber(value, PARTITIONS_MAX);
    case "balance":
      return oneOf(["credit", "fewest", "key"] satisfies Balance[], value);
    case "assignment":
      return oneOf(["shared", "partitions"] satisfies Assignment[], value);
    case "deadLetterTo":
      return targetProblem(value);
    case "attributes":
      return attributesProblem(value);
    case "priorities":
      return wholeNumber(value, PRIORITIES_MAX);
    case "deduplicateMs":
    case "inboxMs":
      return value === 0 ? undefined : wholeNumber(value, UNLIMITED);
    case "messageBytesMax":
      return wholeNumber(value, BODY_BYTES_MAX);
    default:
      return wholeNumber(value, UNLIMITED);
  }
}

function subjectsProblem(value: unknown): string | undefined {
  if (!Array.isArray(value)) return "give a list of subject patterns";
  for (const pattern of value) assertPattern(pattern);
  return undefined;
}

function oneOf(allowed: readonly string[], value: unknown): string | undefined {
  return typeof value === "string" && allowed.includes(value)
    ? undefined
    : `give one of ${allowed.join(", ")}`;
}

function wholeNumber(value: unknown, max: number): string | undefined {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max) return undefined;
  return max === UNLIMITED ? "give a whole number of at least 1" : `give a whole number from 1 to ${max}`;
}

/** Hot. */
function bodySize(value: string | Uint8Array | null): number {
  if (value === null) return 0;
  return typeof value === "string" ? Buffer.byteLength(value) : value.length;
}

/**
 * Returns the size of the body. Errors: MESSAGE_TOO_LARGE when it is larger than a message, or all messages
 * together, may be.
 */
export function assertBodySize(
  what: string,
  value: string | Uint8Array | null,
  messageBytesMax: number,
  bytesMax = UNLIMITED,
): number {
  const sizeBytes = bodySize(value);
  if (sizeBytes > messageBytesMax || sizeBytes > bytesMax) {
    const [option, limit] =
      sizeBytes > messageBytesMax ? ["messageBytesMax", messageBytesMax] : ["bytesMax", bytesMax];
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      `The message has ${sizeBytes} bytes; ${what} takes at most ${limit}. Declare it with a larger ${option} (a message may have up to ${BODY_BYTES_MAX}), or send a reference to the content.`,
      { sizeBytes, bytesMax: limit },
    );
  }
  return sizeBytes;
}
