// What was thrown, in words that are kept with the message.

import { ERROR_LENGTH_MAX } from "../broker/dead-letter.js";

/** Anything can be thrown; of what has no text it is said so. */
export function describeThrown(thrown: unknown): string {
  let text: string;
  try {
    text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : `thrown: ${String(thrown)}`;
  } catch {
    text = "thrown: a value that has no text";
  }
  return text.slice(0, ERROR_LENGTH_MAX);
}
