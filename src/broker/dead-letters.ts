// The dead letters of every queue and subscription: moving messages there, looking at them, sending them back.

import { isBrokerError } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import type { LogStore } from "../log/log-store.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import type { Header } from "../log/record-headers.js";
import { type Appended, placeId } from "./appended.js";
import type { Burial } from "./burials.js";
import {
  type DeadLetterEntry,
  type Death,
  deadLetterHistory,
  headersWithDeath,
  historyWith,
  isCircle,
} from "./dead-letter.js";
import type { DeadLetterTarget } from "./dead-letter-target.js";
import type { DeliveryState } from "./delivery-state.js";
import type { Destination } from "./exchange.js";
import { handOver } from "./hand-over.js";
import { ID_HEADER, type OutgoingMessage, priorityOf, SUBJECT_HEADER } from "./message.js";
import type { PlacedMessage } from "./message-status.js";
import type { Queue } from "./queue.js";
import type { Routing } from "./routing.js";
import type { SettlementLog } from "./settlement-log.js";

/** How many dead letters one atomic step moves or removes, and how many bytes of them unless a single one has more. */
const STEP_COUNT = 500;
const STEP_BYTES = 8 * 1024 * 1024;

/** Why a message will never be taken where its queue sends it: what else goes wrong is tried again. */
const NEVER_TAKEN = [
  "EXCHANGE_NOT_FOUND",
  "QUEUE_NOT_FOUND",
  "TOPIC_NOT_FOUND",
  "MESSAGE_TOO_LARGE",
  "INVALID_SUBJECT",
] as const;

/** A message among the dead letters of `queue`. */
export interface DeadLetter extends PlacedMessage {
  readonly queue: Queue;
  /** All its deaths, the latest last. */
  readonly history: readonly DeadLetterEntry[];
}

/** Where a message was first stored: what its id and subject say when it was given none. */
export interface Origin {
  readonly name: string;
  /** Of a topic; undefined for a queue. */
  readonly partition: number | undefined;
}

/** What a queue or subscription does with its dead letters. */
export interface BurialOptions {
  /** Where they are sent. What leads nowhere from there is as if there was no such place. */
  readonly deadLetterTo?: DeadLetterTarget | undefined;
  /** Whether they are kept. */
  readonly deadLetter: boolean;
}

/** What takes the replayed dead letters of a source: its queue, or a log that the group alone reads. */
export interface ReturnTarget {
  appendReturned(record: StoredRecord, timestampMs: number): PendingAppend;
}

/** What dead letters are built on. */
export interface DeadLettersParts {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly settlements: SettlementLog;
  readonly routing: Routing;
  readonly queue: (name: string) => Queue | undefined;
  /** All queues of dead letters. */
  readonly queues: () => Queue[];
  /** The queue of dead letters of a source, made when it is not there. */
  readonly queueFor: (source: string) => Promise<Queue>;
  /** What takes a source's replayed dead letters. */
  readonly returnTo: (source: string) => Promise<ReturnTarget>;
}

