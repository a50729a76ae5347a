// A consumer that keeps what it was given, in the order in which it came.

import assert from "node:assert/strict";
import type { Consumer, ConsumerOptions } from "../../src/broker/consumer.js";
import type { Delivery } from "../../src/broker/delivery.js";
import type { Dispatcher } from "../../src/broker/dispatcher.js";

export class TestConsumer {
  readonly consumer: Consumer;
  /** Every hand-over. */
  readonly all: Delivery[] = [];
  /** Not taken by {@link take} yet. */
  readonly waiting: Delivery[] = [];

  /** `onDelivery` sees each delivery as it comes. */
  constructor(
    dispatcher: Dispatcher,
    options: Partial<ConsumerOptions> = {},
    onDelivery: (delivery: Delivery) => void = () => undefined,
  ) {
    this.consumer = dispatcher.addConsumer({
      name: "consumer",
      prefetch: 100,
      leaseMs: 30_000,
      attemptsMax: 5,
      onDeliveries: (deliveries) => {
        this.all.push(...deliveries);
        this.waiting.push(...deliveries);
        for (const delivery of deliveries) onDelivery(delivery);
      },
      ...options,
    });
  }

  /** What came since {@link take} was called last, as texts. */
  get values(): string[] {
    return this.waiting.map(textOf);
  }

  /** Forgets what came, and returns it. */
  takeAll(): Delivery[] {
    return this.waiting.splice(0);
  }

  /** The next delivery, which has to be of this message. */
  take(value: string): Delivery {
    const delivery = this.waiting.shift();
    assert.ok(delivery !== undefined, `${value} was not delivered`);
    assert.equal(textOf(delivery), value);
    return delivery;
  }

  /** Acknowledges all that came, and returns the texts. */
  ackAll(): string[] {
    return this.takeAll().map((delivery) => {
      delivery.ack();
      return textOf(delivery);
    });
  }
}

export function textOf(delivery: Delivery): string {
  return delivery.record.valueText();
}

/** What a handler that failed asks for. */
export function nack(delivery: Delivery, delayMs = 0, error = "it failed", keepsTurn = true): void {
  delivery.nack({ delayMs, error, keepsTurn });
}
