// The queues of the broker as AMQP names and sees them.

import type { Broker } from "../../broker/broker.js";
import type { Queue } from "../../broker/queue.js";
import type { Session } from "../../broker/session.js";
import { brokerName } from "./address.js";
import { attributesOf, tableOf } from "./attributes.js";
import { locked, notFound } from "./errors.js";
import { argumentsOf } from "./queue-arguments.js";
import type { FieldTable } from "./wire/fields.js";

export class Queues {
  readonly broker: Broker;
  /** Consumers that share their queue with nobody. */
  readonly exclusive = new WeakMap<Queue, object>();
  private readonly tables = new WeakMap<Queue, FieldTable>();

  constructor(broker: Broker) {
    this.broker = broker;
  }

  find(name: string): Queue | undefined {
    return this.broker.queue(brokerName(name));
  }

  /** Errors: NOT_FOUND, RESOURCE_LOCKED when another connection has it for itself. */
  get(name: string, session: Session): Queue {
    const queue = this.find(name);
    if (queue === undefined) throw notFound("queue", name);
    if (queue.session !== undefined && queue.session !== session) throw locked(name);
    return queue;
  }

  /** What it was declared with, or what its options say. */
  argumentsOf(queue: Queue): FieldTable {
    const known = this.tables.get(queue);
    if (known !== undefined) return known;
    const table = tableOf(attributesOf(queue)) ?? argumentsOf(queue.options);
    this.tables.set(queue, table);
    return table;
  }

  /** Whether it was declared on AMQP. */
  isDeclaredHere(queue: Queue): boolean {
    return attributesOf(queue)["amqp-arguments"] !== undefined;
  }

  /** Messages that wait. */
  readyCount({ unsettledCount, dispatcher }: Queue): number {
    return Math.max(0, unsettledCount - dispatcher.inFlight);
  }

  consumerCount({ dispatcher }: Queue): number {
    let count = 0;
    for (const { isBrief, isStopped } of dispatcher.consumers) if (!isBrief && !isStopped) count += 1;
    return count;
  }
}
