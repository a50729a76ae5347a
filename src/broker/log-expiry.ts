// Ends the lives of waiting messages of one log at their times, wherever they stand and whether or not anybody
// consumes. Knows, in bounded memory, when something is due; reads the log to find out what.

import { isBrokerError } from "../broker-error.js";
import { DUE_BLOCK_SIZE, DueIndex } from "../collections/due-index.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { RecordReader } from "../log/record-reader.js";
import type { StoredBatch } from "../log/stored-batch.js";
import type { DeliveryState } from "./delivery-state.js";
import type { Dispatcher } from "./dispatcher.js";
import { EXPIRES_AT_HEADER, timeHeader } from "./message.js";
import { readKept } from "./read-records.js";
import { RecordCursor } from "./record-cursor.js";

/** How many that are due one step takes: in the order of their offsets, so that each batch is gone through once. */
const STEP_MAX = 4096;
/** How many are on their way to the dead letters at once. */
const UNDER_WAY_MAX = 256;
/** When a message in flight whose time is over is looked at again: it may have come back. */
const RECHECK_MS = 1_000;
/** How long a message waits when its dead letter could not be stored: a full disk stays full for a while. */
const RETRY_MS = 30_000;

/** Where messages wait: a queue, or a subscription. */
export interface WaitingPlace {
  readonly state: DeliveryState;
  readonly dispatcher: Dispatcher;
}

/** Whether messages still wait there: neither deleted nor replaced. */
export function isOpen({ state, dispatcher }: WaitingPlace): boolean {
  return !dispatcher.isClosed && !state.isRetired;
}

/** What the expiry of one log is made of. */
export interface LogExpiryParts {
  readonly clock: Clock;
  /** Messages older than this are expired; undefined for no limit. */
  readonly ageMaxMs: number | undefined;
  /** Whether messages may have a time of their own. */
  readonly hasOwnTimes: () => boolean;
  readonly onError: (error: unknown, where: string) => void;
}

export class LogExpiry {
  readonly #log: Log;
  readonly #parts: LogExpiryParts;
  readonly #index = new DueIndex();
  readonly #cursor: RecordCursor;
  readonly #timer: DueTimer;
  #waiting: WaitingPlace[] = [];
  /** Everything before is in the index, or settled. */
  #scannedTo: number;
  #running: Promise<void> | undefined = undefined;
  #isEnded = false;
  /** What the last fetch of the cursor ended with. */
  #fetchError: unknown = undefined;

