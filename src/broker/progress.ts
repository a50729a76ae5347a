// How far the messages of one log have come: settled, waiting again, tried; and what of that is not stored yet.
// Does not read the log, and decides nothing; tells a log of its own what nobody reads any more.

import { RangeSet } from "../collections/range-set.js";
import type { Log } from "../log/log.js";
import { BodyBytes } from "./body-bytes.js";
import { type DeliveryChanges, UnsavedRanges, wholeState } from "./delivery-changes.js";
import { type Failure, Failures } from "./failures.js";
import { HeldMessages } from "./held-messages.js";

/** How many messages are settled before their bytes leave the memory. */
const FORGET_STEP = 16;

/** Every offset below the cursor is settled, in flight, or held: returned, delayed, or waiting for something else. */
export class Progress {
  /** Settled ranges, beginning with `[0, watermark)`. */
  readonly settled = new RangeSet();
  /** The first offset that was never looked at. */
  cursor = 0;
  /** Below the cursor, and neither settled nor in flight. Ready are: nacked, lease lost, recovered, delay over, turn come. */
  readonly held = new HeldMessages();
  readonly failures = new Failures();
  /** Not settled, and handed out before without having been tried. Not stored. */
  readonly givenBack = new RangeSet();
  /** Complete only where the log is for this alone. */
  readonly bodyBytes = new BodyBytes();
  /** Whether there is something to store. */
  isUnsaved = false;
  /** Messages of the log that retention removed before they were settled. */
  lostToRetention = 0;
  /** In flight, and waiting at their consumers: stored as held, because a crash is no try of theirs. */
  readonly #unbegun = new RangeSet();
  readonly #unsaved = new UnsavedRanges();
  readonly #log: Log;
  readonly #ownsLog: boolean;
  readonly #onChanged: () => void;
  /** Since the log was told last. */
  #settledCount = 0;

  /** `onChanged` runs when there is something to store, and there was nothing before. */
  constructor(log: Log, ownsLog: boolean, onChanged: () => void) {
    this.#log = log;
    this.#ownsLog = ownsLog;
    this.#onChanged = onChanged;
  }

  /** Every offset below is settled. */
  get watermark(): number {
    return this.settled.endOfRangeAt(0);
  }

