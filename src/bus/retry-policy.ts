// Decides what becomes of a message whose handler failed.

import { BrokerError } from "../broker-error.js";
import type { Random } from "../io/io.js";
import { type Duration, toMs } from "./duration.js";

/**
 * When and how often a failed message is tried again. The defaults try after 1, 2, 4 and 8 seconds, each less up to a
 * fifth.
 */
export interface RetryPolicy {
  /** Tries in all, the first included; then the message is dead-lettered. @default 5 */
  readonly attempts?: number;
  /** How many of the retries come at once, before delays begin. @default 0 */
  readonly immediate?: number;
  /** Before the first delayed retry. @default "1s" */
  readonly delay?: Duration;
  /** How delays grow: not at all, by `delay` each time, or doubling. @default "exponential" */
  readonly backoff?: "fixed" | "linear" | "exponential";
  /** The longest delay. @default "5m" */
  readonly delayMax?: Duration;
  /** The part of each delay that is random, so that failures do not come back together: 0 to 1. @default 0.2 */
  readonly jitter?: number;
}

/** What one kind of error gets instead of the policy for all others. */
export interface RetryRule {
  /** An error class, or a test of what was thrown. The first rule that fits is taken. */
  readonly error: (abstract new (...args: never[]) => unknown) | ((thrown: unknown) => boolean);
  readonly use: RetryPolicy | "dead-letter" | "drop";
}

export interface RetryOptions extends RetryPolicy {
  /** Exceptions to the policy, by kind of error. */
  readonly errors?: readonly RetryRule[];
}

export type RetryDecision =
  | { readonly kind: "retry"; readonly delayMs: number }
  | { readonly kind: "dead-letter" }
  | { readonly kind: "drop" };

interface CompletePolicy {
  readonly attempts: number;
  readonly immediate: number;
  readonly delayMs: number;
  readonly backoff: "fixed" | "linear" | "exponential";
  readonly delayMaxMs: number;
  readonly jitter: number;
}

/** A handler's retry policy, checked once. */
export class Retries {
  readonly #policy: CompletePolicy;
  readonly #rules: readonly {
    readonly fits: (thrown: unknown) => boolean;
    readonly use: CompletePolicy | "dead-letter" | "drop";
  }[];
  readonly #random: Random;

  /** Errors: INVALID_OPTION. */
  constructor(options: RetryOptions, random: Random) {
    this.#policy = complete(options);
    this.#rules = (options.errors ?? []).map(({ error, use }) => ({
      fits: fits(error),
      use: typeof use === "string" ? use : complete({ ...options, ...use }),
    }));
    this.#random = random;
  }

  /** The most tries that any rule allows. */
  get attemptsMax(): number {
    return Math.max(
      this.#policy.attempts,
      ...this.#rules.map(({ use }) => (typeof use === "string" ? 1 : use.attempts)),
    );
  }

  /** `attempt` is the one that failed, from 1. A delay that the handler asked for replaces the policy's. */
  decide(thrown: unknown, attempt: number, askedDelayMs?: number): RetryDecision {
    const rule = this.#rules.find(({ fits }) => fits(thrown))?.use ?? this.#policy;
    if (rule === "dead-letter" || rule === "drop") return { kind: rule };
    if (attempt >= rule.attempts) return { kind: "dead-letter" };
    return { kind: "retry", delayMs: askedDelayMs ?? this.#delay(rule, attempt) };
  }

  #delay(policy: CompletePolicy, attempt: number): number {
    const delayed = attempt - policy.immediate;
    if (delayed <= 0) return 0;
    const growth = growthOf(policy.backoff, delayed);
    const full = Math.min(policy.delayMs * growth, policy.delayMaxMs);
    return Math.round(full * (1 - policy.jitter * this.#random.fraction()));
  }
}

/** By how much the delay is multiplied before the `delayed`th delayed retry, from 1. */
function growthOf(backoff: CompletePolicy["backoff"], delayed: number): number {
  if (backoff === "fixed") return 1;
  return backoff === "linear" ? delayed : 2 ** Math.min(delayed - 1, 40);
}

function fits(error: RetryRule["error"]): (thrown: unknown) => boolean {
  const isClass =
    error === Error ||
    Object.prototype.isPrototypeOf.call(Error, error) ||
    /^class\b/.test(Function.prototype.toString.call(error));
  if (isClass) return (thrown) => thrown instanceof (error as new () => unknown);
  return error as (thrown: unknown) => boolean;
}

function complete(policy: RetryPolicy): CompletePolicy {
  const completed: CompletePolicy = {
    attempts: policy.attempts ?? 5,
    immediate: policy.immediate ?? 0,
    delayMs: toMs("retry.delay", policy.delay ?? "1s"),
    backoff: policy.backoff ?? "exponential",
    delayMaxMs: toMs("retry.delayMax", policy.delayMax ?? "5m"),
    jitter: policy.jitter ?? 0.2,
  };
  check(
    "attempts",
    completed.attempts,
    Number.isInteger(completed.attempts) && completed.attempts >= 1,
    "a whole number of at least 1",
  );
  check(
    "immediate",
    completed.immediate,
    Number.isInteger(completed.immediate) && completed.immediate >= 0,
    "a whole number of at least 0",
  );
  check(
    "backoff",
    completed.backoff,
    ["fixed", "linear", "exponential"].includes(completed.backoff),
    '"fixed", "linear" or "exponential"',
  );
  check("jitter", completed.jitter, completed.jitter >= 0 && completed.jitter <= 1, "a number from 0 to 1");
  return completed;
}

function check(option: string, value: unknown, isValid: boolean, wanted: string): void {
  if (!isValid)
    throw new BrokerError(
      "INVALID_OPTION",
      `The option retry.${option} is ${JSON.stringify(value)}; give ${wanted}.`,
      { option, value: String(value) },
    );
}
