// Checks of options. What is wrong is said with the option's name, what it was given, and what it may be.

import { BrokerError } from "../broker-error.js";

/** Errors: INVALID_OPTION, always. */
export function invalidOption(option: string, value: unknown, wanted: string): BrokerError {
  return new BrokerError("INVALID_OPTION", `The option ${option} is ${shown(value)}; give ${wanted}.`, {
    option,
    value: shown(value),
  });
}

/** A value as an error names it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** Errors: INVALID_OPTION. */
export function wholeNumber(option: string, value: unknown, min = 1): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min) return value;
  throw invalidOption(option, value, `a whole number of at least ${min}`);
}

/** A whole number of at least 1, or Infinity: no limit. Errors: INVALID_OPTION. */
export function optionalLimit(option: string, value: unknown): number {
  return value === undefined ? Number.POSITIVE_INFINITY : wholeNumber(option, value);
}

/** Errors: INVALID_OPTION. */
export function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw invalidOption(option, value, `one of ${allowed.join(", ")}`);
}

/** Undefined where it was left out. Errors: INVALID_OPTION. */
export function optionalText(option: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === "string" && value !== "")) return value;
  throw invalidOption(option, value, "a text that is not empty");
}

/** Errors: INVALID_OPTION. */
export function validDate(option: string, value: unknown): Date {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  throw invalidOption(option, value, "a valid Date");
}

/**
 * The options of `what` themselves, for callers without types: with none, an empty object. A misspelt option would
 * otherwise be passed over in silence. Errors: INVALID_OPTION.
 */
export function knownOptions<T extends object>(
  what: string,
  options: T | null | undefined,
  known: readonly string[],
): T {
  if (options === null || options === undefined) return {} as T;
  if (typeof options !== "object") throw invalidOption(`list of ${what}`, options, "an object");
  for (const option of Object.keys(options)) {
    if (known.includes(option)) continue;
    throw new BrokerError(
      "INVALID_OPTION",
      `There is no option ${option} of ${what}; there are ${known.join(", ")}.`,
      { option },
    );
  }
  return options;
}

/** What an engine cannot do: for callers whose types did not say so. */
export function notSupported(engine: string, what: string): BrokerError {
  return new BrokerError(
    "NOT_SUPPORTED",
    `The ${engine} engine cannot do ${what}. Leave it out, or take an engine that can.`,
    { engine },
  );
}
