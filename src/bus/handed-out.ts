// What a receiver has handed to its application, so that it can be acknowledged up to some message.

import type { EngineDelivery } from "../engines/engine.js";

/** Holds at most twice as many deliveries as may be unsettled. */
export class HandedOut {
  readonly #max: number;
  #deliveries: EngineDelivery[] = [];

  /** `unsettledMax` is how many the receiver may have. */
  constructor(unsettledMax: number) {
    this.#max = 2 * unsettledMax;
  }

  add(delivery: EngineDelivery): void {
    if (this.#deliveries.length >= this.#max) this.#forgetSettled();
    this.#deliveries.push(delivery);
  }

  /** Acknowledges the message and all of its queue or partition that come before it there and are not settled. Errors: LEASE_LOST, and then nothing is. */
  ackUpTo(last: EngineDelivery): void {
    const { offset } = last.record;
    last.ack();
    for (const delivery of this.#deliveries) {
      const isBefore = delivery.partition === last.partition && delivery.record.offset < offset;
      if (isBefore && delivery.isLeased) delivery.ack();
    }
    this.#forgetSettled();
  }

  #forgetSettled(): void {
    this.#deliveries = this.#deliveries.filter(({ isLeased }) => isLeased);
  }
}
