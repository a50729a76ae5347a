// Decides what becomes of a message whose handler failed.

import type { Random } from "../io/io.js";
import { type Duration, toMs } from "./duration.js";
import { invalidOption, knownOptions, oneOf, wholeNumber } from "./option-checks.js";
import type { Reporter } from "./reporter.js";

/**
 * When and how often a failed message is tried again. The defaults try after 1, 2, 4 and 8 seconds, each less up to a
 * fifth.
 */
export interface RetryPolicy {
  /** Tries in all, the first included; then the message is dead-lettered. @default the `attemptsMax` of its queue, which is 5 unless it was declared otherwise */
  readonly attempts?: number;
  /** How many of the retries come at once, before delays begin. @default 0 */
  readonly immediate?: number;
  /** Before the first delayed retry. @default "1s" */
  readonly delay?: Duration;
  /** How delays grow: not at all, by `delay` each time, or doubling. @default "exponential" */
  readonly backoff?: "fixed" | "linear" | "exponential";
  /** The longest delay. @default "5m", or `delay` where that is longer */
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
  /** Exceptions to the policy, by kind of error. A rule's policy begins with what the policy for all others says. */
  readonly errors?: readonly RetryRule[];
}

export type RetryDecision =
  | { readonly kind: "retry"; readonly delayMs: number }
  | { readonly kind: "dead-letter"; readonly reason: "attempts-exhausted" | "rejected" }
  | { readonly kind: "drop" };

interface CompletePolicy {
  /** Undefined: what the queue was declared with. */
  readonly attempts: number | undefined;
  readonly immediate: number;
  readonly delayMs: number;
  readonly backoff: "fixed" | "linear" | "exponential";
  readonly delayMaxMs: number;
  readonly jitter: number;
}

interface CompleteRule {
  readonly fits: (thrown: unknown) => boolean;
  readonly use: CompletePolicy | "dead-letter" | "drop";
}

const DELAY_MAX_MS = 5 * 60_000;
const POLICY_OPTIONS = ["attempts", "immediate", "delay", "backoff", "delayMax", "jitter"];

/** A handler's retry policy, checked once. */
export class Retries {
  /** What a policy that says nothing of attempts gets. */
  attemptsDefault = 5;
  readonly #policy: CompletePolicy;
  readonly #rules: readonly CompleteRule[];
  readonly #random: Random;
  readonly #onError: Reporter;

  /** Errors: INVALID_OPTION. */
  constructor(options: RetryOptions | undefined, random: Random, onError: Reporter) {
    const known = knownOptions("retry", options, [...POLICY_OPTIONS, "errors"]);
    this.#policy = complete(known);
    this.#rules = rulesOf(known);
    this.#random = random;
    this.#onError = onError;
  }

  /** The most tries that any rule allows. */
  get attemptsMax(): number {
    return this.#rules.reduce(
      (max, { use }) => (typeof use === "string" ? max : Math.max(max, this.#attempts(use))),
      this.#attempts(this.#policy),
    );
  }

  /** `attempt` is the one that failed, from 1. Never throws. */
  decide(thrown: unknown, attempt: number): RetryDecision {
    const use = this.#rules.find(({ fits }) => this.#isFit(fits, thrown))?.use ?? this.#policy;
    if (use === "drop") return { kind: "drop" };
    if (use === "dead-letter") return { kind: "dead-letter", reason: "rejected" };
    return this.#retry(use, attempt, undefined);
  }

  /** The handler asked for a retry itself, with a delay of its own perhaps: no rule for errors applies. */
  decideAsked(attempt: number, delayMs: number | undefined): RetryDecision {
    return this.#retry(this.#policy, attempt, delayMs);
  }

  #retry(policy: CompletePolicy, attempt: number, delayMs: number | undefined): RetryDecision {
    if (attempt >= this.#attempts(policy)) return { kind: "dead-letter", reason: "attempts-exhausted" };
    return { kind: "retry", delayMs: delayMs ?? this.#delay(policy, attempt) };
  }

  #attempts(policy: CompletePolicy): number {
    return policy.attempts ?? this.attemptsDefault;
  }

  /** A test that fails itself fits nothing: the message goes on to the next rule. */
  #isFit(fits: (thrown: unknown) => boolean, thrown: unknown): boolean {
    try {
      return fits(thrown);
    } catch (problem) {
      this.#onError(problem, "testing an error by a rule of the retry policy");
      return false;
    }
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

function rulesOf(options: RetryOptions): CompleteRule[] {
  const { errors = [], ...policy } = options;
  if (!Array.isArray(errors)) throw invalidOption("retry.errors", errors, "a list of rules");
  return errors.map((rule: RetryRule) => {
    const { error, use } = knownOptions("retry.errors", rule, ["error", "use"]);
    if (typeof error !== "function")
      throw invalidOption("retry.errors.error", error, "an error class, or a test of what was thrown");
    if (use === "drop" || use === "dead-letter") return { fits: testOf(error), use };
    if (typeof use !== "object" || use === null)
      throw invalidOption("retry.errors.use", use, 'a policy, "dead-letter" or "drop"');
    const own = knownOptions("retry.errors.use", use, POLICY_OPTIONS);
    return { fits: testOf(error), use: complete({ ...policy, ...own }) };
  });
}

/** A class and a test are both functions: a class is written as one, or makes errors. */
function testOf(error: RetryRule["error"]): (thrown: unknown) => boolean {
  const isClass =
    error === Error ||
    (error as { readonly prototype?: unknown }).prototype instanceof Error ||
    /^class\b/.test(Function.prototype.toString.call(error));
  if (isClass) return (thrown) => thrown instanceof (error as new () => unknown);
  return error as (thrown: unknown) => boolean;
}

function complete(policy: RetryPolicy): CompletePolicy {
  const { attempts, immediate = 0, delay = "1s", backoff = "exponential", delayMax } = policy;
  const delayMs = toMs("retry.delay", delay);
  return {
    attempts: attempts === undefined ? undefined : wholeNumber("retry.attempts", attempts),
    immediate: wholeNumber("retry.immediate", immediate, 0),
    delayMs,
    backoff: oneOf("retry.backoff", backoff, ["fixed", "linear", "exponential"]),
    delayMaxMs: delayMax === undefined ? Math.max(DELAY_MAX_MS, delayMs) : toMs("retry.delayMax", delayMax),
    jitter: fraction("retry.jitter", policy.jitter ?? 0.2),
  };
}

function fraction(option: string, value: unknown): number {
  if (typeof value === "number" && value >= 0 && value <= 1) return value;
  throw invalidOption(option, value, "a number from 0 to 1");
}
