// Ids of messages that are remembered for a while, in a log of their own. The format is described in
// docs/formats/recent-ids.md.

import { BrokerError } from "../broker-error.js";
import { Ring } from "../collections/ring.js";
import type { Clock } from "../io/io.js";
import type { Log, LogOptions } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";
import { NO_HEADERS } from "../log/record-headers.js";
import type { Appended } from "./appended.js";
import { readRecords } from "./read-records.js";

/** Whole segments are deleted: small ones, so that the log stays near what is needed. */
const SEGMENT_BYTES = 1024 * 1024;

/** Where a message was stored, and when it was sent. */
export interface Place {
  /** Of a topic, or the level of a queue with priorities. */
  readonly partition: number | undefined;
  readonly offset: number;
  readonly timestampMs: number;
}

/** One id that is remembered. */
export class RecentId {
  readonly id: string;
  readonly rememberedAtMs: number;
  /** Undefined where only the id matters. */
  place: Place | undefined;
  /** Its message, until that is committed: only then its offset is certain. */
  appended: Appended | undefined;
  /** Of its own record, until that is committed. */
  pending: PendingAppend | undefined;
  index: number;

  constructor(id: string, rememberedAtMs: number, place: Place | undefined) {
    this.id = id;
    this.rememberedAtMs = rememberedAtMs;
    this.place = place;
    this.appended = undefined;
    this.pending = undefined;
    this.index = 0;
  }
}

export interface RecentIdsOptions {
  /** How long an id is remembered. */
  readonly windowMs: number;
  /** How many are remembered at most: the oldest are forgotten. */
  readonly idsMax: number;
}

export class RecentIds {
  readonly log: Log;
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #idsMax: number;
  readonly #byId = new Map<string, RecentId>();
  /** In the order in which they were remembered. Some may have been forgotten, or remembered anew, since. */
  readonly #order = new Ring<RecentId>();
  /** Those whose records are not committed yet, in the order of those. */
  readonly #uncommitted: RecentId[] = [];

  private constructor(log: Log, clock: Clock, { windowMs, idsMax }: RecentIdsOptions) {
    this.log = log;
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#idsMax = idsMax;
    log.onCommit = () => this.#committed();
  }

  /** Reads what is still to be remembered. Errors: LOG_CORRUPT. */
  static async open(log: Log, clock: Clock, options: RecentIdsOptions): Promise<RecentIds> {
    const ids = new RecentIds(log, clock, options);
    const from = await log.offsetAtTime(clock.nowMs() - options.windowMs);
    if (from === undefined) return ids;
    for await (const record of readRecords(log, from, log.highWatermark)) {
      const place = record.value === null ? undefined : placeOf(log, record.offset, record.valueText());
      ids.#add(new RecentId(record.keyText() ?? "", record.timestampMs, place));
    }
    return ids;
  }

  static logOptions(
    durability: LogOptions["durability"],
    { windowMs, idsMax }: RecentIdsOptions,
  ): LogOptions {
    return { durability, segmentBytes: SEGMENT_BYTES, retention: { ageMs: windowMs, count: idsMax } };
  }

  /** How many are remembered. */
  get size(): number {
    return this.#byId.size;
  }

  /** Undefined when the id was not remembered within the window, or what remembered it was taken back or failed. */
  find(id: string): RecentId | undefined {
    const known = this.#byId.get(id);
    if (known === undefined) return undefined;
    if (isStanding(known) && this.#clock.nowMs() - known.rememberedAtMs < this.#windowMs) return known;
    this.#byId.delete(id);
    return undefined;
  }

  /**
   * Remembers the id with the commit that is being gathered: within an atomic step, with what it is remembered for.
   * `appended` is the message that is at `place` if nothing before it fails. Errors: those of the log.
   */
  remember(id: string, place: Place | undefined, appended: Appended | undefined): PendingAppend {
    const known = new RecentId(id, this.#clock.nowMs(), place);
    known.appended = appended;
    const pending = this.#append(known);
    known.pending = pending;
    known.index = pending.recordCount - 1;
    this.#uncommitted.push(known);
    this.#add(known);
    return pending;
  }

  #append({ id, rememberedAtMs, place }: RecentId): PendingAppend {
    const value = place === undefined ? null : JSON.stringify(storedPlace(place));
    const pending = this.log.append(rememberedAtMs, id, value, NO_HEADERS);
    // Those at or behind the place of this record were taken back.
    for (let last = this.#uncommitted.at(-1); last !== undefined; last = this.#uncommitted.at(-1)) {
      if (last.pending !== pending || last.index < pending.recordCount - 1) break;
      this.#uncommitted.pop();
      this.#forget(last);
    }
    return pending;
  }

  #add(known: RecentId): void {
    this.#byId.set(known.id, known);
    this.#order.push(known);
    const expiredMs = this.#clock.nowMs() - this.#windowMs;
    for (let oldest = this.#order.peek(); oldest !== undefined; oldest = this.#order.peek()) {
      if (this.#order.size <= this.#idsMax && oldest.rememberedAtMs > expiredMs) return;
      this.#order.shift();
      this.#forget(oldest);
    }
  }

  #forget(known: RecentId): void {
    if (this.#byId.get(known.id) === known) this.#byId.delete(known.id);
  }

  #committed(): void {
    let ended = 0;
    while (ended < this.#uncommitted.length && this.#uncommitted[ended]!.pending!.state !== "pending")
      ended += 1;
    for (const known of this.#uncommitted.splice(0, ended)) {
      if (!isStanding(known)) this.#forget(known);
      else this.#settle(known);
    }
  }

  /** Its message has its offset now. Seldom, another one than expected: something before it could not be committed. */
  #settle(known: RecentId): void {
    const { appended, place } = known;
    known.pending = undefined;
    known.appended = undefined;
    if (appended === undefined || place === undefined || appended.offset === place.offset) return;
    known.place = { ...place, offset: appended.offset };
    try {
      // Only what a duplicate is told is at stake.
      this.#append(known).committed.catch(() => undefined);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
    }
  }
}

/** Whether its record is committed, or will be: neither failed nor taken back. */
function isStanding({ pending, index }: RecentId): boolean {
  if (pending === undefined) return true;
  return pending.state !== "failed" && index < pending.recordCount;
}

interface StoredPlace {
  readonly p?: number;
  readonly o: number;
  readonly t: number;
}

function storedPlace({ partition, offset, timestampMs }: Place): StoredPlace {
  return { ...(partition === undefined ? {} : { p: partition }), o: offset, t: timestampMs };
}

/** Errors: LOG_CORRUPT. */
function placeOf(log: Log, at: number, text: string): Place {
  let cause: unknown;
  try {
    const { p, o, t } = JSON.parse(text) as Partial<StoredPlace>;
    if (typeof o === "number" && typeof t === "number") return { partition: p, offset: o, timestampMs: t };
  } catch (error) {
    cause = error;
  }
  throw new BrokerError(
    "LOG_CORRUPT",
    `Record ${at} of the log ${log.name} does not say where a message is.`,
    { log: log.name, offset: at },
    cause,
  );
}
