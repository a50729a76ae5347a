// The ids of the messages that a queue or group has handled: a message with one of them is settled without being handed
// out.

import { isBrokerError } from "../broker-error.js";
import type { LogStore } from "../log/log-store.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import type { Delivery } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";
import { ID_HEADER } from "./message.js";
import type { RecentIds } from "./recent-ids.js";
import type { SettlementLog } from "./settlement-log.js";

/** From so many on, ids of deliveries that have ended are looked for. */
const SWEEP_MIN = 1024;

/** How long a message waits while another one with its id is being handled. */
const IN_HAND_WAIT_MS = 250;
/** How long a message waits of which it could not be stored that it was handled. */
const RETRY_MS = 1_000;

type ErrorListener = (error: unknown, where: string) => void;

/** The dispatcher that hands out what an inbox admits. */
export interface InboxOwner {
  readonly name: string;
  settle(delivery: Delivery): void;
  release(delivery: Delivery, delayMs: number, keepsTurn?: boolean): void;
  /** The message is done without having been handed out. */
  passOver(record: StoredRecord, state: DeliveryState): void;
}

export class Inbox {
  readonly ids: RecentIds;
  readonly #store: LogStore;
  readonly #settlements: SettlementLog;
  /** The last delivery of each id that is being handled, and of some that are not any more. */
  readonly #handedOut = new Map<string, Delivery>();
  #sweepAt = SWEEP_MIN;

  constructor(store: LogStore, settlements: SettlementLog, ids: RecentIds) {
    this.#store = store;
    this.#settlements = settlements;
    this.ids = ids;
  }

  /**
   * Hot: whether the message, which was taken to be handed out, may be. One whose id was handled is passed over; one
   * whose id is being handled waits.
   */
  admits(record: StoredRecord, state: DeliveryState, nowMs: number, owner: InboxOwner): boolean {
    const id = idOf(record);
    if (id === undefined) return true;
    if (this.ids.find(id) !== undefined) owner.passOver(record, state);
    else if (this.#handedOut.get(id)?.isOpen === true)
      state.holdUntil(record, nowMs + IN_HAND_WAIT_MS, undefined, false);
    else return true;
    return false;
  }

  /** Whether a message with the same id was handled. */
  hasHandled(record: StoredRecord): boolean {
    const id = idOf(record);
    return id !== undefined && this.ids.find(id) !== undefined;
  }

  handedOut(delivery: Delivery): void {
    const id = idOf(delivery.record);
    if (id === undefined) return;
    this.#handedOut.set(id, delivery);
    if (this.#handedOut.size < this.#sweepAt) return;
    for (const [known, { isOpen }] of this.#handedOut) if (!isOpen) this.#handedOut.delete(known);
    this.#sweepAt = Math.max(SWEEP_MIN, 2 * this.#handedOut.size);
  }

  /** Whether handling this message is to be remembered. */
  remembers(record: StoredRecord): boolean {
    return record.header(ID_HEADER) !== undefined;
  }

  /** Within the atomic step that settles the message; undefined for one without an id. Errors: those of the log. */
  remember(record: StoredRecord): PendingAppend | undefined {
    const id = idOf(record);
    if (id === undefined) return undefined;
    this.#handedOut.delete(id);
    return this.ids.remember(id, undefined, undefined);
  }

  /**
   * Settles the message when that is stored, with its id, as one. Never rejects: when it fails, the message comes again;
   * after a failure of the storage not before the next start, which knows whether it was stored.
   */
  async ack(delivery: Delivery, owner: InboxOwner, onError: ErrorListener): Promise<void> {
    const { record, state } = delivery;
    try {
      await this.#settle(state, record);
      owner.settle(delivery);
    } catch (error) {
      // The journal may hold it all the same: then it is settled by the next start, and must not come before.
      if (!isBrokerError(error, "STORAGE_FAILED")) owner.release(delivery, RETRY_MS, true);
      onError(error, `settling message ${record.offset} of ${owner.name}`);
    }
  }

  async #settle(state: DeliveryState, record: StoredRecord): Promise<void> {
    const pending: (PendingAppend | undefined)[] = [];
    this.#store.atomically(() => {
      pending.push(this.remember(record));
      pending.push(this.#settlements.appendSettled(state, record.offset));
    });
    await Promise.all(pending.map((append) => append?.committed));
  }
}

function idOf(record: StoredRecord): string | undefined {
  return record.header(ID_HEADER)?.toString("utf8");
}
