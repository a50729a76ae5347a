// Keeps the delivery states of all queues and subscriptions in one log, written behind: losing its end in a crash
// causes redeliveries, never a loss. The format is described in docs/formats/settlements.md.

import { BrokerError, isBrokerError } from "../broker-error.js";
import type { Clock, Timer } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";
import { NO_HEADERS } from "../log/record-headers.js";
import type { DeliveryChanges } from "./delivery-changes.js";
import type { DeliveryState } from "./delivery-state.js";
import { readRecords } from "./read-records.js";

/** How long changes gather before they are written. */
const WRITE_BEHIND_MS = 10;
/** How long to wait before storing is tried again after it failed. */
const RETRY_MS = 1_000;
/** Below this size the log is not rewritten. */
const REWRITE_BYTES_MIN = 8 * 1024 * 1024;
/** What a rewrite appends before it waits for the commit. */
const REWRITE_STEP_BYTES = 4 * 1024 * 1024;

export class SettlementLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #states = new Map<string, DeliveryState>();
  /** What is stored of states that are not open: what they belong to could not be opened. It is kept for when it can. */
  readonly #stored = new Map<string, DeliveryChanges[]>();
  readonly #changed = new Set<DeliveryState>();
  #timer: Timer | undefined = undefined;
  #bytesSinceRewrite = 0;
  #rewriteBytes = 0;
  #rewriting: Promise<void> | undefined = undefined;
  /** Why something that was to be stored was not: only whole states make that good. */
  #lost: unknown = undefined;
  /** Nothing more is stored: the broker only looks, has been closed, or the log has failed for good. */
  #isEnded: boolean;
  /** Whether `onError` has heard that storing fails, and it has not worked since. */
  #isReported = false;
  #isCut = false;
  #pending: PendingAppend | undefined = undefined;
  /** What the last changes went into that were gathered. */
  #step: PendingAppend | undefined = undefined;
  readonly #trimming = new Set<Promise<void>>();

  constructor(log: Log, clock: Clock, readOnly: boolean, onError: (error: unknown, where: string) => void) {
    this.#log = log;
    this.#clock = clock;
    this.#onError = onError;
    this.#isEnded = readOnly;
  }

  /** Whether states were opened of which more was stored than their logs hold: see {@link DeliveryState.recover}. */
  get isCut(): boolean {
    return this.#isCut && !this.#isEnded;
  }

  /** Reads what is stored. Call once, before {@link restore}. Errors: LOG_CORRUPT. */
  async load(): Promise<void> {
    for await (const record of readRecords(this.#log, 0, this.#log.highWatermark)) {
      this.#bytesSinceRewrite += record.sizeBytes;
      this.#loadRecord(record.keyText() ?? "", record.valueText());
    }
  }

  /** Gives a state what is stored of it. It is not kept until {@link add}. */
  restore(state: DeliveryState): void {
    for (const changes of this.#stored.get(state.name) ?? []) state.apply(changes);
    if (state.recover(this.#clock.nowMs()) && isStored(state)) this.#isCut = true;
  }

  /** Keeps a state from now on. */
  add(state: DeliveryState): void {
    this.#stored.delete(state.name);
    this.#states.set(state.name, state);
    if (state.isUnsaved) this.changed(state);
  }

  /** Keeps a state no longer: what it belongs to is gone, or goes on elsewhere. */
  remove(state: DeliveryState): void {
    if (this.#states.get(state.name) === state) this.#states.delete(state.name);
    this.#changed.delete(state);
  }

  /** Forgets what is stored of states that are not open, except those for which `isNeeded` says yes. */
  forgetUnless(isNeeded: (name: string) => boolean): void {
    for (const name of this.#stored.keys()) if (!isNeeded(name)) this.#stored.delete(name);
  }

  /** Hot: called when a state that had nothing to store has something. */
  readonly changed = (state: DeliveryState): void => {
    if (this.#isEnded || !this.#states.has(state.name)) return;
    this.#changed.add(state);
    this.#timer ??= this.#clock.setTimer(this.#write, WRITE_BEHIND_MS, true);
  };

  /**
   * Stores that one message is settled, in the commit that is being gathered: for atomic steps with other logs.
   * Undefined when nothing of the state is stored. Errors: those of the log.
   */
  appendSettled(state: DeliveryState, offset: number): PendingAppend | undefined {
    return isStored(state) ? this.#append(state.name, { n: 0, s: [[offset, offset + 1]] }) : undefined;
  }

  /** Resolves when everything that has changed is stored. Errors: why it could not be. */
  async flush(): Promise<void> {
    await this.#settled();
    if (!this.#isEnded) this.#write();
    await this.#settled();
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Stores what there is to store, and no more after that. Resolves when nothing is under way. Never rejects. */
  async close(): Promise<void> {
    await this.flush().catch(() => undefined);
    // The disk may have been full a moment ago.
    if (this.#lost !== undefined) await this.flush().catch(() => undefined);
    this.#isEnded = true;
    this.#timer?.cancel();
    await Promise.all(this.#trimming);
  }

  /** Stores nothing more: the broker could not be opened. */
  abandon(): void {
    this.#isEnded = true;
    this.#timer?.cancel();
  }

  /** Each step builds on those before it: none is stored before they are, and none after one that was lost. */
  readonly #write = (): void => {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#isStoring) {
      this.#timer = this.#clock.setTimer(this.#write, WRITE_BEHIND_MS, true);
      return;
    }
    try {
      for (const state of this.#changed) {
        const changes = state.takeChanges();
        this.#changed.delete(state);
        if (isStored(state) && this.#lost === undefined) this.#step = this.#append(state.name, changes);
        if (state.ownsLog) this.#trim(state.name, state.trimLog());
      }
    } catch (error) {
      this.#failed(error);
      return;
    }
    const isLarge = this.#bytesSinceRewrite >= Math.max(REWRITE_BYTES_MIN, 4 * this.#rewriteBytes);
    if (isLarge || this.#lost !== undefined) this.#rewriting ??= this.#rewrite();
  };

  get #isStoring(): boolean {
    return this.#step?.state === "pending" || this.#rewriting !== undefined;
  }

  /** Resolves when nothing is being stored. */
  async #settled(): Promise<void> {
    while (this.#isStoring) {
      // Commits of one log end in their order, so the last one tells of all.
      await this.#step?.committed.catch(() => undefined);
      await this.#rewriting;
    }
  }

  #trim(name: string, trimming: Promise<void>): void {
    const ended = trimming
      .catch((error: unknown) => this.#onError(error, `deleting what is settled of ${name}`))
      .finally(() => this.#trimming.delete(ended));
    this.#trimming.add(ended);
  }

  #append(name: string, changes: DeliveryChanges): PendingAppend {
    const text = JSON.stringify(changes);
    const pending = this.#log.append(this.#clock.nowMs(), name, text, NO_HEADERS);
    this.#bytesSinceRewrite += text.length + name.length;
    if (pending !== this.#pending) {
      this.#pending = pending;
      pending.committed.catch((error: unknown) => this.#failed(error));
    }
    return pending;
  }

  /** What was to be stored is lost. Whole states are stored instead, when the log takes them again. */
  #failed(error: unknown): void {
    this.#lost = error;
    this.#timer?.cancel();
    this.#timer = undefined;
    // It may be another log of an atomic step that has failed for good.
    const isFinal = this.#log.failure !== undefined || isBrokerError(error, "CLOSED");
    const isNews = isFinal ? !this.#isEnded : !this.#isReported;
    if (isNews) this.#onError(error, "storing settlements");
    this.#isReported = true;
    if (isFinal) this.#isEnded = true;
    if (!this.#isEnded) this.#timer = this.#clock.setTimer(this.#write, RETRY_MS, true);
  }

  /** Stores every state whole, and lets go of what came before once that is committed. Never rejects. */
  async #rewrite(): Promise<void> {
    this.#lost = undefined;
    const firstKept = this.#log.highWatermark;
    const bytesBefore = this.#bytesSinceRewrite;
    try {
      await this.#appendAll();
      // What was committed before, and noted in its state only after that was looked at, must not go with it.
      for (const state of this.#changed) if (isStored(state)) this.#append(state.name, state.takeChanges());
      if (this.#pending?.state === "pending") await this.#pending.committed;
      this.#rewriteBytes = this.#bytesSinceRewrite - bytesBefore;
      this.#bytesSinceRewrite = this.#rewriteBytes;
      this.#isReported = false;
      this.#trim("every queue and group", this.#log.deleteBefore(firstKept));
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#rewriting = undefined;
    }
  }

  /** Resolves when all of it is committed. */
  async #appendAll(): Promise<void> {
    let pending = new Set<PendingAppend>();
    let bytesBefore = this.#bytesSinceRewrite;
    for (const [name, steps] of this.#wholeStates()) {
      for (const changes of steps) {
        // Ranges belong together; each failure stands for itself.
        if (changes.f !== undefined && this.#bytesSinceRewrite - bytesBefore >= REWRITE_STEP_BYTES) {
          await committed(pending);
          pending = new Set();
          bytesBefore = this.#bytesSinceRewrite;
        }
        pending.add(this.#append(name, changes));
      }
      if (this.#bytesSinceRewrite - bytesBefore < REWRITE_STEP_BYTES) continue;
      await committed(pending);
      pending = new Set();
      bytesBefore = this.#bytesSinceRewrite;
    }
    await committed(pending);
  }

  *#wholeStates(): Generator<[name: string, steps: Iterable<DeliveryChanges>]> {
    for (const state of [...this.#states.values()]) if (isStored(state)) yield [state.name, state.snapshot()];
    yield* [...this.#stored];
  }

  #loadRecord(name: string, text: string): void {
    let changes: unknown;
    try {
      changes = JSON.parse(text);
    } catch (error) {
      throw unreadable(name, error);
    }
    if (typeof changes !== "object" || changes === null || !("n" in changes))
      throw unreadable(name, undefined);
    const stored = this.#stored.get(name);
    if (stored === undefined) this.#stored.set(name, [changes as DeliveryChanges]);
    else stored.push(changes as DeliveryChanges);
  }
}

/** What is in memory only is gone with the process, and so is what became of it. */
function isStored(state: DeliveryState): boolean {
  return state.log.options.durability !== "memory";
}

async function committed(pending: ReadonlySet<PendingAppend>): Promise<void> {
  await Promise.all([...pending].map((append) => append.committed));
}

function unreadable(name: string, cause: unknown): BrokerError {
  return new BrokerError(
    "LOG_CORRUPT",
    `The log of settlements holds a record of ${name} that is not a step of a delivery state.`,
    { source: name },
    cause,
  );
}
