// What the dispatcher of one queue or subscription is bound to.

import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import type { BurialsParts } from "./burials.js";
import type { Balance } from "./consumer-choice.js";
import type { Assignment } from "./dealing.js";
import type { Inbox } from "./inbox.js";

export interface DispatcherOptions {
  /** The queue, or `topic/group`: shown in statistics and errors, and kept in dead letters. */
  readonly name: string;
  readonly clock: Clock;
  /** Messages in flight over all consumers, at most. */
  readonly inFlightMax: number;
  /** What consumers use that do not say otherwise. */
  readonly attemptsMax: number;
  /** Messages for which it says no are passed over as settled. Undefined: all are wanted. */
  readonly isWanted: ((record: StoredRecord) => boolean) | undefined;
  /** Messages older than this are expired; undefined for no limit. */
  readonly ageMaxMs: number | undefined;
  /** Whether a log only has its turn when those added before it have nothing ready; else all have it in turn. */
  readonly isStrict: boolean;
  readonly balance: Balance;
  readonly singleActiveConsumer: boolean;
  /** Whether any consumer gets any message, or each partition has its consumer. */
  readonly assignment: Assignment;
  /** Messages whose ids it has handled are settled instead of delivered. */
  readonly inbox: Inbox | undefined;
  /** See {@link BurialsParts.moveToDeadLetters}. */
  readonly moveToDeadLetters: BurialsParts["moveToDeadLetters"];
  /** Hears of what cannot be told to any caller. */
  readonly onError: (error: unknown, where: string) => void;
}
