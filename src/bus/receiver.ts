// One application that takes messages by hand: what was handed over waits here until it is asked for.

import type { BrokerError } from "../broker-error.js";
import { Ring } from "../collections/ring.js";
import type { EngineConsumer, EngineDelivery, EngineSource } from "../engines/engine.js";
import { onAbort } from "../io/on-abort.js";
import { answerLost } from "./answer-lost.js";
import type { BusCore } from "./bus-core.js";
import type { ConsumerSettings } from "./consumer-options.js";
import { HandedOut } from "./handed-out.js";
import type { RateLimit } from "./rate-limit.js";

/** A receiver that wants what is there looks this many turns in a row whether it has come, or others have taken it. */
const TURNS_MAX = 100;
/** Then it looks this often. */
const LOOK_AGAIN_MS = 20;

export interface ReceiverSettings {
  readonly prefetch: number;
  readonly prefetchBytes: number;
  readonly leaseMs: number;
  readonly rateLimit: RateLimit | undefined;
  /** Undefined: it takes what is there and goes. */
  readonly consumer: ConsumerSettings | undefined;
}

export class Receiver {
  readonly handedOut: HandedOut;
  readonly #core: BusCore;
  readonly #consumer: EngineConsumer;
  readonly #buffer = new Ring<EngineDelivery>();
  readonly #rateLimit: RateLimit | undefined;
  #wake: (() => void) | undefined = undefined;
  #isStopped = false;
  /** Why there is nothing to receive from any more: it was deleted. */
  #endedFor: BrokerError | undefined = undefined;

  constructor(core: BusCore, source: EngineSource, settings: ReceiverSettings) {
    const { prefetch, prefetchBytes, leaseMs, rateLimit, consumer } = settings;
    this.#core = core;
    this.#rateLimit = rateLimit;
    this.handedOut = new HandedOut(prefetch);
    this.#consumer = source.addConsumer({
      name: consumer?.consumer ?? `receiver of ${source.name}`,
      priority: consumer?.priority ?? 0,
      onAssigned: consumer?.onAssigned,
      onRevoked: consumer?.onRevoked,
      prefetch,
      prefetchBytes,
      leaseMs,
      attemptsMax: source.attemptsMax,
      startsExplicitly: true,
      isBrief: consumer === undefined,
      onEnded: (reason) => {
        this.#endedFor = reason;
        this.stop();
      },
      onDeliveries: (deliveries) => {
        for (const delivery of deliveries) this.#buffer.push(delivery);
        this.#wake?.();
      },
    });
  }

  /** The next message, or undefined once stopped. Errors: QUEUE_NOT_FOUND and its like when it was deleted. */
  async next(): Promise<EngineDelivery | undefined> {
    for (;;) {
      const waitMs = this.#rateLimit === undefined ? 0 : this.#rateLimit.nextMs - this.#nowMs;
      if (waitMs > 0 && !this.#isStopped) {
        await this.#arrival(waitMs);
        continue;
      }
      const delivery = this.#shift();
      if (this.#endedFor !== undefined) throw this.#endedFor;
      if (delivery !== undefined || this.#isStopped) return delivery;
      await this.#arrival(undefined);
    }
  }

  /** Up to `max` messages: waits `waitMs` for the first when none is there. What comes later goes back. Errors: the signal's reason. */
  async take(max: number, waitMs: number, signal: AbortSignal | undefined): Promise<EngineDelivery[]> {
    const forget = signal === undefined ? undefined : onAbort(signal, () => this.stop());
    await this.#fill(max, waitMs);
    forget?.();
    const taken: EngineDelivery[] = [];
    while (taken.length < max && signal?.aborted !== true) {
      const delivery = this.#shift();
      if (delivery === undefined) break;
      taken.push(delivery);
    }
    this.stop();
    signal?.throwIfAborted();
    if (this.#endedFor !== undefined && taken.length === 0) throw this.#endedFor;
    return taken;
  }

  /** Takes no more, and gives back what nobody has asked for. What was handed on stays leased until it is settled. */
  stop(): void {
    this.#isStopped = true;
    this.#consumer.stop();
    for (let delivery = this.#buffer.shift(); delivery !== undefined; delivery = this.#buffer.shift())
      answerLost(delivery);
    this.#wake?.();
  }

  /** Gives back what was not settled, what was handed on included. */
  close(): void {
    this.stop();
    this.#consumer.close();
  }

  /** Waits for the first one, and for those that are there as well: on disk, at another priority or partition. */
  async #fill(max: number, waitMs: number): Promise<void> {
    const { clock } = this.#core.engine;
    const untilMs = clock.monotonicMs() + waitMs;
    for (let turns = 0; this.#buffer.size < max && !this.#isStopped; turns += 1) {
      const { size } = this.#buffer;
      const leftMs = untilMs - clock.monotonicMs();
      if (size === 0 && leftMs > 0) {
        await this.#arrival(leftMs);
      } else if (!this.#consumer.hasReady) {
        return;
      } else if (turns < TURNS_MAX) {
        await new Promise<void>((resolve) => clock.defer(resolve));
      } else {
        await this.#arrival(LOOK_AGAIN_MS);
        if (size > 0 && this.#buffer.size === size) return;
      }
    }
  }

  get #nowMs(): number {
    return this.#core.engine.clock.monotonicMs();
  }

  #shift(): EngineDelivery | undefined {
    for (let delivery = this.#buffer.shift(); delivery !== undefined; delivery = this.#buffer.shift()) {
      if (delivery.isLeased) {
        delivery.begin();
        this.handedOut.add(delivery);
        this.#rateLimit?.take(this.#nowMs, delivery.record.value?.length ?? 0);
        return delivery;
      }
      answerLost(delivery);
    }
    return undefined;
  }

  /** Somebody waits here: the process stays alive. Undefined: as long as it takes. */
  #arrival(waitMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const release = this.#core.keepAlive();
      const timer =
        waitMs === undefined
          ? undefined
          : this.#core.engine.clock.setTimer(() => this.#wake?.(), waitMs, true);
      this.#wake = () => {
        this.#wake = undefined;
        timer?.cancel();
        release();
        resolve();
      };
    });
  }
}
