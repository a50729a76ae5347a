// What is there before the first client comes: the exchanges that every client expects, and nothing that was not to outlive
// the last run.

import type { Broker } from "../../broker/broker.js";
import { attributesOf } from "./attributes.js";
import { SYSTEM_EXCHANGES } from "./exchange-view.js";

/** Errors: those of storage; EXCHANGE_MISMATCH when one of the names stands for something else. */
export async function openNames(broker: Broker): Promise<void> {
  for (const queue of [...broker.queues]) {
    // What is in use belongs to another server on the same bus.
    const isInUse = queue.session !== undefined || queue.dispatcher.hasConsumers;
    if (attributesOf(queue)["amqp-transient"] !== undefined && !isInUse) await broker.deleteQueue(queue.name);
  }
  for (const exchange of [...broker.exchanges])
    if (attributesOf(exchange)["amqp-transient"] !== undefined) await broker.deleteExchange(exchange.name);
  for (const [name, kind] of Object.entries(SYSTEM_EXCHANGES)) await broker.declareExchange(name, { kind });
}
