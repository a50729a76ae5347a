// The last message of each subject for which one was to be kept: in one compacted log, the subject being the key. What is
// in memory is where each of them lies. The format is described in docs/formats/retained.md.

import { BrokerError, isBrokerError } from "../broker-error.js";
import { type PatternNode, PatternTrie } from "../collections/pattern-trie.js";
import type { Clock } from "../io/io.js";
import type { Durability, Log } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { StoredRecord } from "../log/record.js";
import { appendHeaders, NO_HEADERS } from "../log/record-headers.js";
import { Appended } from "./appended.js";
import { type LiveMessage, RETAINED_KEY_HEADER, RetainedMessage } from "./live-message.js";
import { EXPIRES_AT_HEADER, type OutgoingMessage, timeHeader } from "./message.js";
import { RecordCursor } from "./record-cursor.js";
import { parsePattern, parseSubject } from "./subject.js";

const LOG_NAME = "retained";
/** Only what is not written to any more is compacted. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** How many subjects may have a retained message, unless said otherwise. */
export const RETAINED_MAX = 100_000;

/** What retained messages are built on. */
export interface RetainedParts {
  readonly clock: Clock;
  readonly store: LogStore;
  readonly durability: Durability;
  /** Subjects, at most. */
  readonly subjectsMax: number;
  readonly onError: (error: unknown, where: string) => void;
}

/** Where the last message of a subject lies. */
interface Place {
  readonly subject: string;
  offset: number;
  /** 0 for never. */
  expiresAtMs: number;
}

export class RetainedMessages {
  readonly #parts: RetainedParts;
  readonly #places = new Map<string, Place>();
  readonly #bySubject = new PatternTrie<Place>();
  /** Subjects on their way to the log that are not in it yet. */
  readonly #arriving = new Set<string>();
  #opening: Promise<Log> | undefined = undefined;
  #log: Log | undefined = undefined;
  #cursor: RecordCursor | undefined = undefined;
  /** Every record before it is accounted for. */
  #next = 0;
  #failure: unknown = undefined;

  constructor(parts: RetainedParts) {
    this.#parts = parts;
  }

  /** How many subjects have one, as far as that is known. */
  get count(): number {
    return this.#places.size;
  }

  /** Opens the log if there is one. What is in it is learned when that is asked for. Errors: those of opening a log. */
  async openExisting(): Promise<void> {
    if (this.#exists) await this.#open();
  }

  /** Makes or finds the log and learns what is in it. {@link append} needs it. Errors: those of opening and reading a log. */
  async open(): Promise<void> {
    await this.#followToEnd(await this.#open());
  }

  /**
   * Keeps the message in the place of the one before, without delay; an empty body ends that its subject has one. Undefined
   * when there was none to end. Errors: INVALID_SUBJECT, RETAINED_FULL, those of the log.
   */
  append(message: OutgoingMessage): Appended | undefined {
    const { subject, key, value, timestampMs } = message;
    parseSubject(subject);
    if (value === null || value.length === 0) return this.#end(subject, timestampMs);
    this.#assertRoom(subject);
    this.#arriving.add(subject);
    // The record's key is the subject.
    const headers =
      key === null ? message.headers : appendHeaders(message.headers, [[RETAINED_KEY_HEADER, key]]);
    const log = this.#opened();
    return new Appended(LOG_NAME, undefined, log.append(timestampMs, subject, value, headers));
  }

  /**
   * Those whose subject matches, in the order in which they were published. `isFollowed` is for who sees from this call on
   * what is published: one that is replaced after it is then not given. Errors: INVALID_SUBJECT; while reading LOG_CORRUPT,
   * STORAGE_FAILED, CLOSED.
   */
  read(pattern: string, isFollowed = false): AsyncGenerator<LiveMessage, void, undefined> {
    const end = isFollowed ? (this.#log?.highWatermark ?? 0) : Number.POSITIVE_INFINITY;
    return this.#read(parsePattern(pattern), end);
  }

  /** Forgets those whose subject matches. Resolves with how many when that is stored. Errors: INVALID_SUBJECT, those of the log. */
  async clear(pattern: string): Promise<number> {
    const nodes = parsePattern(pattern);
    if (!this.#exists) return 0;
    await this.#catchUp();
    return await this.#endAll(this.#matching(nodes));
  }

  /** Forgets what has expired, and compacts the log. */
  async maintain(nowMs: number): Promise<void> {
    const log = this.#log;
    if (log === undefined) return;
    const expired = [...this.#places.values()].filter((place) => isExpired(place, nowMs));
    await this.#endAll(expired);
    await log.compact();
  }

  get #exists(): boolean {
    return this.#log !== undefined || this.#parts.store.hasLog(LOG_NAME);
  }

  #open(): Promise<Log> {
    this.#opening ??= this.#openLog().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #openLog(): Promise<Log> {
    const { store, durability } = this.#parts;
    const options = { durability, segmentBytes: SEGMENT_BYTES, compact: true, tombstoneAgeMs: 0 };
    const log = await store.openLog(LOG_NAME, options);
    this.#cursor = new RecordCursor(log, (error) => this.#fetched(error));
    this.#next = log.logStartOffset;
    this.#log = log;
    log.onCommit = () => this.#follow();
    return log;
  }

  #opened(): Log {
    if (this.#log === undefined) throw new Error("retained messages are opened before one is appended");
    return this.#log;
  }

  async #catchUp(): Promise<Log> {
    const log = await this.#open();
    await log.refresh();
    await this.#followToEnd(log);
    return log;
  }

  async #followToEnd(log: Log): Promise<void> {
    const end = log.highWatermark;
    for (this.#follow(); this.#next < end; this.#follow()) {
      await this.#cursor!.fetched();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** Called after each commit. It must not throw. */
  #follow(): void {
    const log = this.#log!;
    while (this.#next < log.highWatermark) {
      const record = this.#cursor!.at(this.#next);
      if (record === undefined) {
        if (!this.#cursor!.isFetching) this.#next = log.highWatermark;
        return;
      }
      this.#next = record.offset + 1;
      this.#take(record);
    }
  }

  #fetched(error: unknown): void {
    this.#failure = error;
    if (error === undefined) this.#follow();
    else if (!isBrokerError(error, "CLOSED")) this.#parts.onError(error, "reading retained messages");
  }

  #take(record: StoredRecord): void {
    const subject = record.keyText() ?? "";
    this.#arriving.delete(subject);
    const place = this.#places.get(subject);
    if (record.value === null) {
      if (place !== undefined) this.#forget(place);
      return;
    }
    const { offset } = record;
    const expiresAtMs = timeHeader(record, EXPIRES_AT_HEADER);
    if (place !== undefined) {
      place.offset = offset;
      place.expiresAtMs = expiresAtMs;
      return;
    }
    const added: Place = { subject, offset, expiresAtMs };
    this.#places.set(subject, added);
    this.#bySubject.add(parseSubject(subject), added);
  }