export class DeadLetters {
  readonly #parts: DeadLettersParts;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(parts: DeadLettersParts) {
    this.#parts = parts;
  }

  /**
   * Stores the dead letter and, in the same atomic step, that the message is settled where it was. Resolves when that is on
   * its way; with undefined, and nothing is stored, when it is to be kept nowhere. Errors: those of storage and of the
   * destinations, with nothing done.
   */
  async bury(
    record: StoredRecord,
    state: DeliveryState,
    entry: Death,
    origin: Origin,
    { deadLetter, deadLetterTo }: BurialOptions,
  ): Promise<Burial | undefined> {
    const death = { ...entry, subject: record.header(SUBJECT_HEADER)?.toString("utf8") ?? origin.name };
    const sent = deadLetterTo && this.#send(record, state, death, origin, deadLetterTo);
    if (sent !== undefined || !deadLetter) return sent;
    const queue = await this.#parts.queueFor(entry.source);
    const message = this.#message(record, origin, death.subject, historyWith(record, death));
    return this.#move(message, [queue], record, state);
  }

  /** Undefined when it leads nowhere from there. */
  #send(
    record: StoredRecord,
    state: DeliveryState,
    death: Death & { readonly subject: string },
    origin: Origin,
    to: DeadLetterTarget,
  ): Burial | undefined {
    const history = historyWith(record, { ...death, to });
    // It is new where it comes to: its age begins there.
    const timestampMs = this.#parts.clock.nowMs();
    const message = {
      ...this.#message(record, origin, to.subject ?? death.subject, history),
      timestampMs,
    };
    try {
      const destinations = this.#destinations(message, to).filter(
        ({ kind, name }) => kind === "topic" || !isCircle(name, history),
      );
      if (destinations.length === 0) return undefined;
      return this.#move(message, destinations, record, state);
    } catch (error) {
      if (NEVER_TAKEN.some((code) => isBrokerError(error, code))) return undefined;
      throw error;
    }
  }

  #destinations(message: OutgoingMessage, { kind, name }: DeadLetterTarget): readonly Destination[] {
    if (kind === "exchange") return this.#parts.routing.route(message, name).destinations;
    const queue = this.#parts.queue(name);
    return queue === undefined ? [] : [queue];
  }

  #message(
    record: StoredRecord,
    origin: Origin,
    subject: string,
    history: readonly DeadLetterEntry[],
  ): OutgoingMessage {
    const more: Header[] = [[SUBJECT_HEADER, subject]];
    if (record.header(ID_HEADER) === undefined)
      more.push([ID_HEADER, placeId(origin.name, origin.partition, record.offset)]);
    const headers = headersWithDeath(record, more, history);
    const { key, value, timestampMs } = record;
    return { subject, key, value, headers, expiresAtMs: 0, timestampMs, priority: priorityOf(record) };
  }

  #move(
    message: OutgoingMessage,
    destinations: readonly Destination[],
    { offset }: StoredRecord,
    state: DeliveryState,
  ): Burial {
    const { store, settlements } = this.#parts;
    let appended: readonly Appended[] = [];
    store.atomically(() => {
      appended = handOver(store, destinations, message);
      settlements.appendSettled(state, offset);
    });
    // Only asked for when the step is done: an append that is taken back rejects.
    return { committed: Promise.all(appended.map(({ committed }) => committed)) };
  }

  /** Dead letters that are still there, oldest first; of one source, or one source after the other. */
  async *list(source?: string): AsyncGenerator<DeadLetter> {
    for (const queue of this.#parts.queues()) {
      if (source !== undefined && queue.deadLettersOf !== source) continue;
      for await (const message of queue.browse())
        yield { ...message, queue, history: deadLetterHistory(message.record) };
    }
  }

  /** Sends messages back to where they came from, each atomically with its removal here. Returns how many went back. */
  replay(letters: readonly DeadLetter[]): Promise<number> {
    return this.#inSteps(letters, async (step) => {
      const targets = new Map<Queue, ReturnTarget>();
      for (const { queue } of step)
        if (!targets.has(queue)) targets.set(queue, await this.#parts.returnTo(sourceOf(queue)));
      const move = ({ queue, record }: DeadLetter, nowMs: number): PendingAppend =>
        targets.get(queue)!.appendReturned(record, nowMs);
      return await this.#settleAll(step, "settled", move);
    });
  }

  /** Removes messages for good. Resolves, when that is stored, with how many were removed. */
  discard(letters: readonly DeadLetter[]): Promise<number> {
    return this.#inSteps(letters, (step) => this.#settleAll(step, "dropped", undefined));
  }

  /** Settles those that still wait, with what `move` appends, as one atomic step. Returns how many that were. */
  async #settleAll(
    letters: readonly DeadLetter[],
    counter: "settled" | "dropped",
    move: ((letter: DeadLetter, nowMs: number) => PendingAppend) | undefined,
  ): Promise<number> {
    const waiting = stillWaiting(letters);
    const nowMs = this.#parts.clock.nowMs();
    const pending = new Set<PendingAppend | undefined>();
    this.#parts.store.atomically(() => {
      for (const letter of waiting) {
        pending.add(move?.(letter, nowMs));
        pending.add(this.#parts.settlements.appendSettled(letter.state, letter.record.offset));
      }
    });
    await Promise.all([...pending].map((append) => append?.committed));
    for (const letter of waiting) letter.queue.removeWaiting(letter, counter);
    return waiting.length;
  }

  #inSteps(
    letters: readonly DeadLetter[],
    act: (step: readonly DeadLetter[]) => Promise<number>,
  ): Promise<number> {
    return this.#inTurn(async () => {
      let done = 0;
      for (const step of steps(letters)) done += await act(step);
      return done;
    });
  }

  /** One replay or discard at a time: a dead letter goes back once, however often it is asked for. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(step);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }
}

function* steps(letters: readonly DeadLetter[]): Generator<DeadLetter[]> {
  let step: DeadLetter[] = [];
  let bytes = 0;
  for (const letter of letters) {
    if (step.length >= STEP_COUNT || (step.length > 0 && bytes + letter.record.sizeBytes > STEP_BYTES)) {
      yield step;
      step = [];
      bytes = 0;
    }
    step.push(letter);
    bytes += letter.record.sizeBytes;
  }
  if (step.length > 0) yield step;
}

/** Those that are neither settled nor in flight, each once. */
function stillWaiting(letters: readonly DeadLetter[]): DeadLetter[] {
  const seen = new Map<DeliveryState, Set<number>>();
  return letters.filter(({ state, record: { offset } }) => {
    if (!state.isWaiting(offset)) return false;
    const offsets = seen.get(state) ?? new Set();
    seen.set(state, offsets);
    if (offsets.has(offset)) return false;
    offsets.add(offset);
    return true;
  });
}

function sourceOf(queue: Queue): string {
  return queue.deadLettersOf ?? queue.name;
}
