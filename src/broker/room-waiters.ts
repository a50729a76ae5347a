// Publishers that wait for room somewhere, in the order in which they came.

import { BrokerError } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import { onAbort } from "../io/on-abort.js";

/** How many publishers may wait for room in one place. */
const ROOM_WAITERS_MAX = 10_000;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Whoever is let in has its place for the rest of the turn: it appends at once when its wait is over. What it does
 * not use by then goes to the next.
 */
export class RoomWaiters {
  /** A queue, or whatever else is full. */
  readonly #where: string;
  readonly #clock: Clock;
  readonly #hasRoom: (besides: number) => boolean;
  readonly #waiters = new Set<Waiter>();
  /** Let in during this turn, and not come yet. */
  #expected = 0;
  #isTurnEnding = false;
  #closedFor: BrokerError | undefined = undefined;

  /** `hasRoom` says whether there is room for one more message besides so many that are expected. */
  constructor(where: string, clock: Clock, hasRoom: (besides: number) => boolean) {
    this.#where = where;
    this.#clock = clock;
    this.#hasRoom = hasRoom;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Whether another publisher has to stand in line. */
  get mustWait(): boolean {
    return this.#waiters.size > 0 || !this.#hasRoom(this.#expected);
  }

  /** Errors: TOO_MANY_PENDING when too many wait, CLOSED, or the signal's reason. */
  async wait(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closedFor !== undefined) throw this.#closedFor;
    if (this.#waiters.size >= ROOM_WAITERS_MAX) {
      throw new BrokerError(
        "TOO_MANY_PENDING",
        `${ROOM_WAITERS_MAX} publishers wait for room in ${this.#where} already. Await each publish, or add consumers.`,
        { where: this.#where },
      );
    }
    let forget: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = { resolve, reject };
        this.#waiters.add(waiter);
        const giveUp = () => {
          if (this.#waiters.delete(waiter)) reject(signal!.reason);
        };
        if (signal !== undefined) forget = onAbort(signal, giveUp);
        this.admit();
      });
    } finally {
      forget?.();
    }
  }

  /** Whether the publisher that appends now was let in. */
  arrive(): boolean {
    if (this.#expected === 0) return false;
    this.#expected -= 1;
    return true;
  }

  /** Lets in as many as there is room for. */
  admit(): void {
    for (const waiter of this.#waiters) {
      if (!this.#hasRoom(this.#expected)) return;
      this.#waiters.delete(waiter);
      this.#expected += 1;
      this.#endTurnLater();
      waiter.resolve();
    }
  }

  /** `reason` is what those who wait are told. @default CLOSED */
  close(reason = this.#closed()): void {
    this.#closedFor = reason;
    for (const waiter of this.#waiters) waiter.reject(reason);
    this.#waiters.clear();
  }

  #endTurnLater(): void {
    if (this.#isTurnEnding) return;
    this.#isTurnEnding = true;
    this.#clock.defer(() => {
      this.#isTurnEnding = false;
      this.#expected = 0;
      this.admit();
    });
  }

  #closed(): BrokerError {
    return new BrokerError("CLOSED", `A publisher waited for room in ${this.#where} when that was closed.`, {
      where: this.#where,
    });
  }
}