  /** Hot: a message in flight is settled. */
  settle(offset: number): void {
    this.settled.add(offset);
    this.#unsaved.settled.add(offset);
    if (this.#unbegun.size > 0) this.#unbegun.removeRange(offset, offset + 1);
    if (this.givenBack.size > 0) this.givenBack.removeRange(offset, offset + 1);
    this.failures.delete(offset);
    this.changed();
    if (this.#ownsLog) this.#forgetSettled();
  }

  /** Hot: what is settled is not read again, and leaves the memory to what will be. */
  #forgetSettled(): void {
    this.#settledCount += 1;
    if (this.#settledCount < FORGET_STEP) return;
    this.#settledCount = 0;
    this.#log.forgetBefore(this.watermark);
  }

  settleRange(start: number, end: number): void {
    this.settled.addRange(start, end);
    this.#unsaved.settled.addRange(start, end);
    this.givenBack.removeRange(start, end);
    this.changed();
  }

  /** Settles offsets that hold no record: compaction or retention emptied them. */
  advanceTo(offset: number): void {
    if (offset <= this.cursor) return;
    this.settleRange(this.cursor, offset);
    this.cursor = offset;
  }

  /** The message is in flight, but its consumer has not started on it. */
  keepUnbegun(offset: number): void {
    this.#unbegun.add(offset);
    this.#unsaved.hold(offset);
    this.changed();
  }

  /** Hot: its consumer starts on the message, which is in flight. */
  begin(offset: number): void {
    if (this.#unbegun.size === 0 || this.#unbegun.removeRange(offset, offset + 1) === 0) return;
    this.#unsaved.take(offset);
    this.changed();
  }

  hold(offset: number): void {
    if (!this.held.add(offset)) return;
    this.#unsaved.hold(offset);
    this.changed();
  }

  unhold(offset: number): void {
    this.held.removeRange(offset, offset + 1);
    this.#unsaved.take(offset);
    this.changed();
  }

  /** The message was in flight and is held, with `failure` when it was tried. */
  putBack(offset: number, failure: Failure | undefined): void {
    if (failure !== undefined) this.failures.set(offset, failure);
    this.#unbegun.removeRange(offset, offset + 1);
    this.hold(offset);
  }

  /** Hot: something is to be stored. */
  changed(): void {
    if (this.isUnsaved) return;
    this.isUnsaved = true;
    this.#onChanged();
  }

  /** What has changed since the last call, to be stored. */
  takeChanges(): DeliveryChanges {
    const changes = this.#position();
    this.#unsaved.drainInto(changes);
    const failures = this.failures.takeUnsaved();
    if (failures.length > 0) changes.f = failures;
    this.isUnsaved = false;
    return changes;
  }

  /** Everything, so that what was stored before is no longer needed. */
  snapshot(): Generator<DeliveryChanges> {
    const held = [...this.held.toPairs(), ...this.#unbegun.toPairs()];
    return wholeState(this.#position(), this.settled.toPairs(), held, this.failures);
  }

  /** Applies stored changes, in the order in which they were stored. Call {@link recover} after the last. */
  apply(changes: DeliveryChanges): void {
    if (changes.c !== undefined) this.#cut(changes.c);
    this.cursor = Math.max(this.cursor, changes.n);
    for (const [start, end] of changes.s ?? []) this.settled.addRange(start, end);
    for (const [start, end] of changes.h ?? []) this.held.addRange(start, end);
    for (const [start, end] of changes.u ?? []) this.held.removeRange(start, end);
    for (const failure of changes.f ?? []) this.failures.restore(failure);
    if (changes.b !== undefined) this.bodyBytes.stored = changes.b;
  }

  /**
   * After a restart: what was in flight is ready again, counted as one try that did not come back. What lies before
   * `startOffset` counts as settled. Returns whether what was stored spoke of records that are not there, because a
   * power failure undid them.
   */
  recover(startOffset: number, nowMs: number): boolean {
    const end = this.#log.highWatermark;
    const isCut = this.#cut(end);
    if (isCut) {
      this.#unsaved.cut(end);
      this.changed();
    }
    this.settled.addRange(0, Math.min(startOffset, end));
    const removed = this.settled.addRange(0, Math.min(this.#log.logStartOffset, end));
    if (!this.#ownsLog) this.lostToRetention += removed;
    this.cursor = Math.max(this.cursor, this.watermark);
    for (const [start, stop] of this.settled.toPairs()) this.held.removeRange(start, stop);
    this.failures.deleteAll(this.settled);
    for (const [start, stop] of this.settled.gapsBelow(this.cursor)) this.#recoverRange(start, stop, nowMs);
    this.held.makeAllReady();
    return isCut;
  }

  /** Forgets all that is said about `end` and later. Returns whether there was something. */
  #cut(end: number): boolean {
    const settled = this.settled.removeRange(end, Number.MAX_SAFE_INTEGER);
    const isKnown = settled > 0 || this.cursor > end;
    this.cursor = Math.min(this.cursor, end);
    this.held.removeRange(end, Number.MAX_SAFE_INTEGER);
    this.failures.deleteFrom(end);
    this.bodyBytes.cut(end);
    return isKnown;
  }

  /** What is below the cursor, and neither settled nor held, was in flight. */
  #recoverRange(start: number, end: number, nowMs: number): void {
    for (let offset = this.held.endOfRangeAt(start); offset < end; ) {
      this.failures.addLostTry(offset, nowMs);
      this.hold(offset);
      offset = this.held.endOfRangeAt(offset);
    }
  }

  #position(): DeliveryChanges {
    const changes: DeliveryChanges = { n: this.cursor };
    if (this.#ownsLog) changes.b = this.bodyBytes.store(this.#log.highWatermark);
    return changes;
  }
}
