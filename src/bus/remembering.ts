// How long ids of messages are remembered, so that what comes twice is found.

import { type Duration, toMs } from "./duration.js";
import { knownOptions, wholeNumber } from "./option-checks.js";

/** For how long, and how many. */
export interface RememberOptions {
  /** An id is remembered for so long. */
  readonly window: Duration;
  /** Beyond so many the oldest are forgotten. Each costs some 250 bytes of memory. @default 100,000 */
  readonly idsMax?: number;
}

export interface DeduplicationOptions {
  /**
   * A message with the `id` of one that was sent within the window is not stored again: its sender gets the receipt of the
   * first one. The ids are stored with the messages and survive restarts. @default every message is stored
   */
  readonly deduplicate?: RememberOptions;
}

export interface InboxOptions {
  /**
   * The `id` of a message that was handled is stored with its acknowledgement, in one step; a message with an id that was
   * handled within the window is settled without being handed out. @default every message is handed out
   */
  readonly inbox?: RememberOptions;
}

/** Errors: INVALID_OPTION. */
export function deduplicationOptions(given: RememberOptions | undefined): {
  readonly deduplicateMs?: number;
  readonly deduplicateIdsMax?: number;
} {
  if (given === undefined) return {};
  const { windowMs, idsMax } = checked("deduplicate", given);
  return { deduplicateMs: windowMs, ...(idsMax === undefined ? {} : { deduplicateIdsMax: idsMax }) };
}

/** Errors: INVALID_OPTION. */
export function inboxOptions(given: RememberOptions | undefined): {
  readonly inboxMs?: number;
  readonly inboxIdsMax?: number;
} {
  if (given === undefined) return {};
  const { windowMs, idsMax } = checked("inbox", given);
  return { inboxMs: windowMs, ...(idsMax === undefined ? {} : { inboxIdsMax: idsMax }) };
}

function checked(option: string, given: RememberOptions): { windowMs: number; idsMax: number | undefined } {
  const { window, idsMax } = knownOptions(option, given, ["window", "idsMax"]);
  return {
    windowMs: toMs(`${option}.window`, window, 1),
    idsMax: idsMax === undefined ? undefined : wholeNumber(`${option}.idsMax`, idsMax),
  };
}
