// A transaction of an application: messages that are sent and deliveries that are acknowledged as one.

import type { Capabilities, EngineDelivery } from "../engines/engine.js";
import type { Delivery } from "./delivery.js";
import { engineDeliveryOf } from "./delivery.js";
import { invalidOption } from "./option-checks.js";
import { handOver, Outbox, type OutboxHost } from "./outbox.js";
import type { IfTransacted } from "./outputs.js";

/**
 * What is done with it is stored as one when the transaction ends: all of it or nothing. Nobody sees any of it before.
 */
export type Transaction<C extends Capabilities = Capabilities> = IfTransacted<C> & Acknowledging;

interface Acknowledging {
  /** Acknowledges a message that was received by hand. It stays leased until the transaction ends, and after one that failed. Errors: INVALID_OPTION, LEASE_LOST. */
  ack(delivery: Delivery): void;
}

export class OpenTransaction extends Outbox implements Acknowledging {
  readonly #host: OutboxHost;
  readonly #deliveries = new Set<EngineDelivery>();

  constructor(host: OutboxHost) {
    super(host, "The transaction");
    this.#host = host;
  }

  ack(delivery: Delivery): void {
    const own = engineDeliveryOf(delivery, this.#host.engine);
    if (own === undefined)
      throw invalidOption("delivery of ack", delivery, "a delivery that was received on this bus");
    this.assertOpen();
    this.#deliveries.add(own);
  }

  /** Resolves when all is stored. Errors: those of {@link handOver}, and of storage. */
  async commit(signal: AbortSignal | undefined): Promise<void> {
    this.close();
    const { committed } = await handOver(this.#host, [this], [...this.#deliveries], () => signal);
    await committed;
  }
}
