// What became of each message of one log: never looked at, waiting again, held back until a time, in flight, settled.
// Knows no consumers; the dispatcher hands out what this says is next.

import { RangeSet } from "../collections/range-set.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { BodyBytes } from "./body-bytes.js";
import { type DeliveryChanges, type OffsetRange, UnsavedRanges, wholeState } from "./delivery-changes.js";
import type { DeliveryStateParts } from "./delivery-state-parts.js";
import { type Failure, Failures } from "./failures.js";
import { assertGap } from "./gap.js";
import { HeldMessages } from "./held-messages.js";
import { type KeyLanes, KeyTurns } from "./key-lanes.js";
import { EXPIRES_AT_HEADER, READY_AT_HEADER, timeHeader } from "./message.js";
import { RecordCursor } from "./record-cursor.js";

/** How far the watermark moves before settled segments are looked for. */
const TRIM_STEP = 4096;

/** Why {@link DeliveryState.next} gave a record that must not be delivered. */
export type Verdict = "deliver" | "expired";

/**
 * The delivery state of one log: its cursor, settled ranges, returned and delayed messages, failures, turns of keys.
 * Every offset below the cursor is settled, in flight, or held: returned, delayed, or waiting in a lane.
 */
export class DeliveryState {
  readonly name: string;
  readonly partition: number | undefined;
  readonly log: Log;
  readonly ownsLog: boolean;
  readonly startOffset: number;
  /** Settled ranges, beginning with `[0, watermark)`. */
  readonly #settled = new RangeSet();
  /** The first offset that was never looked at. */
  #cursor = 0;
  /** Below the cursor, and neither settled nor in flight. Ready are: nacked, lease lost, recovered, delay over, turn come. */
  readonly #held = new HeldMessages();
  /** In flight, and waiting at their consumers: stored as held, because a crash is no try of theirs. */
  readonly #unbegun = new RangeSet();
  readonly #failures = new Failures();
  readonly #turns = new KeyTurns((offset) => this.#gotTurn(offset));
  readonly #ahead: RecordCursor;
  readonly #behind: RecordCursor;
  readonly #unsaved = new UnsavedRanges();
  /** Whether there is something to store. */
  isUnsaved = false;
  #trimmedTo = 0;
  /** Up to here it was noticed that the log has lost its front. */
  #skippedTo = 0;
  readonly #onChanged: (state: DeliveryState) => void;
  /** What the last {@link DeliveryState.next} says about its record. */
  verdict: Verdict = "deliver";
  /** Messages of the log that retention removed before they were settled. */
  lostToRetention = 0;
  /** Complete only where the log is this state's own. */
  readonly bodyBytes = new BodyBytes();

  constructor(parts: DeliveryStateParts<DeliveryState>) {
    this.name = parts.name;
    this.partition = parts.partition;
    this.log = parts.log;
    this.ownsLog = parts.ownsLog;
    this.startOffset = parts.startOffset;
    this.#ahead = new RecordCursor(parts.log, parts.onFetched);
    this.#behind = new RecordCursor(parts.log, parts.onFetched);
    this.#onChanged = parts.onChanged;
  }

  /** Every offset below is settled. */
  get watermark(): number {
    return this.#settled.endOfRangeAt(0);
  }

  /** Messages that are not settled: waiting, held back, or in flight. */
  get unsettledCount(): number {
    return this.log.highWatermark - this.#settled.size;
  }

  get delayedCount(): number {
    return this.#held.delayedCount;
  }

