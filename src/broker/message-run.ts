// Messages of one subject that follow each other: who looks on at the subject may take them all at once.

import type { LiveMessage } from "./live-message.js";
import type { OutgoingMessage } from "./message.js";

/** Valid until the call that it was given to returns: what is to be kept is {@link at}. */
export interface MessageRun {
  /** Canonical. */
  readonly subject: string;
  readonly count: number;
  /** How many take it beside the one that it is offered to. */
  others: number;
  at(index: number): OutgoingMessage & LiveMessage;
}
