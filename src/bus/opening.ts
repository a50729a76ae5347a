// Messages that wait until what they go to is declared, within a bound.

import { BrokerError } from "../broker-error.js";
import { Refusal } from "./refusal.js";

/** How many messages of one bus may wait for that. */
const OPENING_MAX = 100_000;

export class Opening {
  readonly #refusal = new Refusal();
  #waiting = 0;

  /** Errors: TOO_MANY_PENDING. */
  assertRoom(): void {
    if (this.#waiting >= OPENING_MAX) throw this.#refusal.error(tooMany);
  }

  /** Counts who waits for `opened`, and settles as it does. */
  async wait<T>(opened: Promise<T>): Promise<T> {
    this.#waiting += 1;
    try {
      return await opened;
    } finally {
      this.#waiting -= 1;
      this.#refusal.lift();
    }
  }
}

function tooMany(): BrokerError {
  return new BrokerError(
    "TOO_MANY_PENDING",
    `${OPENING_MAX} messages wait until what they go to is declared. Wait for earlier ones, or declare it first.`,
    { waitingMax: OPENING_MAX },
  );
}
