// Whether messages of a queue or topic may expire, and who sees to that. One without an age limit, that never had a
// message that expires, costs nothing.

import type { Log } from "../log/log.js";
import type { Catalog } from "./catalog.js";
import type { DeliveryState } from "./delivery-state.js";
import type { Dispatcher } from "./dispatcher.js";
import { isOpen, LogExpiry, type LogExpiryParts, type WaitingPlace } from "./log-expiry.js";

/** What expiry is built on, for all queues and topics of a broker. */
export interface ExpiryParts extends Pick<LogExpiryParts, "clock" | "onError"> {
  readonly catalog: Catalog;
  /** See `LogStore.atomically`. */
  readonly atomically: (action: () => void) => void;
}

export class SourceExpiry {
  readonly #id: number;
  readonly #parts: ExpiryParts;
  readonly #ageMaxMs: number | undefined;
  readonly #logs = new Map<Log, LogExpiry>();
  #watched: readonly WaitingPlace[] = [];
  #hasOwnTimes: boolean;
  #isStarted = false;
  #isWatching = false;

  /** `id`: of the queue or topic. `ageMaxMs`: undefined for no limit. */
  constructor(id: number, ageMaxMs: number | undefined, parts: ExpiryParts) {
    this.#id = id;
    this.#parts = parts;
    this.#ageMaxMs = ageMaxMs;
    this.#hasOwnTimes = parts.catalog.has({ kind: "expiry", of: id });
  }

  /** Hot: whether it is known, and stored, that there are messages that expire. Else see {@link begin}. */
  get hasOwnTimes(): boolean {
    return this.#hasOwnTimes;
  }

  get isBusy(): boolean {
    for (const expiry of this.#logs.values()) if (expiry.isBusy) return true;
    return false;
  }

  /** Ends what waits there, as long as its dispatcher is open. */
  watch(state: DeliveryState, dispatcher: Dispatcher): void {
    this.#watched = [...this.#watched.filter(isOpen), { state, dispatcher }];
    if (this.#isWatching) this.#watch(state, dispatcher);
  }

  /** Everything is open: what is due may be ended. */
  start(): void {
    this.#isStarted = true;
    if (this.#hasOwnTimes || this.#ageMaxMs !== undefined) this.#watchAll();
  }

  /** `append` appends the first message that expires. That there are some is stored in the same atomic step. */
  begin<T extends { readonly committed: Promise<void> }>(append: () => T): T {
    let appended: T | undefined;
    this.#hasOwnTimes = true;
    try {
      this.#parts.atomically(() => {
        this.#parts.catalog.append({ kind: "expiry", of: this.#id });
        appended = append();
      });
    } catch (error) {
      this.#hasOwnTimes = false;
      throw error;
    }
    appended!.committed.then(
      () => this.#watchAll(),
      () => {
        this.#hasOwnTimes = false;
      },
    );
    return appended!;
  }

  /** Hot: called after each commit. */
  committed(log: Log): void {
    if (this.#logs.size > 0) this.#logs.get(log)?.wake();
  }

  async close(): Promise<void> {
    this.#isStarted = false;
    await Promise.all([...this.#logs.values()].map((expiry) => expiry.close()));
  }

  #watchAll(): void {
    if (!this.#isStarted || this.#isWatching) return;
    this.#isWatching = true;
    for (const { state, dispatcher } of this.#watched) this.#watch(state, dispatcher);
  }

  #watch(state: DeliveryState, dispatcher: Dispatcher): void {
    const { log } = state;
    let expiry = this.#logs.get(log);
    if (expiry === undefined) {
      expiry = new LogExpiry(log, {
        clock: this.#parts.clock,
        onError: this.#parts.onError,
        ageMaxMs: this.#ageMaxMs,
        hasOwnTimes: () => this.#hasOwnTimes,
      });
      this.#logs.set(log, expiry);
    }
    expiry.watch(state, dispatcher);
  }
}
