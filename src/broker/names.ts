// Names of queues, topics, groups, exchanges and schedules: what is allowed, and what to say when it is not.

import { BrokerError } from "../broker-error.js";

/** The longest name, in characters: any 255 bytes fit when each is written as a percent sign and two digits. */
const NAME_LENGTH_MAX = 765;
const NAME = /^[A-Za-z0-9_%][A-Za-z0-9._:%-]*$/;

/** Errors: INVALID_NAME. A slash is left to names that the broker makes itself. */
export function assertName(
  what: "queue" | "topic" | "group" | "exchange" | "schedule",
  name: unknown,
): asserts name is string {
  const problem = nameProblem(name);
  if (problem === undefined) return;
  const shown = typeof name === "string" ? `'${name.slice(0, 60)}'` : String(name);
  throw new BrokerError(
    "INVALID_NAME",
    `The ${what} name ${shown} ${problem}. Use letters, digits, '.', '_', '-', ':' and '%', at most ${NAME_LENGTH_MAX}, beginning with a letter, a digit, '_' or '%'.`,
    { name: String(name) },
  );
}

function nameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return "is not a string";
  if (name === "") return "is empty";
  if (name.length > NAME_LENGTH_MAX) return `has ${name.length} characters`;
  return NAME.test(name) ? undefined : "has a character that is not allowed";
}
