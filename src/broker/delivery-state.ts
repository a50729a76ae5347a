// What became of each message of one log: never looked at, waiting again, held back until a time, in flight, settled.
// Knows no consumers; the dispatcher hands out what this says is next.

import { DueHeap } from "../collections/due-heap.js";
import { RangeSet } from "../collections/range-set.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { KeyLanes } from "./key-lanes.js";
import { EXPIRES_AT_HEADER, READY_AT_HEADER, timeHeader } from "./message.js";
import { RecordCursor } from "./record-cursor.js";

/** What is remembered of a message that was tried and not settled. */
export interface Failure {
  /** How often it was handed out and not acknowledged. */
  readonly attempts: number;
  /** 0 when it may be handed out at once. */
  readonly readyAtMs: number;
  readonly error: string;
  readonly firstFailedAtMs: number;
}

/** How many failed messages may wait for another try before no further ones are handed out for the first time. */
const FAILURES_MAX = 100_000;

/** How far the watermark moves before settled segments are looked for. */
const TRIM_STEP = 4096;

/** Changes since they were last taken, as they are stored; see `docs/formats/settlements.md`. */
export interface DeliveryStateChanges {
  /** The first offset that was never looked at. */
  n: number;
  /** Ranges that were settled. */
  s?: [start: number, end: number][];
  /** Offsets below `n` that are neither settled nor in flight: waiting again or held back. Replaces what was said before. */
  w?: [start: number, end: number][];
  /** Failures that changed: offset, attempts, ready at, error, first failed at. */
  f?: [offset: number, attempts: number, readyAtMs: number, error: string, firstFailedAtMs: number][];
}

/** Why {@link DeliveryState.next} gave a record that must not be delivered. */
export type Verdict = "deliver" | "expired";

/**
 * The delivery state of one log: its cursor, settled ranges, returned and delayed messages, failures, key lanes.
 * Every offset below the cursor is settled, returned, delayed, waiting in a lane, or in flight.
 */
export class DeliveryState {
  readonly log: Log;
  /** Whether the log holds messages for this state alone, so that settled ones can be deleted. */
  readonly ownsLog: boolean;
  /** Body bytes of the messages that were settled since the broker was opened. */
  settledBodyBytes = 0;
  /** Under which its changes are stored. Unique in a broker. */
  readonly name: string;
  /** Of the topic; undefined for a log that is no partition. */
  readonly partition: number | undefined;
  /** Settled ranges, beginning with `[0, watermark)`. */
  readonly #settled = new RangeSet();
  /** The first offset that was never looked at. */
  #cursor = 0;
  /** Below the cursor and ready: nacked, lease lost, recovered, delay over, turn come. */
  readonly #returned = new RangeSet();
  readonly #delayed = new DueHeap();
  readonly #failures = new Map<number, Failure>();
  /** Below the cursor, and neither settled nor in flight: the returned, the delayed and those waiting in a lane. */
  readonly #held = new RangeSet();
  #lanes: KeyLanes | undefined = undefined;
  readonly #ahead: RecordCursor;
  readonly #behind: RecordCursor;
  readonly #unsavedSettled = new RangeSet();
  readonly #unsavedFailures = new Set<number>();
  #isHeldChanged = false;
  #isUnsaved = false;
  #trimmedTo = 0;
  readonly #onChanged: (state: DeliveryState) => void;
  /** What the last {@link DeliveryState.next} says about its record. */
  verdict: Verdict = "deliver";
  /** Messages of the log that retention removed before they were settled. */
  lostToRetention = 0;

  constructor(
    name: string,
    partition: number | undefined,
    log: Log,
    ownsLog: boolean,
    onFetched: (error: unknown) => void,
    onChanged: (state: DeliveryState) => void,
  ) {
    this.name = name;
    this.partition = partition;
    this.log = log;
    this.ownsLog = ownsLog;
    this.#ahead = new RecordCursor(log, onFetched);
    this.#behind = new RecordCursor(log, onFetched);
    this.#onChanged = onChanged;
  }

  /** Every offset below is settled. */
  get watermark(): number {
    return this.#settled.endOfRangeAt(0);
  }

  get cursor(): number {
    return this.#cursor;
  }

  /** Messages that are not settled: waiting, held back, or in flight. */
  get unsettledCount(): number {
    return this.log.highWatermark - this.#settled.size;
  }

  get delayedCount(): number {
    return this.#delayed.size;
  }

