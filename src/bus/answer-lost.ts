// What to do with a message that was lost while it waited here.

import { isBrokerError } from "../broker-error.js";
import type { EngineDelivery } from "../engines/engine.js";

/** Its lease ran out before its turn came: answering frees the slot that it takes; another consumer has the message. */
export function answerLost(delivery: EngineDelivery): void {
  try {
    delivery.release();
  } catch (error) {
    if (!isBrokerError(error, "LEASE_LOST")) throw error;
  }
}
