// Handing one message over to all that it leads to: all of them take it, or none, or those that have room.

import { isBrokerError } from "../broker-error.js";
import type { LogStore } from "../log/log-store.js";
import type { Appended } from "./appended.js";
import type { Destination } from "./exchange.js";
import type { OutgoingMessage } from "./message.js";

/**
 * Hot: as one atomic step where `route` has more than one. Returns an entry for each of it, in its order; where a topic of
 * it has the message by its id, that of the first. Errors: those of the destinations; then none has it.
 */
export function handOver(
  store: LogStore,
  route: readonly Destination[],
  message: OutgoingMessage,
): Appended[] {
  const only = route.length === 1 ? route[0]! : undefined;
  if (only?.kind === "topic") return [only.append(message)];
  if (message.id !== undefined) {
    // All of its route has a message that a topic of it has: that topic says where the first one is.
    const knowing = route.filter((one) => one.kind === "topic" && one.firstOf(message.id!) !== undefined);
    if (knowing.length > 0) return knowing.map((topic) => topic.append(message));
  }
  for (const destination of route) destination.assertAccepts(message);
  if (only !== undefined) return [only.append(message)];
  const appended: Appended[] = [];
  store.atomically(() => {
    for (const destination of route) appended.push(destination.append(message));
  });
  return appended;
}

/** Those of `route` that are not full. Errors: those of the others, but for QUEUE_FULL. */
export function withRoom<D extends Destination>(route: readonly D[], message: OutgoingMessage): D[] {
  return route.filter((destination) => {
    try {
      destination.assertAccepts(message);
      return true;
    } catch (error) {
      if (isBrokerError(error, "QUEUE_FULL")) return false;
      throw error;
    }
  });
}