  /** Whether a record could be handed out at `nowMs`, were it in memory. */
  hasReady(nowMs: number): boolean {
    if (this.#returned.size > 0 || this.#delayed.nextDue <= nowMs) return true;
    return this.#cursor < this.log.highWatermark && !this.#isHeldUp();
  }

  /** When the next delayed message becomes ready, in wall-clock milliseconds; Infinity when there is none. */
  get nextDueMs(): number {
    return this.#delayed.nextDue;
  }

  /** Delivers each key's messages one at a time from now on. */
  orderByKey(): void {
    this.#lanes ??= new KeyLanes();
  }

  /** Begins at `offset` as if everything before it were settled. For a subscription that has just been made. */
  startAt(offset: number): void {
    this.#settled.addRange(0, offset);
    this.#unsavedSettled.addRange(0, offset);
    this.#cursor = Math.max(this.#cursor, offset);
    this.#changed();
  }

  /**
   * Hot: takes the next record that is ready, or undefined: nothing is ready, or it is being fetched. What it returns
   * is in flight until {@link settle}, {@link giveBack} or {@link holdUntil}. See {@link verdict}.
   */
  next(nowMs: number): StoredRecord | undefined {
    if (this.#delayed.nextDue <= nowMs) this.#releaseDelayed(nowMs);
    if (this.log.logStartOffset > this.#cursor || this.#returned.first >= 0) {
      this.#skipRemoved();
      const record = this.#nextReturned(nowMs);
      if (record !== undefined || this.#returned.size > 0) return record;
    }
    return this.#nextAhead(nowMs);
  }

  attemptsOf(offset: number): number {
    return this.#failures.size === 0 ? 0 : (this.#failures.get(offset)?.attempts ?? 0);
  }

  failureOf(offset: number): Failure | undefined {
    return this.#failures.get(offset);
  }

  /** Hot: the message is done. */
  settle(record: StoredRecord): void {
    const offset = record.offset;
    this.#settled.add(offset);
    this.#unsavedSettled.add(offset);
    this.settledBodyBytes += record.valueSizeBytes;
    if (this.#failures.size > 0) this.#failures.delete(offset);
    if (this.#lanes !== undefined) this.#passTurn(record, offset);
    this.#changed();
  }

  /** The message was in flight and is ready again, ahead of later ones. A `failure` counts as a try. */
  giveBack(offset: number, failure: Failure | undefined): void {
    this.#remember(offset, failure);
    this.#hold(offset);
    this.#returned.add(offset);
    this.#changed();
  }

  /** The message was in flight and must wait. With `keepsTurn` its key waits with it; else later ones of its key overtake. */
  holdUntil(record: StoredRecord, readyAtMs: number, failure: Failure | undefined, keepsTurn: boolean): void {
    const offset = record.offset;
    this.#remember(offset, failure);
    this.#hold(offset);
    this.#delayed.push(readyAtMs, offset);
    if (!keepsTurn && this.#lanes !== undefined) this.#passTurn(record, offset);
    this.#changed();
  }

  /** The oldest message that is not in flight; undefined when there is none, or it is not in memory yet. */
  peekOldest(): StoredRecord | undefined {
    this.#skipSettled();
    const offset = this.#held.size > 0 ? this.#held.first : this.#cursor;
    return offset < this.log.highWatermark
      ? this.#behind.at(Math.max(offset, this.log.logStartOffset))
      : undefined;
  }

  /** Takes the oldest message in flight, so that it can be dropped. See {@link peekOldest}. */
  takeOldest(): StoredRecord | undefined {
    const record = this.peekOldest();
    if (record === undefined) return undefined;
    const offset = record.offset;
    if (this.#held.has(offset)) {
      this.#unhold(offset);
      this.#returned.removeRange(offset, offset + 1);
    } else {
      this.#advanceTo(offset);
      this.#cursor = offset + 1;
    }
    return record;
  }

  /** Whether the message is neither settled nor in flight. */
  isWaiting(offset: number): boolean {
    return this.#held.has(offset) || (offset >= this.#cursor && !this.#settled.has(offset));
  }

  /** Settles a message that is not in flight; false when it is, or was settled before. */
  settleWaiting(record: StoredRecord): boolean {
    const offset = record.offset;
    if (!this.isWaiting(offset)) return false;
    if (this.#held.has(offset)) this.#unhold(offset);
    this.#returned.removeRange(offset, offset + 1);
    this.settle(record);
    return true;
  }

  /** Ranges of offsets that are not settled, in order: waiting, held back, or in flight. */
  unsettledRanges(): [start: number, end: number][] {
    return this.#unsettledBelow(this.log.highWatermark).toPairs();
  }

  /** Lets the log delete whole segments of settled messages. */
  trimLog(onError: (error: unknown, where: string) => void): void {
    const watermark = this.watermark;
    if (watermark < this.#trimmedTo + TRIM_STEP && watermark < this.log.highWatermark) return;
    if (watermark === this.#trimmedTo) return;
    this.#trimmedTo = watermark;
    this.log
      .deleteBefore(watermark)
      .catch((error: unknown) => onError(error, `deleting settled messages of ${this.name}`));
  }

  /** Settles everything that is not in flight and returns how many that were. */
  purge(): number {
    const before = this.#settled.size;
    for (const [start, end] of this.#held.toPairs()) this.#settleRange(start, end);
    this.#settleRange(this.#cursor, this.log.highWatermark);
    this.#cursor = this.log.highWatermark;
    this.#held.clear();
    this.#returned.clear();
    this.#delayed.clear();
    this.#failures.clear();
    this.#lanes?.clear();
    this.#isHeldChanged = true;
    this.#changed();
    return this.#settled.size - before;
  }

  /** What has changed since the last call, to be stored. */
  takeChanges(): DeliveryStateChanges {
    const changes: DeliveryStateChanges = { n: this.#cursor };
    if (this.#unsavedSettled.size > 0) changes.s = this.#unsavedSettled.toPairs();
    if (this.#isHeldChanged) changes.w = this.#held.toPairs();
    if (this.#unsavedFailures.size > 0) changes.f = this.#storedFailures(this.#unsavedFailures);
    this.#unsavedSettled.clear();
    this.#unsavedFailures.clear();
    this.#isHeldChanged = false;
    this.#isUnsaved = false;
    return changes;
  }

  /** Everything, so that what was stored before is no longer needed. */
  snapshot(): DeliveryStateChanges {
    this.takeChanges();
    return {
      n: this.#cursor,
      s: this.#settled.toPairs(),
      w: this.#held.toPairs(),
      f: this.#storedFailures(this.#failures.keys()),
    };
  }

  /** Applies stored changes, in the order in which they were stored. Call {@link recover} after the last. */
  apply(changes: DeliveryStateChanges): void {
    this.#cursor = Math.max(this.#cursor, changes.n);
    for (const [start, end] of changes.s ?? []) this.#settled.addRange(start, end);
    if (changes.w !== undefined) {
      this.#held.clear();
      for (const [start, end] of changes.w) this.#held.addRange(start, end);
    }
    for (const [offset, attempts, readyAtMs, error, firstFailedAtMs] of changes.f ?? []) {
      this.#failures.set(offset, { attempts, readyAtMs, error, firstFailedAtMs });
    }
  }

  /** After a restart: what was in flight is ready again, counted as one try that did not come back. */
  recover(nowMs: number): void {
    // Settlements are written behind: they may speak of records that a power failure undid.
    const end = this.log.highWatermark;
    this.#settled.removeRange(end, Number.MAX_SAFE_INTEGER);
    this.#settled.addRange(0, Math.min(this.log.logStartOffset, end));
    this.#cursor = Math.min(Math.max(this.#cursor, this.watermark), end);
    const unsettled = this.#unsettledBelow(this.#cursor);
    for (const offset of this.#failures.keys())
      if (this.#settled.has(offset) || offset >= end) this.#failures.delete(offset);
    for (const [start, stop] of unsettled.toPairs()) this.#recoverRange(start, stop, nowMs);
    this.#isHeldChanged = true;
    this.#changed();
  }

  #recoverRange(start: number, end: number, nowMs: number): void {
    for (let offset = start; offset < end; offset += 1) {
      const heldUntil = this.#held.endOfRangeAt(offset);
      if (heldUntil > offset) {
        offset = heldUntil - 1;
        continue;
      }
      const earlier = this.#failures.get(offset);
      this.#remember(offset, {
        attempts: (earlier?.attempts ?? 0) + 1,
        readyAtMs: 0,
        error: earlier?.error ?? "the process ended while the message was in flight",
        firstFailedAtMs: earlier?.firstFailedAtMs ?? nowMs,
      });
    }
    this.#held.addRange(start, end);
    this.#returned.addRange(start, end);
  }

  #unsettledBelow(cursor: number): RangeSet {
    const unsettled = new RangeSet();
    unsettled.addRange(0, cursor);
    for (const [start, end] of this.#settled.toPairs()) unsettled.removeRange(start, end);
    return unsettled;
  }

  #nextReturned(nowMs: number): StoredRecord | undefined {
    for (let offset = this.#returned.first; offset >= 0; offset = this.#returned.first) {
      const record = this.#behind.at(offset);
      if (record === undefined && this.#behind.isFetching) return undefined;
      this.#returned.takeFirst();
      if (record === undefined || record.offset !== offset) {
        this.#unhold(offset);
        this.#settleRange(offset, offset + 1);
        continue;
      }
      const failure = this.#failures.get(offset);
      if (this.#isAdmitted(record, failure?.readyAtMs ?? 0, nowMs)) {
        this.#unhold(offset);
        return record;
      }
    }
    return undefined;
  }

  #nextAhead(nowMs: number): StoredRecord | undefined {
    while (this.#cursor < this.log.highWatermark && !this.#isHeldUp()) {
      this.#skipSettled();
      if (this.#cursor >= this.log.highWatermark) return undefined;
      const record = this.#ahead.at(this.#cursor);
      if (record === undefined) {
        if (!this.#ahead.isFetching) this.#advanceTo(this.log.highWatermark);
        return undefined;
      }
      this.#advanceTo(record.offset);
      const offset = this.#cursor;
      this.#cursor = offset + 1;
      this.#changed();
      if (this.#isAdmitted(record, 0, nowMs)) return record;
      this.#hold(offset);
    }
    return undefined;
  }

  /** Hot: messages may have been settled before they were looked at, but seldom are. */
  #skipSettled(): void {
    if (this.#settled.rangeCount > 1) this.#cursor = this.#settled.endOfRangeAt(this.#cursor);
  }

  /** Whether `record` may be handed out; when not, it is now in the delayed messages or in a lane. Sets the verdict. */
  #isAdmitted(record: StoredRecord, retryAtMs: number, nowMs: number): boolean {
    const offset = record.offset;
    if (this.#lanes !== undefined) {
      const key = record.keyText();
      if (key !== null && !this.#lanes.claim(key, offset)) return false;
    }
    const readyAtMs = Math.max(retryAtMs, timeHeader(record, READY_AT_HEADER));
    if (readyAtMs > nowMs) {
      this.#delayed.push(readyAtMs, offset);
      // A message that was delayed when it was sent does not hold its key up: it is not due.
      if (retryAtMs <= nowMs && this.#lanes !== undefined) this.#passTurn(record, offset);
      return false;
    }
    const expiresAtMs = timeHeader(record, EXPIRES_AT_HEADER);
    this.verdict = expiresAtMs !== 0 && expiresAtMs <= nowMs ? "expired" : "deliver";
    return true;
  }

  #isHeldUp(): boolean {
    return this.#failures.size >= FAILURES_MAX || this.#lanes?.isFull === true;
  }

  #releaseDelayed(nowMs: number): void {
    while (this.#delayed.nextDue <= nowMs) {
      const offset = this.#delayed.pop();
      if (this.#held.has(offset)) this.#returned.add(offset);
    }
  }

  #passTurn(record: StoredRecord, offset: number): void {
    const key = record.keyText();
    if (key === null) return;
    let next = this.#lanes!.release(key, offset);
    while (next >= 0 && !this.#held.has(next)) next = this.#lanes!.release(key, next);
    if (next >= 0) this.#returned.add(next);
  }

  /** Retention may have removed what was not looked at yet, or was waiting to be tried again. */
  #skipRemoved(): void {
    const start = this.log.logStartOffset;
    if (start <= this.watermark) return;
    const before = this.#settled.size;
    for (const [from, to] of this.#held.toPairs())
      if (from < start) this.#settleRange(from, Math.min(to, start));
    this.#held.removeRange(0, start);
    this.#returned.removeRange(0, start);
    if (this.#cursor < start) this.#advanceTo(start);
    this.lostToRetention += this.#settled.size - before;
    this.#isHeldChanged = true;
  }

  /** Settles offsets that hold no record: compaction or retention emptied them. */
  #advanceTo(offset: number): void {
    if (offset <= this.#cursor) return;
    this.#settleRange(this.#cursor, offset);
    this.#cursor = offset;
  }

  #settleRange(start: number, end: number): void {
    this.#settled.addRange(start, end);
    this.#unsavedSettled.addRange(start, end);
    this.#changed();
  }

  #changed(): void {
    if (this.#isUnsaved) return;
    this.#isUnsaved = true;
    this.#onChanged(this);
  }

  #hold(offset: number): void {
    this.#held.add(offset);
    this.#isHeldChanged = true;
  }

  #unhold(offset: number): void {
    this.#held.removeRange(offset, offset + 1);
    this.#isHeldChanged = true;
  }

  #remember(offset: number, failure: Failure | undefined): void {
    if (failure === undefined) return;
    this.#failures.set(offset, failure);
    this.#unsavedFailures.add(offset);
  }

  #storedFailures(offsets: Iterable<number>): NonNullable<DeliveryStateChanges["f"]> {
    const stored: NonNullable<DeliveryStateChanges["f"]> = [];
    for (const offset of offsets) {
      const failure = this.#failures.get(offset);
      if (failure !== undefined)
        stored.push([offset, failure.attempts, failure.readyAtMs, failure.error, failure.firstFailedAtMs]);
    }
    return stored;
  }
}