  constructor(log: Log, parts: LogExpiryParts) {
    this.#log = log;
    this.#parts = parts;
    this.#scannedTo = log.highWatermark;
    this.#timer = new DueTimer(parts.clock, () => this.wake());
    this.#cursor = new RecordCursor(log, (error) => {
      this.#fetchError = error;
    });
  }

  /** Whether something is being done. */
  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Also ends what waits there. What it has not settled is looked through in the background. */
  watch(state: DeliveryState, dispatcher: Dispatcher): void {
    this.#waiting.push({ state, dispatcher });
    this.#scannedTo = Math.min(this.#scannedTo, state.watermark);
    this.wake();
  }

  /** Messages were committed, or a time has come. */
  wake(): void {
    if (this.#running !== undefined || this.#isEnded) return;
    this.#running = this.#run();
  }

  /** Resolves when nothing goes on any more. */
  async close(): Promise<void> {
    this.#isEnded = true;
    this.#timer.cancel();
    await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      // In later turns: a commit that is being told to others is not held up.
      do await new Promise<void>((resolve) => this.#parts.clock.defer(resolve));
      while (!this.#isEnded && (await this.#step(this.#parts.clock.nowMs())));
    } catch (error) {
      this.#isEnded = true;
      if (!isBrokerError(error, "CLOSED"))
        this.#parts.onError(error, `expiring messages of ${this.#log.name}`);
    }
    this.#running = undefined;
    if (this.#isEnded) return;
    // What was committed since the last step saw nothing to do.
    if (this.#scannedTo < this.#log.highWatermark) this.wake();
    else this.#timer.armAtTime(this.#index.nextMs);
  }

  /** Whether there was something to do. */
  async #step(nowMs: number): Promise<boolean> {
    this.#waiting = this.#waiting.filter(isOpen);
    const due = this.#takeDue(nowMs);
    if (due.length > 0) {
      await this.#expireAll(due, nowMs);
      return true;
    }
    const block = this.#index.takeBlock(nowMs);
    if (block >= 0) {
      await this.#readBlock(block, nowMs);
      return true;
    }
    if (this.#scannedTo >= this.#log.highWatermark) return false;
    await this.#scan(nowMs);
    return true;
  }

  #takeDue(nowMs: number): number[] {
    const due: number[] = [];
    for (let offset = this.#index.takeDue(nowMs); offset >= 0; offset = this.#index.takeDue(nowMs)) {
      due.push(offset);
      if (due.length === STEP_MAX) break;
    }
    return due.sort((a, b) => a - b);
  }

  async #expireAll(offsets: readonly number[], nowMs: number): Promise<void> {
    let ended: Promise<void>[] = [];
    for (const offset of offsets) {
      if (this.#isEnded) return;
      if (ended.length >= UNDER_WAY_MAX) {
        await Promise.all(ended);
        ended = [];
      }
      if (this.#waiting.some(({ state }) => state.isWaiting(offset))) {
        const record = await this.#recordAt(offset);
        if (record !== undefined) this.#expire(record, nowMs, ended);
      } else if (!this.#isSettled(offset)) {
        this.#index.addAlone(offset, nowMs + RECHECK_MS);
      }
    }
    await Promise.all(ended);
  }

  /** Wherever it waits. Who is on it in one place and fails finds it expired. */
  #expire(record: StoredRecord, nowMs: number, ended: Promise<void>[]): void {
    const { offset } = record;
    const dueMs = this.#dueMs(record);
    if (dueMs > nowMs) {
      // The wall clock was set back.
      this.#index.add(offset, dueMs, nowMs);
      return;
    }
    if (this.#waiting.some(({ state }) => !state.isSettled(offset) && !state.isWaiting(offset)))
      this.#index.addAlone(offset, nowMs + RECHECK_MS);
    const again = (): void => this.#index.addAlone(offset, nowMs + RETRY_MS);
    for (const { state, dispatcher } of this.#waiting) {
      const buried = dispatcher.expire(record, state);
      if (buried !== undefined) ended.push(buried.then((isGone) => (isGone ? undefined : again())));
    }
  }

  async #recordAt(offset: number): Promise<StoredRecord | undefined> {
    for (;;) {
      if (offset < this.#log.logStartOffset) return undefined;
      const record = this.#cursor.at(offset);
      if (record !== undefined) return record.offset === offset ? record : undefined;
      if (!this.#cursor.isFetching) return undefined;
      await this.#cursor.fetched();
      if (this.#fetchError !== undefined && !isBrokerError(this.#fetchError, "OFFSET_OUT_OF_RANGE"))
        throw this.#fetchError;
    }
  }

  async #readBlock(start: number, nowMs: number): Promise<void> {
    const end = Math.min(start + DUE_BLOCK_SIZE, this.#scannedTo);
    const fromMs = this.#index.takenDueMs;
    for (let offset = start; offset < end && this.#hasUnsettled(offset, end); ) {
      const batches = await this.#read(offset);
      if (batches.length === 0) return;
      for (const batch of batches) {
        if (batch.baseOffset < end) this.#addRecords(batch, offset, end, fromMs, nowMs);
        offset = batch.lastOffset + 1;
      }
    }
  }

  async #scan(nowMs: number): Promise<void> {
    const end = this.#log.highWatermark;
    const from = this.#scannedTo;
    const batches = this.#hasUnsettled(from, end) ? await this.#read(from) : [];
    // Somebody came meanwhile who is not as far.
    if (this.#scannedTo < from) return;
    if (batches.length === 0) this.#scannedTo = end;
    for (const batch of batches) {
      this.#addRecords(batch, this.#scannedTo, batch.lastOffset + 1, 0, nowMs);
      this.#scannedTo = batch.lastOffset + 1;
    }
  }

  /** Those that are due at `fromMs` or later. */
  #addRecords(batch: StoredBatch, start: number, end: number, fromMs: number, nowMs: number): void {
    const reader = new RecordReader(batch);
    reader.skipTo(start);
    for (let record = reader.next(); record !== undefined && record.offset < end; record = reader.next()) {
      const dueMs = this.#dueMs(record);
      const isDue = dueMs >= fromMs && dueMs !== Number.POSITIVE_INFINITY;
      if (isDue && !this.#isSettled(record.offset)) this.#index.add(record.offset, dueMs, nowMs);
    }
  }

  #dueMs(record: StoredRecord): number {
    const { ageMaxMs } = this.#parts;
    const ownMs = this.#parts.hasOwnTimes() ? timeHeader(record, EXPIRES_AT_HEADER) : 0;
    return Math.min(
      ownMs === 0 ? Number.POSITIVE_INFINITY : ownMs,
      ageMaxMs === undefined ? Number.POSITIVE_INFINITY : record.timestampMs + ageMaxMs,
    );
  }

  /** Everywhere. */
  #isSettled(offset: number): boolean {
    return this.#waiting.every(({ state }) => state.isSettled(offset));
  }

  #hasUnsettled(start: number, end: number): boolean {
    return this.#waiting.some(({ state }) => state.hasUnsettled(start, end));
  }

  /** None when there is nothing from `offset` on. */
  async #read(offset: number): Promise<StoredBatch[]> {
    for (;;) {
      const from = Math.max(offset, this.#log.logStartOffset);
      if (from >= this.#log.highWatermark) return [];
      const batches = await readKept(this.#log, from);
      if (batches !== undefined) return batches;
    }
  }
}
