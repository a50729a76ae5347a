// The dead letters of a bus: looking at them, sending them back, letting them go.

import type { DeadLetterEntry, DeadLetterReason } from "../broker/dead-letter.js";
import { parsePattern, parseSubject } from "../broker/subject.js";
import { BrokerError } from "../broker-error.js";
import { PatternTrie } from "../collections/pattern-trie.js";
import type { EngineDeadLetter } from "../engines/engine.js";
import type { BusCore } from "./bus-core.js";
import type { BusCodecs } from "./decoding.js";
import { knownOptions, oneOf, validDate, wholeNumber } from "./option-checks.js";
import { StoredMessage } from "./stored-message.js";

/** Which dead letters: those that meet every condition given. With none, all. */
export interface DeadLetterFilter {
  readonly ids?: readonly string[];
  /** The queue, or `topic/group`, that they come from. */
  readonly source?: string;
  /** A subject pattern. */
  readonly subject?: string;
  readonly reason?: DeadLetterReason;
  /** A part of the error's text. */
  readonly error?: string;
  /** Dead-lettered before then. */
  readonly before?: Date;
  /** Dead-lettered at that time or later. */
  readonly after?: Date;
  /** At most so many, the oldest first. */
  readonly limit?: number;
}

/** A message that could not be handled, with what happened to it. */
export interface DeadLetter {
  /** The id of the message. */
  readonly id: string;
  /** The queue, or `topic/group`, that it comes from. */
  readonly source: string;
  readonly subject: string;
  readonly message: StoredMessage;
  readonly reason: DeadLetterReason;
  readonly error: string;
  readonly attempts: number;
  readonly firstFailedAt: Date;
  readonly deadAt: Date;
  /** All its deaths, the latest last: more than one when it was replayed and failed again. */
  readonly history: readonly DeadLetterEntry[];
}

/** How many dead letters are sent back or removed at a time, unless their bodies are large. */
const STEP = 1_000;
const STEP_BYTES = 8 * 1024 * 1024;
const FILTER_OPTIONS = ["ids", "source", "subject", "reason", "error", "before", "after", "limit"];
const REASONS: readonly DeadLetterReason[] = [
  "attempts-exhausted",
  "expired",
  "invalid-payload",
  "unknown-type",
  "rejected",
  "overflow",
  "unroutable",
];

/**
 * @example
 * for await (const letter of bus.deadLetters.list({ source: "order/billing" })) console.log(letter.id, letter.error);
 * await bus.deadLetters.replay({ error: "Cannot read properties" });
 */
export class DeadLetters {
  readonly #core: BusCore;

  constructor(core: BusCore) {
    this.#core = core;
  }

  /** Those that are there, source by source, the oldest first. Errors: INVALID_OPTION, INVALID_SUBJECT. */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetter, void, undefined> {
    for await (const found of this.#find(filter)) yield describe(found, this.#core.codecs);
  }

  /** Errors: DEAD_LETTER_NOT_FOUND. */
  async get(id: string): Promise<DeadLetter> {
    for await (const letter of this.list({ ids: [id], limit: 1 })) return letter;
    throw new BrokerError(
      "DEAD_LETTER_NOT_FOUND",
      `There is no dead letter with the id '${id}'. It may have been replayed or discarded; list the dead letters to see those that are there.`,
      { id },
    );
  }

  /**
   * Sends them back to the queue or group that they come from, and only there, to be handled as if they were new.
   * Each goes back and leaves the dead letters in one atomic step. Returns how many went back. Errors: INVALID_OPTION,
   * INVALID_SUBJECT, SUBSCRIPTION_NOT_FOUND when the group they came from is gone, those of storage.
   */
  async replay(filter: DeadLetterFilter): Promise<number> {
    return await this.#inSteps(filter, (letters) => this.#core.engine.broker.deadLetters.replay(letters));
  }

  /** Removes them for good. Returns how many were removed. Errors: INVALID_OPTION, INVALID_SUBJECT. */
  async discard(filter: DeadLetterFilter): Promise<number> {
    return await this.#inSteps(filter, (letters) => this.#core.engine.broker.deadLetters.discard(letters));
  }

  async #inSteps(
    filter: DeadLetterFilter,
    act: (letters: EngineDeadLetter[]) => Promise<number>,
  ): Promise<number> {
    this.#core.assertWritable();
    let done = 0;
    let step: EngineDeadLetter[] = [];
    let bytes = 0;
    for await (const letter of this.#find(filter)) {
      step.push(letter);
      bytes += letter.record.value?.length ?? 0;
      if (step.length < STEP && bytes < STEP_BYTES) continue;
      done += await act(step);
      step = [];
      bytes = 0;
    }
    return done + (step.length === 0 ? 0 : await act(step));
  }

  async *#find(given: DeadLetterFilter): AsyncGenerator<EngineDeadLetter> {
    this.#core.assertOpen();
    const filter = knownOptions("a dead letter filter", given, FILTER_OPTIONS);
    const fits = compile(filter);
    let left = limitOf(filter);
    for await (const letter of this.#core.engine.broker.deadLetters.list(filter.source)) {
      if (!fits(describe(letter, this.#core.codecs))) continue;
      yield letter;
      left -= 1;
      if (left <= 0) return;
    }
  }
}

function describe(letter: EngineDeadLetter, codecs: BusCodecs): DeadLetter {
  const death = letter.history.at(-1)!;
  const message = new StoredMessage(letter.record, death.source, death.partition, codecs);
  return {
    id: message.id,
    source: death.source,
    subject: message.subject,
    message,
    reason: death.reason,
    error: death.error,
    attempts: death.attempts,
    firstFailedAt: new Date(death.firstFailedAtMs),
    deadAt: new Date(death.deadAtMs),
    history: letter.history,
  };
}

/** Errors: INVALID_OPTION, INVALID_SUBJECT. */
function compile(filter: DeadLetterFilter): (letter: DeadLetter) => boolean {
  const { subject, reason, error } = filter;
  if (reason !== undefined) oneOf("reason", reason, REASONS);
  const ids = filter.ids === undefined ? undefined : new Set(filter.ids);
  const before = filter.before === undefined ? undefined : validDate("before", filter.before);
  const after = filter.after === undefined ? undefined : validDate("after", filter.after);
  const subjects = subject === undefined ? undefined : new PatternTrie<true>();
  if (subject !== undefined) subjects?.add(parsePattern(subject), true);
  return (letter) =>
    (ids === undefined || ids.has(letter.id)) &&
    (subjects === undefined || subjects.match(parseSubject(letter.subject)).size > 0) &&
    (reason === undefined || letter.reason === reason) &&
    (error === undefined || letter.error.includes(error)) &&
    (before === undefined || letter.deadAt < before) &&
    (after === undefined || letter.deadAt >= after);
}

function limitOf({ limit }: DeadLetterFilter): number {
  return limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber("limit", limit);
}
