// Looking at what a queue or a group has, without taking it.

import type { EngineSeenMessage } from "../engines/engine.js";
import type { BusCore } from "./bus-core.js";
import { invalidOption, knownOptions, wholeNumber } from "./option-checks.js";
import { StoredMessage } from "./stored-message.js";

export interface BrowseOptions {
  /** Messages, at most. @default no limit */
  readonly limit?: number;
  /** Whether those that are acknowledged and still stored are shown too. @default false */
  readonly acknowledged?: boolean;
}

/** `source` is what messages say they come from. Errors: INVALID_OPTION, NOT_SUPPORTED, those of reading. */
export async function* browse(
  core: BusCore,
  source: string,
  open: (isAll: boolean) => Promise<AsyncIterable<EngineSeenMessage>>,
  options: BrowseOptions,
): AsyncGenerator<StoredMessage, void, undefined> {
  const { limit, acknowledged = false } = knownOptions("browse", options, ["limit", "acknowledged"]);
  let left = limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber("limit", limit);
  if (typeof acknowledged !== "boolean") throw invalidOption("acknowledged", acknowledged, "true or false");
  core.assertSupports("browse", "looking at messages");
  for await (const message of await open(acknowledged)) {
    yield new StoredMessage(message.record, source, message.partition, core.codecs, message);
    left -= 1;
    if (left <= 0) return;
  }
}
