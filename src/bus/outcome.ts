// What a handler may say became of a message, when neither returning nor throwing says it.

import { type Duration, toMs } from "./duration.js";
import { invalidOption } from "./option-checks.js";

const BRAND: unique symbol = Symbol("omnibus.outcome");

/** Made with {@link ack}, {@link reply}, {@link retry}, {@link deadLetter} or {@link drop}. */
export type Outcome<Reply = unknown> = { readonly [BRAND]: true } & (
  | { readonly kind: "ack" | "drop" }
  | { readonly kind: "reply"; readonly value: Reply }
  | { readonly kind: "retry"; readonly afterMs: number | undefined; readonly reason: string }
  | { readonly kind: "dead-letter"; readonly reason: string }
);

const ACK: Outcome<never> = { [BRAND]: true, kind: "ack" };
const DROP: Outcome<never> = { [BRAND]: true, kind: "drop" };

/** The message is done; the same as returning nothing. */
export function ack(): Outcome<never> {
  return ACK;
}

/**
 * The message is done, and this is the answer to whoever asked with `request` or `gather`. When nobody did, as with `send`,
 * it is the same as {@link ack}. A value that does not fit the type's `reply` makes the message a dead letter.
 */
export function reply<Reply>(value: Reply): Outcome<Reply> {
  return { [BRAND]: true, kind: "reply", value };
}

/**
 * Try the message again: after `after`, or when the handler's retry policy says. Counts as a failed attempt, so the last
 * one leads to the dead letters. Errors: INVALID_OPTION.
 */
export function retry(options: { readonly after?: Duration; readonly reason?: string } = {}): Outcome<never> {
  const { after, reason = "the handler asked for a retry" } = options;
  const afterMs = after === undefined ? undefined : toMs("after", after);
  return { [BRAND]: true, kind: "retry", afterMs, reason: String(reason) };
}

/** Move the message to the dead letters at once, with `reason`. Errors: INVALID_OPTION without one. */
export function deadLetter(reason: string): Outcome<never> {
  return { [BRAND]: true, kind: "dead-letter", reason: checkedReason(reason) };
}

/** The message is of no use: it is done, and nothing is kept of it. */
export function drop(): Outcome<never> {
  return DROP;
}

/** Whether one of the functions here made it. Never throws, whatever a handler returned. */
export function isOutcome(value: unknown): value is Outcome {
  try {
    return typeof value === "object" && value !== null && BRAND in value;
  } catch {
    return false;
  }
}

/** Whether the message is done with it. */
export function isSettling({ kind }: Outcome): boolean {
  return kind === "ack" || kind === "reply" || kind === "drop";
}

/** What a handler's call came to. Errors: TypeError when it is neither nothing nor an outcome. */
export function outcomeOf(returned: unknown): Outcome {
  if (returned === undefined) return ACK;
  if (isOutcome(returned)) return returned;
  throw notAnOutcome(returned);
}

export function notAnOutcome(returned: unknown): TypeError {
  return new TypeError(
    `the handler has to return nothing, or ack(), reply(value), retry(), deadLetter(reason) or drop(); it returned ${nameOf(returned)}`,
  );
}

function nameOf(returned: unknown): string {
  if (returned === null) return "null";
  return typeof returned === "object" ? "an object" : `a ${typeof returned}`;
}

/** Errors: INVALID_OPTION. */
export function checkedReason(reason: unknown): string {
  if (typeof reason === "string" && reason !== "") return reason;
  throw invalidOption("reason of deadLetter", reason, "a sentence that says what is wrong with the message");
}
