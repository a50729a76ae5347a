// What a handler may say became of a message, when neither returning nor throwing says it.

import { BrokerError } from "../broker-error.js";
import { type Duration, toMs } from "./duration.js";

const BRAND: unique symbol = Symbol("omnibus.outcome");

/** Made with {@link ack}, {@link retry}, {@link deadLetter} or {@link drop}. */
export type Outcome = { readonly [BRAND]: true } & (
  | { readonly kind: "ack" | "drop" }
  | { readonly kind: "retry"; readonly afterMs: number | undefined; readonly reason: string }
  | { readonly kind: "dead-letter"; readonly reason: string }
);

const ACK: Outcome = { [BRAND]: true, kind: "ack" };
const DROP: Outcome = { [BRAND]: true, kind: "drop" };

/** The message is done; the same as returning nothing. */
export function ack(): Outcome {
  return ACK;
}

/**
 * Try the message again: after `after`, or when the handler's retry policy says. Counts as a failed attempt, so the last
 * one leads to the dead letters. Errors: INVALID_OPTION.
 */
export function retry(options: { after?: Duration; reason?: string } = {}): Outcome {
  const afterMs = options.after === undefined ? undefined : toMs("after", options.after);
  return { [BRAND]: true, kind: "retry", afterMs, reason: options.reason ?? "the handler asked for a retry" };
}

/** Move the message to the dead letters at once, with `reason`. Errors: INVALID_OPTION without one. */
export function deadLetter(reason: string): Outcome {
  if (typeof reason !== "string" || reason === "")
    throw new BrokerError(
      "INVALID_OPTION",
      "deadLetter needs a reason: say in a sentence what is wrong with the message.",
    );
  return { [BRAND]: true, kind: "dead-letter", reason };
}

/** The message is of no use: it is done, and nothing is kept of it. */
export function drop(): Outcome {
  return DROP;
}

export function isOutcome(value: unknown): value is Outcome {
  return typeof value === "object" && value !== null && BRAND in value;
}
