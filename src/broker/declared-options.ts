// Holds what is asked for now against what something was declared with.

import { isDeepStrictEqual } from "node:util";
import { BrokerError, type BrokerErrorCode } from "../broker-error.js";

/** The options that were given: one that is undefined was not. */
export function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function isSame(one: unknown, other: unknown): boolean {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null)
    return one === other;
  return isDeepStrictEqual(given(one), given(other));
}

/** They may be others each time. */
const NOT_COMPARED = "attributes";

/** Errors: `code`, naming every option that differs. */
export function assertSame<T extends object>(
  code: BrokerErrorCode,
  what: string,
  existing: T,
  wanted: Partial<T>,
): void {
  const different = Object.entries(wanted).filter(
    ([option, value]) => option !== NOT_COMPARED && !isSame(existing[option as keyof T], value),
  );
  if (different.length === 0) return;
  const was = different.map(([option]) => `${option} ${JSON.stringify(existing[option as keyof T])}`);
  const is = different.map(([option, value]) => `${option} ${JSON.stringify(value)}`);
  throw new BrokerError(
    code,
    `${what} was declared with ${was.join(", ")} and is now asked for with ${is.join(", ")}. Use the same, leave the option out, or choose another name.`,
    Object.fromEntries(different.map(([option, value]) => [option, String(value)])),
  );
}
