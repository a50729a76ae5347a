// One message on request: `basic.get`.

import type { Delivery } from "../../broker/delivery.js";
import { UNLIMITED } from "../../broker/limits.js";
import type { Queue } from "../../broker/queue.js";
import type { Clock } from "../../io/io.js";
import { LEASE_MS } from "./channel-consumer.js";

/** So many turns in a row it is looked whether the message has come, or others have taken it. */
const TURNS_MAX = 100;
/** Then so often. */
const LOOK_AGAIN_MS = 20;

/** The next message of the queue, leased; undefined when there is none. Errors: those of the broker. */
export function fetchOne(queue: Queue, clock: Clock): Promise<Delivery | undefined> {
  if (!queue.dispatcher.hasReady) return Promise.resolve(undefined);
  return new Promise((resolve) => new Fetch(queue, clock, resolve));
}

class Fetch {
  readonly #clock: Clock;
  readonly #resolve: (delivery: Delivery | undefined) => void;
  readonly #consumer;
  #turns = 0;
  #isOver = false;

  constructor(queue: Queue, clock: Clock, resolve: (delivery: Delivery | undefined) => void) {
    this.#clock = clock;
    this.#resolve = resolve;
    this.#consumer = queue.dispatcher.addConsumer({
      name: "basic.get",
      prefetch: 1,
      leaseMs: LEASE_MS,
      attemptsMax: queue.options.attemptsMax ?? UNLIMITED,
      isBrief: true,
      standsBy: false,
      onDeliveries: ([delivery]) => this.#end(delivery),
      onEnded: () => this.#end(undefined),
    });
    this.#wait();
  }

  #wait(): void {
    this.#turns += 1;
    if (this.#turns <= TURNS_MAX) this.#clock.defer(this.#look);
    else this.#clock.setTimer(this.#look, LOOK_AGAIN_MS);
  }

  readonly #look = (): void => {
    if (this.#isOver) return;
    if (this.#consumer.hasReady) this.#wait();
    else this.#end(undefined);
  };

  #end(delivery: Delivery | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#consumer.leave();
    this.#resolve(delivery);
  }
}
