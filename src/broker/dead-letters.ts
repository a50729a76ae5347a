// The dead letters of every queue and subscription: moving messages there, looking at them, sending them back.

import type { Clock } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import type { Header } from "../log/record-headers.js";
import { placeId } from "./appended.js";
import { type DeadLetterEntry, deadLetterHistory, headersWithDeath } from "./dead-letter.js";
import type { DeliveryState } from "./delivery-state.js";
import { ID_HEADER, SUBJECT_HEADER } from "./message.js";
import type { Queue } from "./queue.js";
import type { SettlementLog } from "./settlement-log.js";

/** How many dead letters one atomic step sends back. */
const REPLAY_STEP = 500;

/** A message among the dead letters of `queue`. */
export interface DeadLetter {
  readonly queue: Queue;
  readonly record: StoredRecord;
  /** All its deaths, the latest last. */
  readonly history: readonly DeadLetterEntry[];
}

/** Where a message was first stored: what its id and subject say when it was given none. */
export interface Origin {
  readonly name: string;
  /** Of a topic; undefined for a queue. */
  readonly partition: number | undefined;
}

/** What dead letters are built on. */
export interface DeadLettersParts {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly settlements: SettlementLog;
  /** All queues of dead letters. */
  readonly queues: () => Queue[];
  /** The queue of dead letters of a source, made when it is not there. */
  readonly queueFor: (source: string) => Promise<Queue>;
  /** The log to which a source's replayed dead letters are appended. */
  readonly returnTo: (source: string) => Promise<Log>;
}

export class DeadLetters {
  readonly #parts: DeadLettersParts;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(parts: DeadLettersParts) {
    this.#parts = parts;
  }

  /** Stores the dead letter and, in the same atomic step, that the message is settled where it was. */
  async bury(
    record: StoredRecord,
    state: DeliveryState,
    entry: DeadLetterEntry,
    origin: Origin,
  ): Promise<void> {
    const queue = await this.#parts.queueFor(entry.source);
    const more: Header[] = [];
    if (record.header(ID_HEADER) === undefined)
      more.push([ID_HEADER, placeId(origin.name, origin.partition, record.offset)]);
    if (record.header(SUBJECT_HEADER) === undefined) more.push([SUBJECT_HEADER, origin.name]);
    const headers = headersWithDeath(record, more, entry);
    let committed: Promise<void> | undefined;
    this.#parts.store.atomically(() => {
      const message = {
        subject: "",
        key: record.key,
        value: record.value,
        headers,
        timestampMs: record.timestampMs,
      };
      committed = queue.append(message).committed;
      this.#parts.settlements.appendSettled(state, record.offset);
    });
    await committed;
  }

  /** Dead letters that are still there, oldest first; of one source, or one source after the other. */
  async *list(source?: string): AsyncGenerator<DeadLetter> {
    for (const queue of this.#parts.queues()) {
      if (source !== undefined && queue.deadLettersOf !== source) continue;
      for await (const record of queue.browse()) yield { queue, record, history: deadLetterHistory(record) };
    }
  }

  /** Sends messages back to where they came from, each atomically with its removal here. Returns how many went back. */
  replay(letters: readonly DeadLetter[]): Promise<number> {
    return this.#inTurn(async () => {
      let replayed = 0;
      for (let at = 0; at < letters.length; at += REPLAY_STEP) {
        replayed += await this.#replayStep(letters.slice(at, at + REPLAY_STEP));
      }
      return replayed;
    });
  }

  /** Removes messages for good. Returns how many were removed. */
  discard(letters: readonly DeadLetter[]): Promise<number> {
    return this.#inTurn(
      async () => letters.filter(({ queue, record }) => queue.state.settleWaiting(record)).length,
    );
  }

  async #replayStep(letters: readonly DeadLetter[]): Promise<number> {
    const waiting = letters.filter(({ queue, record }) => queue.state.isWaiting(record.offset));
    const targets = new Map<string, Log>();
    for (const { queue } of waiting) {
      const source = sourceOf(queue);
      if (!targets.has(source)) targets.set(source, await this.#parts.returnTo(source));
    }
    const nowMs = this.#parts.clock.nowMs();
    const pending = new Set<PendingAppend>();
    this.#parts.store.atomically(() => {
      for (const { queue, record } of waiting) {
        const log = targets.get(sourceOf(queue))!;
        pending.add(log.append(nowMs, record.key, record.value, record.headersEncoded()));
        this.#parts.settlements.appendSettled(queue.state, record.offset);
      }
    });
    await Promise.all([...pending].map(({ committed }) => committed));
    for (const { queue, record } of waiting) queue.state.settleWaiting(record);
    return waiting.length;
  }

  /** One replay or discard at a time: a dead letter goes back once, however often it is asked for. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(step);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }
}

function sourceOf(queue: Queue): string {
  return queue.deadLettersOf ?? queue.name;
}
