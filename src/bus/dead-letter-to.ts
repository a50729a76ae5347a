// Where a queue sends its dead letters, as applications write it.

import type { DeadLetterTarget } from "../broker/dead-letter-target.js";
import { assertPublishable } from "../broker/subject.js";
import { invalidOption, knownOptions } from "./option-checks.js";

/** A queue by its name, or an exchange, which leads them on as it does what is published. It need not be there. */
export type DeadLettersTo = (
  | { readonly queue: string; readonly exchange?: never }
  /** The empty name is the bus itself. */
  | { readonly queue?: never; readonly exchange: string }
) & {
  /** Under which subject. @default the message's own */
  readonly subject?: string;
};

export interface DeadLetterToOptions {
  /**
   * Sends dead letters there, each in one step with its settlement, instead of to the queue's own. What leads nowhere from
   * there is kept as the queue's own, or dropped with `deadLetter: false`; so is what would come round in a circle
   * without a handler having turned it away. @default none
   */
  readonly deadLetterTo?: DeadLettersTo;
}

/** Errors: INVALID_OPTION, INVALID_SUBJECT. */
export function deadLetterTarget(to: DeadLettersTo): DeadLetterTarget {
  const { queue, exchange, subject } = knownOptions<DeadLettersTo>("deadLetterTo", to, [
    "queue",
    "exchange",
    "subject",
  ]);
  if (subject !== undefined) assertPublishable(subject);
  const name = queue ?? exchange;
  if (name === undefined || (queue !== undefined && exchange !== undefined))
    throw invalidOption("deadLetterTo", to, "a queue or an exchange");
  return {
    kind: queue === undefined ? "exchange" : "queue",
    name,
    ...(subject === undefined ? {} : { subject }),
  };
}