  #forget(place: Place): void {
    this.#places.delete(place.subject);
    this.#bySubject.remove(parseSubject(place.subject), place);
  }

  #end(subject: string, timestampMs: number): Appended | undefined {
    if (!this.#places.has(subject) && !this.#arriving.has(subject)) return undefined;
    const pending = this.#opened().append(timestampMs, subject, null, NO_HEADERS);
    return new Appended(LOG_NAME, undefined, pending);
  }

  async #endAll(places: readonly Place[]): Promise<number> {
    const nowMs = this.#parts.clock.nowMs();
    const ended: Appended[] = [];
    this.#parts.store.atomically(() => {
      for (const { subject } of places) ended.push(this.#end(subject, nowMs)!);
    });
    await ended.at(-1)?.committed;
    return ended.length;
  }

  #assertRoom(subject: string): void {
    const { subjectsMax } = this.#parts;
    if (this.#places.size + this.#arriving.size < subjectsMax) return;
    if (this.#places.has(subject) || this.#arriving.has(subject)) return;
    // What was on its way and could not be committed does not count.
    const log = this.#opened();
    if (log.expectedOffset === this.#next) this.#arriving.clear();
    if (this.#places.size + this.#arriving.size < subjectsMax) return;
    throw new BrokerError(
      "RETAINED_FULL",
      `${subjectsMax} subjects have a retained message, which is the limit, and '${subject}' is another. Clear some, or open the engine with a larger retainedMax.`,
      { subject, subjectsMax },
    );
  }

  /** Where they lie at this moment. */
  #matching(nodes: readonly PatternNode[]): readonly Place[] {
    const found: Place[] = [];
    this.#bySubject.collectMatchedBy(nodes, found);
    return found.map((place) => ({ ...place })).sort((a, b) => a.offset - b.offset);
  }

  async *#read(nodes: readonly PatternNode[], end: number): AsyncGenerator<LiveMessage, void, undefined> {
    if (!this.#exists) return;
    const log = await this.#catchUp();
    const reader = new PlaceReader(log, (subject) => this.#places.get(subject)?.offset);
    for (const place of this.#matching(nodes)) {
      if (place.offset >= end || isExpired(place, this.#parts.clock.nowMs())) continue;
      const record = await reader.read(place);
      if (record !== undefined && record.offset < end) yield new RetainedMessage(place.subject, record);
    }
  }
}

/** Reads records one after the other, forward where possible. */
class PlaceReader {
  readonly #cursor: RecordCursor;
  readonly #offsetNow: (subject: string) => number | undefined;
  #failure: unknown = undefined;

  /** `offsetNow` says where the last message of a subject lies at that moment. */
  constructor(log: Log, offsetNow: (subject: string) => number | undefined) {
    this.#offsetNow = offsetNow;
    this.#cursor = new RecordCursor(log, (error) => {
      this.#failure = error;
    });
  }

  /** The record there; where compaction has removed it meanwhile, the one that took its place, if any. */
  async read({ subject, offset }: Place): Promise<StoredRecord | undefined> {
    for (let wanted: number | undefined = offset; wanted !== undefined; ) {
      const record: StoredRecord | undefined = await this.#at(wanted);
      if (record?.offset === wanted) return record;
      const now = this.#offsetNow(subject);
      wanted = now === wanted ? undefined : now;
    }
    return undefined;
  }

  async #at(offset: number): Promise<StoredRecord | undefined> {
    for (;;) {
      const record = this.#cursor.at(offset);
      if (record !== undefined || !this.#cursor.isFetching) return record;
      await this.#cursor.fetched();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }
}

function isExpired({ expiresAtMs }: Place, nowMs: number): boolean {
  return expiresAtMs !== 0 && expiresAtMs <= nowMs;
}
