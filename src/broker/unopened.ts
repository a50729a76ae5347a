// A queue or topic that exists and could not be opened. Whatever was bound to it still leads there, and fails.

import { BrokerError, isBrokerError } from "../broker-error.js";

export class Unopened {
  readonly kind: "queue" | "topic";
  readonly name: string;
  readonly #cause: unknown;

  constructor(kind: "queue" | "topic", name: string, cause: unknown) {
    this.kind = kind;
    this.name = name;
    this.#cause = cause;
  }

  /** What whoever needs it is told: the code of what went wrong, and that this is why. */
  get error(): BrokerError {
    return unopened(`The ${this.kind} ${this.name}`, this.#cause);
  }

  assertAccepts(): never {
    throw this.error;
  }

  firstOf(): undefined {
    return undefined;
  }

  append(): never {
    throw this.error;
  }
}

export function unopened(what: string, cause: unknown): BrokerError {
  const code = isBrokerError(cause) ? cause.code : "STORAGE_FAILED";
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BrokerError(
    code,
    `${what} could not be opened when the broker was, and nothing is stored in it or read from it: ${reason}`,
    isBrokerError(cause) ? cause.context : {},
    cause,
  );
}
