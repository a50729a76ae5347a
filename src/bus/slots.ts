// Places for messages under way, and those who wait for one, in the order in which they came.

import { BrokerError } from "../broker-error.js";
import { onAbort } from "../io/on-abort.js";
import { Refusal } from "./refusal.js";

/** How many may wait for a place. */
const SLOT_WAITERS_MAX = 10_000;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Slots {
  readonly #where: string;
  readonly #max: number;
  readonly #waiters = new Set<Waiter>();
  readonly #refusal = new Refusal();
  #taken = 0;

  /** `where` says whose places these are, for errors. */
  constructor(where: string, max: number) {
    this.#where = where;
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Hot: takes a place; false when there is none. */
  tryTake(): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken += 1;
    return true;
  }

  /** Errors: TOO_MANY_PENDING when there is no place and too many wait for one. */
  assertMayWait(): void {
    if (this.#waiters.size < SLOT_WAITERS_MAX) return;
    throw this.#refusal.error(() =>
      this.tooMany(`${SLOT_WAITERS_MAX} calls wait for a place already. Await each send`),
    );
  }

  /** Resolves with a place taken. Errors: TOO_MANY_PENDING when too many wait, what {@link Slots.rejectAll} was told, the signal's reason. */
  async take(signal: AbortSignal | undefined): Promise<void> {
    if (this.tryTake()) return;
    this.assertMayWait();
    let forget: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = { resolve, reject };
        this.#waiters.add(waiter);
        const giveUp = () => {
          if (this.#waiters.delete(waiter)) reject(signal!.reason);
        };
        if (signal !== undefined) forget = onAbort(signal, giveUp);
      });
    } finally {
      forget?.();
    }
  }

  /** Hot: gives a place back: whoever waits first has it at once, so that nobody overtakes. */
  release(): void {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      this.#refusal.lift();
      waiter.resolve();
      return;
    }
    this.#taken -= 1;
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
  }

  /** `problem` ends where the remedy begins. */
  tooMany(problem: string): BrokerError {
    return new BrokerError("TOO_MANY_PENDING", `${this.#where}: ${problem}, or raise pendingMax.`, {
      where: this.#where,
      pending: this.#taken,
      pendingMax: this.#max,
    });
  }
}
