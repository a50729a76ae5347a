// Refusing calls that nobody waits for: it must cost less than what is refused, or a publisher that never waits fills the
// memory with refusals.

import { type BrokerError, isBrokerError } from "../broker-error.js";

const refusals = new WeakMap<object, Promise<never>>();

/**
 * A promise that rejects with `error`. All that are refused for one reason, and with one error, get the same promise:
 * nothing is allocated for each.
 */
export function refused(error: unknown): Promise<never> {
  if (!isBrokerError(error, "TOO_MANY_PENDING")) return Promise.reject(error);
  let refusal = refusals.get(error);
  if (refusal === undefined) {
    refusal = Promise.reject(error);
    refusals.set(error, refusal);
  }
  return refusal;
}

/** The error of those who are refused until there is room: one for all of them, because its stack costs more than a message. */
export class Refusal {
  #error: BrokerError | undefined = undefined;

  /** The same one until {@link lift} is called. */
  error(make: () => BrokerError): BrokerError {
    this.#error ??= make();
    return this.#error;
  }

  /** Hot: there is room. */
  lift(): void {
    this.#error = undefined;
  }
}
