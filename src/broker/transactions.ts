// Settlements and appends as one: after a crash all of it is there, or nothing.

import { isBrokerError } from "../broker-error.js";
import type { LogStore } from "../log/log-store.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { Appended } from "./appended.js";
import type { Delivery } from "./delivery.js";
import type { SettlementLog } from "./settlement-log.js";

export class Transactions {
  readonly #store: LogStore;
  readonly #settlements: SettlementLog;

  constructor(store: LogStore, settlements: SettlementLog) {
    this.#store = store;
    this.#settlements = settlements;
  }

  /**
   * Acknowledges `deliveries` and takes what `append` hands over. Throws at once, with nothing done: LEASE_LOST, what
   * `append` throws, those of storage. Resolves when all of it is committed, and only then do the deliveries count as
   * settled. When it rejects, nothing of it is there and the deliveries are leased anew; but with STORAGE_FAILED that is
   * not known before the broker is opened again, and until then nobody gets them. Errors: DISK_FULL, STORAGE_FAILED, CLOSED.
   */
  commit(deliveries: readonly Delivery[], append: () => readonly Appended[]): Promise<void> {
    const settled = new Set(deliveries);
    for (const delivery of settled) delivery.assertLeased();
    let appended: readonly Appended[] = [];
    const settlements = new Set<PendingAppend | undefined>();
    this.#store.atomically(() => {
      appended = append();
      // Last: an append that throws must not take settlements back that others wait for.
      for (const { state, record, consumer } of settled) {
        settlements.add(consumer.dispatcher.inbox?.remember(record));
        settlements.add(this.#settlements.appendSettled(state, record.offset));
      }
    });
    // Only asked for when the step is done: an append that is taken back rejects.
    const commits = new Set([...appended, ...settlements].map((one) => one?.committed));
    return end([...settled], Promise.all(commits));
  }
}

async function end(deliveries: readonly Delivery[], committed: Promise<unknown>): Promise<void> {
  for (const delivery of deliveries) delivery.beginSettling();
  try {
    await committed;
  } catch (error) {
    // The journal may hold it all the same: a message that was handed out again would then be settled by the next start.
    const isUnknown = isBrokerError(error, "STORAGE_FAILED");
    for (const delivery of deliveries) isUnknown ? delivery.leaveSettling() : delivery.failSettling();
    throw error;
  }
  for (const delivery of deliveries) delivery.endSettling();
}
