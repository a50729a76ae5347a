// What a delivery state is made of, and whom it tells.

import type { Log } from "../log/log.js";

/** What a delivery state is made of. */
export interface DeliveryStateParts<State> {
  /** Under which its changes are stored. Unique in a broker. */
  readonly name: string;
  /** Of the topic; of a queue with priorities, the level; undefined for any other log. */
  readonly partition: number | undefined;
  readonly log: Log;
  /** Whether the log holds messages for this state alone, so that settled ones can be deleted. */
  readonly ownsLog: boolean;
  /** Everything before counts as settled: a subscription begins there. */
  readonly startOffset: number;
  readonly onFetched: (error: unknown) => void;
  /** Runs when there is something to store, and there was nothing before. */
  readonly onChanged: (state: State) => void;
}
