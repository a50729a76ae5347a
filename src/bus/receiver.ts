// One application that takes messages by hand: what was handed over waits here until it is asked for.

import { Ring } from "../collections/ring.js";
import type { EngineConsumer, EngineDelivery, EngineSource } from "../engines/engine.js";
import type { Clock } from "../io/io.js";
import { answerLost } from "./answer-lost.js";

/** How often a receiver that waits for what is there looks whether it is still there: others may have taken it. */
const LOOK_AGAIN_MS = 20;
/** A timer this long does nothing but keep the process alive while somebody waits for a message. */
const KEEP_ALIVE_MS = 2 ** 31 - 1;

export class Receiver {
  readonly #source: EngineSource;
  readonly #clock: Clock;
  readonly #consumer: EngineConsumer;
  readonly #buffer = new Ring<EngineDelivery>();
  #wake: (() => void) | undefined = undefined;
  #isClosed = false;

  constructor(source: EngineSource, prefetch: number, leaseMs: number, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    this.#consumer = source.addConsumer({
      name: `receiver of ${source.name}`,
      prefetch,
      leaseMs,
      attemptsMax: source.attemptsMax,
      onDeliveries: (deliveries) => {
        for (const delivery of deliveries) this.#buffer.push(delivery);
        this.#wake?.();
      },
    });
  }

  /** The next message, or undefined once closed. */
  async next(): Promise<EngineDelivery | undefined> {
    for (;;) {
      const delivery = this.#shift();
      if (delivery !== undefined || this.#isClosed) return delivery;
      await this.#arrival();
    }
  }

  /** Up to `max` messages: waits `waitMs` for the first when none is there. What comes later goes back. */
  async take(max: number, waitMs: number, signal: AbortSignal | undefined): Promise<EngineDelivery[]> {
    const untilMs = this.#clock.monotonicMs() + waitMs;
    const abort = () => this.close();
    signal?.addEventListener("abort", abort, { once: true });
    while (this.#buffer.size === 0 && !this.#isClosed) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0 && !this.#source.hasReady) break;
      await this.#arrival(leftMs > 0 ? leftMs : LOOK_AGAIN_MS);
    }
    signal?.removeEventListener("abort", abort);
    signal?.throwIfAborted();
    const taken: EngineDelivery[] = [];
    for (let delivery = this.#shift(); delivery !== undefined && taken.length < max; delivery = this.#shift())
      taken.push(delivery);
    this.#consumer.stop();
    return taken;
  }

  /** Gives back what was not settled. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#consumer.close();
    this.#buffer.clear();
    this.#wake?.();
  }

  #shift(): EngineDelivery | undefined {
    for (let delivery = this.#buffer.shift(); delivery !== undefined; delivery = this.#buffer.shift()) {
      if (delivery.isLeased) return delivery;
      answerLost(delivery);
    }
    return undefined;
  }

  #arrival(waitMs: number = KEEP_ALIVE_MS): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(() => this.#wake?.(), waitMs);
      this.#wake = () => {
        this.#wake = undefined;
        timer.cancel();
        resolve();
      };
    });
  }
}
