// Keeps the delivery states of all queues and subscriptions in one log, written behind: losing its end in a crash
// causes redeliveries, never a loss. The format is described in docs/formats/settlements.md.

import { BrokerError } from "../broker-error.js";
import type { Clock, Timer } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";
import { NO_HEADERS } from "../log/record-headers.js";
import type { DeliveryState, DeliveryStateChanges } from "./delivery-state.js";
import { readRecords } from "./read-records.js";

/** How long changes gather before they are written. */
const WRITE_BEHIND_MS = 10;
/** Below this size the log is not rewritten. */
const REWRITE_BYTES_MIN = 8 * 1024 * 1024;

export class SettlementLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #states = new Map<string, DeliveryState>();
  /** What was stored for states that have not been opened yet. */
  readonly #stored = new Map<string, DeliveryStateChanges[]>();
  readonly #changed = new Set<DeliveryState>();
  #timer: Timer | undefined = undefined;
  #bytesSinceSnapshot = 0;
  #snapshotBytes = 0;
  #isClosed = false;
  #pending: PendingAppend | undefined = undefined;

  constructor(log: Log, clock: Clock, readOnly: boolean, onError: (error: unknown, where: string) => void) {
    this.#log = log;
    this.#clock = clock;
    this.#onError = onError;
    this.#isClosed = readOnly;
  }

  /** Reads what is stored. Call once, before {@link add}. */
  async load(): Promise<void> {
    for await (const record of readRecords(this.#log, 0, this.#log.highWatermark)) {
      this.#loadRecord(record.keyText() ?? "", record.valueText());
    }
  }

  /** Gives a new state what is stored of it, and keeps it from then on. */
  add(state: DeliveryState): void {
    const stored = this.#stored.get(state.name) ?? [];
    this.#stored.delete(state.name);
    this.#states.set(state.name, state);
    for (const changes of stored) state.apply(changes);
    state.recover(this.#clock.nowMs());
  }

  /** Forgets what is stored of states that nobody added: what they belonged to was deleted. */
  forgetOthers(): void {
    this.#stored.clear();
  }

  /** Forgets a state that was deleted. Names are never used again. */
  remove(state: DeliveryState): void {
    this.#states.delete(state.name);
    this.#changed.delete(state);
  }

  /** Hot: called when a state that had nothing to store has something. */
  readonly changed = (state: DeliveryState): void => {
    if (this.#isClosed) return;
    this.#changed.add(state);
    if (this.#timer === undefined) {
      this.#timer = this.#clock.setTimer(this.#writeChanges, WRITE_BEHIND_MS, true);
    }
  };

  /** Stores that one message is settled, in the commit that is being gathered. For atomic steps with other logs. */
  appendSettled(state: DeliveryState, offset: number): void {
    this.#append(state.name, { n: 0, s: [[offset, offset + 1]] });
  }

  /** Hands all changes to the log. They are on disk when the store has been flushed. */
  flush(): void {
    this.#timer?.cancel();
    this.#writeChanges();
  }

  close(): void {
    this.flush();
    this.#isClosed = true;
  }

  readonly #writeChanges = (): void => {
    this.#timer = undefined;
    try {
      for (const state of this.#changed) {
        this.#append(state.name, state.takeChanges());
        if (state.ownsLog) state.trimLog(this.#onError);
      }
      this.#changed.clear();
      this.#rewriteWhenLarge();
    } catch (error) {
      this.#onError(error, "storing settlements");
    }
  };

  #append(name: string, changes: DeliveryStateChanges): void {
    const text = JSON.stringify(changes);
    this.#bytesSinceSnapshot += text.length + name.length;
    const pending = this.#log.append(this.#clock.nowMs(), name, text, NO_HEADERS);
    if (pending === this.#pending) return;
    this.#pending = pending;
    pending.committed.catch((error: unknown) => {
      // What these changes said is lost; each state's next record says everything.
      this.#bytesSinceSnapshot = Number.POSITIVE_INFINITY;
      this.#onError(error, "storing settlements");
    });
  }

  /** Stores every state whole once the changes outweigh that by far, and lets go of what came before. */
  #rewriteWhenLarge(): void {
    if (this.#bytesSinceSnapshot < Math.max(REWRITE_BYTES_MIN, 4 * this.#snapshotBytes)) return;
    const before = this.#bytesSinceSnapshot;
    const firstKept = this.#log.highWatermark;
    for (const state of this.#states.values()) this.#append(state.name, state.snapshot());
    this.#snapshotBytes = this.#bytesSinceSnapshot - before;
    this.#bytesSinceSnapshot = 0;
    this.#deleteBeforeOnceStored(firstKept);
  }

  #deleteBeforeOnceStored(offset: number): void {
    const pending = this.#log.append(this.#clock.nowMs(), "", "{}", NO_HEADERS);
    pending.committed
      .then(() => this.#log.deleteBefore(offset))
      .catch((error: unknown) => this.#onError(error, "rewriting settlements"));
  }

  #loadRecord(name: string, text: string): void {
    if (name === "") return;
    let changes: unknown;
    try {
      changes = JSON.parse(text);
    } catch (error) {
      throw new BrokerError(
        "LOG_CORRUPT",
        `The log of settlements holds a record of ${name} that is not JSON.`,
        { source: name },
        error,
      );
    }
    const stored = this.#stored.get(name);
    if (stored === undefined) this.#stored.set(name, [changes as DeliveryStateChanges]);
    else stored.push(changes as DeliveryStateChanges);
  }
}