  /** Whether a record could be handed out at `nowMs`, were it in memory. */
  hasReady(nowMs: number): boolean {
    if (this.#held.readyCount > 0 || this.#held.nextDueMs <= nowMs) return true;
    return this.#cursor < this.log.highWatermark && !this.#isHeldUp();
  }

  /** When the next delayed message becomes ready, in wall-clock milliseconds; Infinity when there is none. */
  get nextDueMs(): number {
    return this.#held.nextDueMs;
  }

  /** Delivers each key's messages one at a time from now on. */
  orderByKey(lanes: KeyLanes): void {
    this.#turns.start(lanes);
  }

  /**
   * Hot: takes the next record that is ready, or undefined: nothing is ready, or it is being fetched. What it returns
   * is in flight until {@link settle}, {@link giveBack} or {@link holdUntil}. See {@link verdict}. Errors: LOG_CORRUPT.
   */
  next(nowMs: number): StoredRecord | undefined {
    const held = this.#held;
    if (held.nextDueMs <= nowMs) held.releaseDue(nowMs);
    this.skipRemoved();
    let record = held.readyCount > 0 ? this.#nextReturned(nowMs) : undefined;
    if (record === undefined && held.readyCount === 0) record = this.#nextAhead(nowMs);
    if (record !== undefined) this.bodyBytes.taken(record.valueSizeBytes);
    return record;
  }

  attemptsOf(offset: number): number {
    return this.#failures.get(offset)?.attempts ?? 0;
  }

  failureOf(offset: number): Failure | undefined {
    return this.#failures.get(offset);
  }

  /** The message is in flight, but its consumer has not started on it. */
  keepUnbegun(offset: number): void {
    this.#unbegun.add(offset);
    this.#unsaved.hold(offset);
    this.#changed();
  }

  /** Hot: its consumer starts on the message, which is in flight. */
  begin(offset: number): void {
    if (this.#unbegun.size === 0 || this.#unbegun.removeRange(offset, offset + 1) === 0) return;
    this.#unsaved.take(offset);
    this.#changed();
  }

  /** Hot: the message, which was in flight, is done. */
  settle(record: StoredRecord): void {
    const offset = record.offset;
    this.#settled.add(offset);
    this.#unsaved.settled.add(offset);
    this.bodyBytes.settled(record.valueSizeBytes);
    if (this.#unbegun.size > 0) this.#unbegun.removeRange(offset, offset + 1);
    this.#failures.delete(offset);
    this.#turns.pass(offset);
    this.#changed();
  }

  /** The message was in flight and is ready again, ahead of later ones. A `failure` counts as a try. */
  giveBack(record: StoredRecord, failure: Failure | undefined): void {
    this.#remember(record.offset, failure);
    this.#putBack(record);
    this.#held.makeReady(record.offset);
  }

  /** The message was in flight and must wait. With `keepsTurn` its key waits with it; else later ones of its key overtake. */
  holdUntil(record: StoredRecord, readyAtMs: number, failure: Failure | undefined, keepsTurn: boolean): void {
    this.#remember(record.offset, failure);
    this.#putBack(record);
    this.#held.delay(record.offset, readyAtMs);
    if (!keepsTurn) this.#turns.pass(record.offset);
  }

  /** The oldest message that is not in flight; undefined when there is none, or it is not in memory yet. */
  peekOldest(): StoredRecord | undefined {
    this.skipRemoved();
    for (;;) {
      this.#skipSettled();
      const offset = this.#held.size > 0 ? this.#held.first : this.#cursor;
      if (offset >= this.log.highWatermark) return undefined;
      if (offset < this.log.logStartOffset) {
        this.#lose(offset);
        continue;
      }
      const record = this.#behind.at(offset);
      if (record === undefined || record.offset === offset) return record;
      assertGap(this.log, offset);
      if (offset === this.#cursor) this.#advanceTo(record.offset);
      else this.#settleMissing(offset);
    }
  }

  /** Messages with bodies of so many bytes were committed to the log, which is this state's own. */
  addBodyBytes(bytes: number): void {
    if (this.bodyBytes.committed(bytes)) this.#changed();
  }

  /** Resolves when {@link peekOldest} may know more than it did. */
  oldestFetched(): Promise<void> {
    return this.#behind.fetched();
  }

  get isFetchingOldest(): boolean {
    return this.#behind.isFetching;
  }

  /** Takes the oldest message in flight, so that it can be dropped. See {@link peekOldest}. */
  takeOldest(): StoredRecord | undefined {
    const record = this.peekOldest();
    if (record === undefined) return undefined;
    if (this.#held.size > 0) {
      this.#unhold(record.offset);
    } else {
      this.#cursor = record.offset + 1;
      this.#changed();
    }
    this.bodyBytes.taken(record.valueSizeBytes);
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
    this.bodyBytes.taken(record.valueSizeBytes);
    this.settle(record);
    return true;
  }

  /** Ranges of offsets that are not settled, in order: waiting, held back, or in flight. */
  unsettledRanges(): OffsetRange[] {
    return this.#settled.gapsBelow(this.log.highWatermark);
  }

  /** Lets the log delete whole segments of settled messages. Resolves when their files are gone. */
  async trimLog(): Promise<void> {
    const watermark = this.watermark;
    if (watermark < this.#trimmedTo + TRIM_STEP && watermark < this.log.highWatermark) return;
    if (watermark === this.#trimmedTo) return;
    this.#trimmedTo = watermark;
    await this.log.deleteBefore(watermark);
  }

  /** Settles everything that is not in flight and returns how many that were. */
  purge(): number {
    const before = this.#settled.size;
    for (const [start, end] of this.#held.toPairs()) this.#settleRange(start, end);
    this.#settleRange(this.#cursor, this.log.highWatermark);
    this.#cursor = this.log.highWatermark;
    this.#turns.removeWaiting();
    this.#forgetHeldBelow(this.#cursor);
    this.bodyBytes.purged();
    return this.#settled.size - before;
  }

  /** Hot: retention may have removed what was not looked at yet, or was waiting to be tried again. */
  skipRemoved(): void {
    const start = this.log.logStartOffset;
    if (start === this.#skippedTo) return;
    this.#skippedTo = start;
    if (start <= this.watermark) return;
    const before = this.#settled.size;
    for (const [from, to] of this.#held.toPairs()) this.#settleRange(from, Math.min(to, start));
    this.#forgetHeldBelow(start);
    this.#advanceTo(start);
    this.lostToRetention += this.#settled.size - before;
  }

  /** What has changed since the last call, to be stored. */
  takeChanges(): DeliveryChanges {
    const changes = this.#position();
    this.#unsaved.drainInto(changes);
    const failures = this.#failures.takeUnsaved();
    if (failures.length > 0) changes.f = failures;
    this.isUnsaved = false;
    return changes;
  }

  /** Everything, so that what was stored before is no longer needed. */
  snapshot(): Generator<DeliveryChanges> {
    const held = [...this.#held.toPairs(), ...this.#unbegun.toPairs()];
    return wholeState(this.#position(), this.#settled.toPairs(), held, this.#failures);
  }

  /** Applies stored changes, in the order in which they were stored. Call {@link recover} after the last. */
  apply(changes: DeliveryChanges): void {
    if (changes.c !== undefined) this.#cut(changes.c);
    this.#cursor = Math.max(this.#cursor, changes.n);
    for (const [start, end] of changes.s ?? []) this.#settled.addRange(start, end);
    for (const [start, end] of changes.h ?? []) this.#held.addRange(start, end);
    for (const [start, end] of changes.u ?? []) this.#held.removeRange(start, end);
    for (const failure of changes.f ?? []) this.#failures.restore(failure);
    if (changes.b !== undefined) this.bodyBytes.stored = changes.b;
  }

  /**
   * After a restart: what was in flight is ready again, counted as one try that did not come back. Returns whether
   * what was stored spoke of records that are not there, because a power failure undid them.
   */
  recover(nowMs: number): boolean {
    const { log } = this;
    const end = log.highWatermark;
    const isCut = this.#cut(end);
    if (isCut) {
      this.#unsaved.cut(end);
      this.#changed();
    }
    this.#settled.addRange(0, Math.min(this.startOffset, end));
    const removed = this.#settled.addRange(0, Math.min(log.logStartOffset, end));
    if (!this.ownsLog) this.lostToRetention += removed;
    this.#skippedTo = log.logStartOffset;
    this.#cursor = Math.max(this.#cursor, this.watermark);
    for (const [start, stop] of this.#settled.toPairs()) this.#held.removeRange(start, stop);
    this.#failures.deleteAll(this.#settled);
    for (const [start, stop] of this.#settled.gapsBelow(this.#cursor)) this.#recoverRange(start, stop, nowMs);
    this.#held.makeAllReady();
    return isCut;
  }

  /** Forgets all that is said about `end` and later. Returns whether there was something. */
  #cut(end: number): boolean {
    const settled = this.#settled.removeRange(end, Number.MAX_SAFE_INTEGER);
    const isKnown = settled > 0 || this.#cursor > end;
    this.#cursor = Math.min(this.#cursor, end);
    this.#held.removeRange(end, Number.MAX_SAFE_INTEGER);
    this.#failures.deleteFrom(end);
    this.bodyBytes.cut(end);
    return isKnown;
  }

  /** What is below the cursor, and neither settled nor held, was in flight. */
  #recoverRange(start: number, end: number, nowMs: number): void {
    for (let offset = this.#held.endOfRangeAt(start); offset < end; ) {
      this.#failures.addLostTry(offset, nowMs);
      this.#hold(offset);
      offset = this.#held.endOfRangeAt(offset);
    }
  }

  #nextReturned(nowMs: number): StoredRecord | undefined {
    const held = this.#held;
    for (let offset = held.firstReady; offset >= 0; offset = held.firstReady) {
      if (offset < this.log.logStartOffset) {
        this.#lose(offset);
        continue;
      }
      const record = this.#behind.at(offset);
      if (record === undefined && this.#behind.isFetching) return undefined;
      if (record === undefined || record.offset !== offset) {
        assertGap(this.log, offset);
        this.#settleMissing(offset);
      } else if (this.#isAdmitted(record, this.#failures.get(offset), nowMs)) {
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
        if (this.#ahead.isFetching) return undefined;
        assertGap(this.log, this.#cursor);
        this.#advanceTo(this.log.highWatermark);
        return undefined;
      }
      if (record.offset > this.#cursor) {
        assertGap(this.log, this.#cursor);
        // What compaction left a gap for may have been settled further on.
        this.#advanceTo(record.offset);
        continue;
      }
      this.#cursor = record.offset + 1;
      this.#changed();
      if (this.#isAdmitted(record, undefined, nowMs)) return record;
    }
    return undefined;
  }

  /** Hot: messages may have been settled before they were looked at: a dead letter that was replayed, for one. */
  #skipSettled(): void {
    this.#cursor = this.#settled.endOfRangeAt(this.#cursor);
  }

  /** Hot: whether `record` may be handed out; when not, it is held until its time or its key's turn. Sets the verdict. */
  #isAdmitted(record: StoredRecord, failure: Failure | undefined, nowMs: number): boolean {
    const offset = record.offset;
    if (!this.#turns.take(record)) {
      this.#hold(offset);
      this.#held.suspend(offset);
      return false;
    }
    const retryAtMs = failure?.readyAtMs ?? 0;
    const readyAtMs = Math.max(retryAtMs, timeHeader(record, READY_AT_HEADER));
    if (readyAtMs > nowMs) {
      this.#hold(offset);
      this.#held.delay(offset, readyAtMs);
      // A message that was delayed when it was sent does not hold its key up: it is not due.
      if (retryAtMs <= nowMs || failure?.isParked) this.#turns.pass(offset);
      return false;
    }
    const expiresAtMs = timeHeader(record, EXPIRES_AT_HEADER);
    this.verdict = expiresAtMs !== 0 && expiresAtMs <= nowMs ? "expired" : "deliver";
    return true;
  }

  #isHeldUp(): boolean {
    return this.#failures.isFull || this.#turns.isFull;
  }

  /** A message that stood in the line of its key may go on, if it still waits. */
  #gotTurn(offset: number): boolean {
    if (!this.#held.has(offset)) return false;
    this.#held.makeReady(offset);
    return true;
  }

  /** Those below `end` that are held were settled. Whoever waits for their key has the turn. */
  #forgetHeldBelow(end: number): void {
    const passing = this.#turns.offsets().filter((offset) => offset < end && this.#held.has(offset));
    this.#failures.deleteAll(this.#settled);
    this.#held.removeRange(0, end);
    for (const offset of passing) this.#turns.pass(offset);
  }

  /** A held offset turns out to hold no record: compaction took it. */
  #settleMissing(offset: number): void {
    this.#failures.delete(offset);
    this.#unhold(offset);
    this.#settleRange(offset, offset + 1);
    this.#turns.pass(offset);
  }

  /** Retention removed the message while it was in flight, and now it is held. */
  #lose(offset: number): void {
    this.#settleMissing(offset);
    this.lostToRetention += 1;
  }

  /** Settles offsets that hold no record: compaction or retention emptied them. */
  #advanceTo(offset: number): void {
    if (offset <= this.#cursor) return;
    this.#settleRange(this.#cursor, offset);
    this.#cursor = offset;
  }

  #settleRange(start: number, end: number): void {
    this.#settled.addRange(start, end);
    this.#unsaved.settled.addRange(start, end);
    this.#changed();
  }

  /** Something is to be stored. */
  #changed(): void {
    if (this.isUnsaved) return;
    this.isUnsaved = true;
    this.#onChanged(this);
  }

  /** A message in flight is in flight no more. */
  #putBack(record: StoredRecord): void {
    this.bodyBytes.putBack(record.valueSizeBytes);
    this.#unbegun.removeRange(record.offset, record.offset + 1);
    this.#hold(record.offset);
  }

  #hold(offset: number): void {
    this.#held.add(offset);
    this.#unsaved.hold(offset);
    this.#changed();
  }

  #unhold(offset: number): void {
    this.#held.removeRange(offset, offset + 1);
    this.#unsaved.take(offset);
    this.#changed();
  }

  #remember(offset: number, failure: Failure | undefined): void {
    if (failure === undefined) return;
    this.#failures.set(offset, failure);
    this.#changed();
  }

  #position(): DeliveryChanges {
    const changes: DeliveryChanges = { n: this.#cursor };
    if (this.ownsLog) changes.b = this.bodyBytes.store(this.log.highWatermark);
    return changes;
  }
}
