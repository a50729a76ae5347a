// The topic messages that a live subscription had no room for: read from the logs when there is room again.

import { isBrokerError } from "../broker-error.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { RecordCursor } from "./record-cursor.js";
import { SubjectFilter } from "./subject-filter.js";
import type { Topic } from "./topic.js";

/** A partition whose end is followed. */
export interface Followed {
  readonly topic: Topic;
  readonly partition: number;
  readonly log: Log;
  /** What was offered to all lies before it. */
  next: number;
  readonly cursor: RecordCursor;
}

/** Who catches up. */
export interface CatchingUp {
  readonly hasRoom: boolean;
  /** Called with records that match. */
  push(followed: Followed, record: StoredRecord): void;
  /** So many records were removed by retention before they were read. */
  lose(count: number): void;
}

interface Behind {
  next: number;
  readonly cursor: RecordCursor;
}

export class LiveCatchUp {
  readonly #owner: CatchingUp;
  readonly #filter: SubjectFilter;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #behind = new Map<Followed, Behind>();

  /** Errors: INVALID_SUBJECT. */
  constructor(pattern: string, owner: CatchingUp, onError: (error: unknown, where: string) => void) {
    this.#owner = owner;
    this.#filter = new SubjectFilter([pattern]);
    this.#onError = onError;
  }

  /** Whether messages of this partition have to wait for earlier ones. */
  isBehind(followed: Followed): boolean {
    return this.#behind.size > 0 && this.#behind.has(followed);
  }

  /** There was no room for the message at this offset: it is read later, and so are those after it. */
  fallBehind(followed: Followed, offset: number): void {
    const cursor = new RecordCursor(followed.log, (error) => this.#fetched(followed, error));
    this.#behind.set(followed, { next: offset, cursor });
  }

  /** Reads as much as there is room for. */
  run(): void {
    for (const [followed, behind] of this.#behind) {
      this.#read(followed, behind);
      if (!this.#owner.hasRoom) return;
    }
  }

  close(): void {
    this.#behind.clear();
  }

  #read(followed: Followed, behind: Behind): void {
    const { log, topic } = followed;
    while (this.#owner.hasRoom && behind.next < followed.next) {
      if (behind.next < log.logStartOffset) {
        this.#owner.lose(Math.min(log.logStartOffset, followed.next) - behind.next);
        behind.next = log.logStartOffset;
        continue;
      }
      const record = behind.cursor.at(behind.next);
      if (record === undefined && behind.cursor.isFetching) return;
      behind.next = record === undefined ? followed.next : record.offset + 1;
      // What was not offered to others yet is not offered here either.
      if (record === undefined || record.offset >= followed.next) break;
      if (this.#filter.passes(record, topic.name)) this.#owner.push(followed, record);
    }
    if (behind.next >= followed.next) this.#behind.delete(followed);
  }

  #fetched(followed: Followed, error: unknown): void {
    const behind = this.#behind.get(followed);
    if (behind === undefined || isBrokerError(error, "CLOSED")) return;
    if (error !== undefined && !isBrokerError(error, "OFFSET_OUT_OF_RANGE")) {
      this.#onError(error, `reading ${followed.topic.name} for a live subscription`);
      this.#owner.lose(followed.next - behind.next);
      behind.next = followed.next;
    }
    this.run();
  }
}
