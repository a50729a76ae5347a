// Which message of one log is next: never looked at, waiting again, held back until a time, in line for its key.
// Knows no consumers; the dispatcher hands out what this says is next.

import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import type { BodyBytes } from "./body-bytes.js";
import type { DeliveryChanges, OffsetRange } from "./delivery-changes.js";
import type { DeliveryStateParts } from "./delivery-state-parts.js";
import type { Failure } from "./failures.js";
import { assertGap } from "./gap.js";
import { type KeyLanes, KeyTurns } from "./key-lanes.js";
import { EXPIRES_AT_HEADER, READY_AT_HEADER, timeHeader } from "./message.js";
import { Progress } from "./progress.js";
import { RecordCursor } from "./record-cursor.js";

/** How far the watermark moves before settled segments are looked for. */
const TRIM_STEP = 4096;

/** A log that holds less is not worth a fresh file. */
const RELEASED_BYTES_MIN = 64 * 1024;

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
  readonly #progress: Progress;
  readonly #turns = new KeyTurns((offset) => this.#gotTurn(offset));
  readonly #ahead: RecordCursor;
  readonly #behind: RecordCursor;
  #trimmedTo = 0;
  /** Up to here it was noticed that the log has lost its front. */
  #skippedTo = 0;
  /** Whether another state took its place. */
  isRetired = false;
  /** At or after the cursor, and in flight: taken before they were looked at. */
  readonly #takenAhead = new Set<number>();
  /** What the last {@link DeliveryState.next} says about its record. */
  verdict: Verdict = "deliver";
  /** Messages that were handed out, or are being removed, and are neither settled nor held. */
  inFlightCount = 0;

  constructor(parts: DeliveryStateParts<DeliveryState>) {
    this.name = parts.name;
    this.partition = parts.partition;
    this.log = parts.log;
    this.ownsLog = parts.ownsLog;
    this.startOffset = parts.startOffset;
    this.#ahead = new RecordCursor(parts.log, parts.onFetched);
    this.#behind = new RecordCursor(parts.log, parts.onFetched);
    this.#progress = new Progress(parts.log, parts.ownsLog, () => parts.onChanged(this));
  }

  /** Every offset below is settled. */
  get watermark(): number {
    return this.#progress.watermark;
  }

  /** Whether there is something to store. */
  get isUnsaved(): boolean {
    return this.#progress.isUnsaved;
  }

  /** Messages of the log that retention removed before they were settled. */
  get lostToRetention(): number {
    return this.#progress.lostToRetention;
  }

  /** Complete only where the log is this state's own. */
  get bodyBytes(): BodyBytes {
    return this.#progress.bodyBytes;
  }

  /** Messages that are not settled: waiting, held back, or in flight. */
  get unsettledCount(): number {
    return this.log.highWatermark - this.#progress.settled.size;
  }

  get delayedCount(): number {
    return this.#progress.held.delayedCount;
  }

  /** Whether a record could be handed out at `nowMs`, were it in memory. */
  hasReady(nowMs: number): boolean {
    if (this.#progress.held.readyCount > 0 || this.#progress.held.nextDueMs <= nowMs) return true;
    return this.#progress.cursor < this.log.highWatermark && !this.#isHeldUp();
  }

  /** Whether it works off messages that are not in memory any more. */
  get isBehind(): boolean {
    return this.#ahead.isBehind;
  }

  /** When the next delayed message becomes ready, in wall-clock milliseconds; Infinity when there is none. */
  get nextDueMs(): number {
    return this.#progress.held.nextDueMs;
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
    this.skipRemoved();
    const record = this.#progress.held.size > 0 ? this.#nextOfHeld(nowMs) : this.#nextAhead(nowMs);
    if (record !== undefined) this.#taken(record);
    return record;
  }

  attemptsOf(offset: number): number {
    return this.#progress.failures.get(offset)?.attempts ?? 0;
  }

  failureOf(offset: number): Failure | undefined {
    return this.#progress.failures.get(offset);
  }

  /** The message is in flight, and nobody works on it: its consumer has not started, or it is on its way to the dead letters. */
  keepUnbegun(offset: number): void {
    if (offset < this.#progress.cursor) this.#progress.keepUnbegun(offset);
  }

  /** Hot: its consumer starts on the message, which is in flight. */
  begin(offset: number): void {
    this.#progress.begin(offset);
  }

  /** Hot: the message, which was in flight, is done. */
  settle(record: StoredRecord): void {
    const { offset } = record;
    if (this.#takenAhead.size > 0) this.#takenAhead.delete(offset);
    this.#progress.settle(offset);
    this.bodyBytes.settled(record.valueSizeBytes);
    this.inFlightCount -= 1;
    this.#turns.pass(offset);
  }

  /** The message was in flight and is ready again, ahead of later ones. A `failure` counts as a try. */
  giveBack(record: StoredRecord, failure: Failure | undefined): void {
    this.#putBack(record, failure);
    this.#progress.held.makeReady(record.offset);
  }

  /** The message was handed out, and comes back untried: it is known from then on until it is settled. */
  noteGivenBack(offset: number): void {
    this.#progress.givenBack.add(offset);
  }

  /** Since the start of the process. */
  wasGivenBack(offset: number): boolean {
    return this.#progress.givenBack.has(offset);
  }

  /** The message was in flight and must wait. With `keepsTurn` its key waits with it; else later ones of its key overtake. */
  holdUntil(record: StoredRecord, readyAtMs: number, failure: Failure | undefined, keepsTurn: boolean): void {
    if (this.#takenAhead.delete(record.offset)) {
      // Whoever comes to it finds it as it was.
      this.#returned(record);
      return;
    }
    this.#putBack(record, failure);
    this.#progress.held.delay(record.offset, readyAtMs);
    if (!keepsTurn) this.#turns.pass(record.offset);
  }

  /** The message was in flight and waits, with the turn of its key, until {@link resume}. */
  suspend(record: StoredRecord): void {
    this.#putBack(record, undefined);
  }

  /** A suspended message is ready. Returns false when it is not there any more, or waits for something else. */
  resume(offset: number): boolean {
    return this.#progress.held.resume(offset);
  }

  /** The oldest message that is not in flight; undefined when there is none, or it is not in memory yet. */
  peekOldest(): StoredRecord | undefined {
    this.skipRemoved();
    for (;;) {
      this.#skipSettled();
      const offset = this.#progress.held.size > 0 ? this.#progress.held.first : this.#progress.cursor;
      if (offset >= this.log.highWatermark) return undefined;
      if (offset < this.log.logStartOffset) {
        this.#lose(offset);
        continue;
      }
      const record = this.#behind.at(offset);
      if (record === undefined || record.offset === offset) return record;
      assertGap(this.log, offset);
      if (offset === this.#progress.cursor) this.#progress.advanceTo(record.offset);
      else this.#settleMissing(offset);
    }
  }

  /** The offset of that message, or of a gap before it, without reading it. */
  oldestOffset(): number | undefined {
    this.skipRemoved();
    this.#skipSettled();
    const { held, cursor } = this.#progress;
    const offset = Math.max(held.size > 0 ? held.first : cursor, this.log.logStartOffset);
    return offset < this.log.highWatermark ? offset : undefined;
  }

  /** Messages with bodies of so many bytes were committed to the log, which is this state's own. */
  addBodyBytes(bytes: number): void {
    if (this.bodyBytes.committed(bytes)) this.#progress.changed();
  }

  get isFetchingOldest(): boolean {
    return this.#behind.isFetching;
  }

  /** Takes the oldest message in flight, so that it can be dropped. See {@link peekOldest}. */
  takeOldest(): StoredRecord | undefined {
    const record = this.peekOldest();
    if (record === undefined) return undefined;
    if (this.#progress.held.size > 0) {
      this.#progress.unhold(record.offset);
    } else {
      this.#progress.cursor = record.offset + 1;
      this.#progress.changed();
    }
    this.#taken(record);
    return record;
  }

  isSettled(offset: number): boolean {
    return this.#progress.settled.has(offset);
  }

  /** Whether a message from `start` up to, not including, `end` is not settled. */
  hasUnsettled(start: number, end: number): boolean {
    return this.#progress.settled.endOfRangeAt(start) < end;
  }

  /** Whether the message is neither settled nor in flight. */
  isWaiting(offset: number): boolean {
    const { held, cursor } = this.#progress;
    if (offset < cursor) return held.has(offset);
    return !this.isSettled(offset) && !this.#takenAhead.has(offset);
  }

  /** Takes a message that is neither settled nor in flight, wherever it is; false when it is either. It is in flight then. */
  takeWaiting(record: StoredRecord): boolean {
    const { offset } = record;
    if (!this.isWaiting(offset)) return false;
    if (offset < this.#progress.cursor) this.#progress.unhold(offset);
    else this.#takenAhead.add(offset);
    this.#taken(record);
    return true;
  }

  /** Settles a message that is not in flight; false when it is, or was settled before. */
  settleWaiting(record: StoredRecord): boolean {
    const isTaken = this.takeWaiting(record);
    if (isTaken) this.settle(record);
    return isTaken;
  }

  /** Ranges of offsets that are not settled, in order: waiting, held back, or in flight. */
  unsettledRanges(): OffsetRange[] {
    return this.#progress.settled.gapsBelow(this.log.highWatermark);
  }

  /** Another state takes this one's place: nobody waits any more for the turns of what is in flight or held here. */
  retire(): void {
    this.isRetired = true;
    this.#turns.removeWaiting();
    for (const offset of this.#turns.offsets()) this.#turns.pass(offset);
  }

  /** Lets the log delete everything, with the file that is written to, when all is settled and that is worth it. */
  async releaseLog(): Promise<void> {
    if (!this.ownsLog || this.log.sizeBytes < RELEASED_BYTES_MIN) return;
    if (this.watermark === this.log.highWatermark) await this.log.deleteAll();
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
    const before = this.#progress.settled.size;
    for (const [start, end] of this.#progress.held.toPairs()) this.#progress.settleRange(start, end);
    for (const taken of [...this.#takenAhead].sort((a, b) => a - b)) {
      this.#progress.advanceTo(taken);
      this.#skipSettled();
    }
    this.#progress.advanceTo(this.log.highWatermark);
    this.#turns.removeWaiting();
    this.#forgetHeldBelow(this.#progress.cursor);
    this.bodyBytes.purged();
    return this.#progress.settled.size - before;
  }

  /** Hot: retention may have removed what was not looked at yet, or was waiting to be tried again. */
  skipRemoved(): void {
    const start = this.log.logStartOffset;
    if (start === this.#skippedTo) return;
    this.#skippedTo = start;
    if (start <= this.watermark) return;
    const before = this.#progress.settled.size;
    for (const [from, to] of this.#progress.held.toPairs())
      this.#progress.settleRange(from, Math.min(to, start));
    this.#forgetHeldBelow(start);
    this.#progress.advanceTo(start);
    this.#progress.lostToRetention += this.#progress.settled.size - before;
  }

  /** What has changed since the last call, to be stored. */
  takeChanges(): DeliveryChanges {
    return this.#progress.takeChanges();
  }

  /** Everything, so that what was stored before is no longer needed. */
  snapshot(): Generator<DeliveryChanges> {
    return this.#progress.snapshot();
  }

  /** Applies stored changes, in the order in which they were stored. Call {@link recover} after the last. */
  apply(changes: DeliveryChanges): void {
    this.#progress.apply(changes);
  }

  /**
   * After a restart: what was in flight is ready again, counted as one try that did not come back. Returns whether
   * what was stored spoke of records that are not there, because a power failure undid them.
   */
  recover(nowMs: number): boolean {
    this.#skippedTo = this.log.logStartOffset;
    return this.#progress.recover(this.startOffset, nowMs);
  }

  /** What is ready again comes before what was never looked at. */
  #nextOfHeld(nowMs: number): StoredRecord | undefined {
    const { held } = this.#progress;
    if (held.nextDueMs <= nowMs) held.releaseDue(nowMs);
    const returned = held.readyCount > 0 ? this.#nextReturned(nowMs) : undefined;
    return returned === undefined && held.readyCount === 0 ? this.#nextAhead(nowMs) : returned;
  }

  #nextReturned(nowMs: number): StoredRecord | undefined {
    const held = this.#progress.held;
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
      } else if (this.#isAdmitted(record, this.#progress.failures.get(offset), nowMs)) {
        this.#progress.unhold(offset);
        return record;
      }
    }
    return undefined;
  }

  #nextAhead(nowMs: number): StoredRecord | undefined {
    while (this.#progress.cursor < this.log.highWatermark && !this.#isHeldUp()) {
      this.#skipSettled();
      if (this.#progress.cursor >= this.log.highWatermark) return undefined;
      const record = this.#ahead.at(this.#progress.cursor);
      if (record === undefined) {
        if (this.#ahead.isFetching) return undefined;
        assertGap(this.log, this.#progress.cursor);
        this.#progress.advanceTo(this.log.highWatermark);
        return undefined;
      }
      if (record.offset > this.#progress.cursor) {
        assertGap(this.log, this.#progress.cursor);
        // What compaction left a gap for may have been settled further on.
        this.#progress.advanceTo(record.offset);
        continue;
      }
      this.#progress.cursor = record.offset + 1;
      this.#progress.changed();
      if (this.#isAdmitted(record, undefined, nowMs)) return record;
    }
    return undefined;
  }

  /** Hot: messages may have been settled, or taken, before they were looked at: a dead letter that was replayed, for one. */
  #skipSettled(): void {
    const progress = this.#progress;
    progress.cursor = progress.settled.endOfRangeAt(progress.cursor);
    while (this.#takenAhead.size > 0 && this.#takenAhead.delete(progress.cursor)) {
      const taken = progress.cursor;
      progress.cursor = progress.settled.endOfRangeAt(taken + 1);
      progress.keepUnbegun(taken);
    }
  }

  /** Hot: whether `record` may be handed out; when not, it is held until its time or its key's turn. Sets the verdict. */
  #isAdmitted(record: StoredRecord, failure: Failure | undefined, nowMs: number): boolean {
    const { offset } = record;
    const retryAtMs = failure?.readyAtMs ?? 0;
    const readyAtMs = Math.max(retryAtMs, timeHeader(record, READY_AT_HEADER));
    if (readyAtMs > nowMs && (retryAtMs <= nowMs || failure?.isParked)) {
      // It does not hold its key up: it was sent for later, or stepped aside.
      this.#progress.hold(offset);
      if (failure === undefined) this.#progress.held.delayAsSent(offset, readyAtMs, nowMs);
      else this.#progress.held.delay(offset, readyAtMs);
      this.#turns.pass(offset);
      return false;
    }
    if (!this.#turns.take(record)) {
      this.#progress.hold(offset);
      this.#progress.held.suspend(offset);
      return false;
    }
    if (readyAtMs > nowMs) {
      this.#progress.hold(offset);
      this.#progress.held.delay(offset, readyAtMs);
      return false;
    }
    const expiresAtMs = timeHeader(record, EXPIRES_AT_HEADER);
    this.verdict = expiresAtMs !== 0 && expiresAtMs <= nowMs ? "expired" : "deliver";
    return true;
  }

  #isHeldUp(): boolean {
    return this.#progress.failures.isFull || this.#turns.isFull;
  }

  /** A message that stood in the line of its key may go on, if it still waits. */
  #gotTurn(offset: number): boolean {
    if (!this.#progress.held.has(offset)) return false;
    this.#progress.held.makeReady(offset);
    return true;
  }

  /** Those below `end` that are held were settled. Whoever waits for their key has the turn. */
  #forgetHeldBelow(end: number): void {
    const passing = this.#turns.offsets().filter((offset) => offset < end && this.#progress.held.has(offset));
    this.#progress.failures.deleteAll(this.#progress.settled);
    this.#progress.held.removeRange(0, end);
    for (const offset of passing) this.#turns.pass(offset);
  }

  /** A held offset turns out to hold no record: compaction took it. */
  #settleMissing(offset: number): void {
    this.#progress.failures.delete(offset);
    this.#progress.unhold(offset);
    this.#progress.settleRange(offset, offset + 1);
    this.#turns.pass(offset);
  }

  /** Retention removed the message while it was in flight, and now it is held. */
  #lose(offset: number): void {
    this.#settleMissing(offset);
    this.#progress.lostToRetention += 1;
  }

  #taken(record: StoredRecord): void {
    this.bodyBytes.taken(record.valueSizeBytes);
    this.inFlightCount += 1;
  }

  /** A message in flight is in flight no more. */
  #returned(record: StoredRecord): void {
    this.bodyBytes.putBack(record.valueSizeBytes);
    this.inFlightCount -= 1;
  }

  /** A message in flight is held. */
  #putBack(record: StoredRecord, failure: Failure | undefined): void {
    this.#returned(record);
    this.#progress.putBack(record.offset, failure);
  }
}
