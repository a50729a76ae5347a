// Receiving messages when the application asks for them.

import type { Capabilities, EngineDelivery, EngineSource } from "../engines/engine.js";
import { onAbort } from "../io/on-abort.js";
import type { BusCore } from "./bus-core.js";
import {
  type AnyConsumerOptions,
  CONSUMER_OPTIONS,
  type ConsumerOptions,
  ConsumerSettings,
} from "./consumer-options.js";
import { Delivery } from "./delivery.js";
import { type Duration, toMs } from "./duration.js";
import { knownOptions, optionalLimit, wholeNumber } from "./option-checks.js";
import { RateLimit, type RateLimitOptions } from "./rate-limit.js";
import { Receiver } from "./receiver.js";

interface BasicReceiveOptions {
  /** Ends the stream: what was fetched ahead goes back at once, what the application has stays leased until it asks for more. */
  readonly signal?: AbortSignal;
  /**
   * Unsettled messages that this receiver may have, those fetched ahead included. Their leases run from when they are
   * fetched: this many times what one message takes has to stay below `lease`. @default 100, or fewer with a rate limit
   */
  readonly prefetch?: number;
  /** Bytes of unsettled bodies that this receiver may have before it fetches no more; one message it does in any case. @default no limit */
  readonly prefetchBytes?: number;
  /**
   * How long a message stays with the receiver unless it is extended or settled; after that it goes to another, and
   * counts as failed if the application had it. @default "30s"
   */
  readonly lease?: Duration;
  /** How fast messages are handed on, at most. @default no limit */
  readonly rateLimit?: RateLimitOptions;
}

export type ReceiveOptions<C extends Capabilities = Capabilities> = BasicReceiveOptions & ConsumerOptions<C>;

export interface ReceiveBatchOptions {
  /** Messages, at least 1. Fewer come when fewer are there. */
  readonly max: number;
  /** How long to wait for the first one. @default 0, which takes what is there */
  readonly wait?: Duration;
  readonly signal?: AbortSignal;
  /** How long the messages stay with the caller unless extended or settled. @default "30s" */
  readonly lease?: Duration;
}

const LEASE: Duration = "30s";
const PREFETCH = 100;

/** Opens receivers of one queue or group, and stops those that are open when the bus closes. */
export class Puller {
  readonly #core: BusCore;
  readonly #source: () => Promise<EngineSource>;
  readonly #messageSource: string;

  constructor(core: BusCore, source: () => Promise<EngineSource>, messageSource: string) {
    this.#core = core;
    this.#source = source;
    this.#messageSource = messageSource;
  }

  /** Messages as they come, until the signal, `break`, or the bus closes. What is not settled when the stream ends goes back. */
  async *receive(given: ReceiveOptions): AsyncGenerator<Delivery, void, undefined> {
    const options = knownOptions<BasicReceiveOptions & AnyConsumerOptions>(
      "receive",
      given as BasicReceiveOptions,
      ["signal", "prefetch", "prefetchBytes", "lease", "rateLimit", ...CONSUMER_OPTIONS],
    );
    const consumer = new ConsumerSettings(options);
    consumer.assertSupported(this.#core);
    const rateLimit = options.rateLimit && new RateLimit(options.rateLimit);
    const leaseMs = toMs("lease", options.lease ?? LEASE, 1);
    // Half of what fits into a lease: what is fetched ahead has to be handed on before its lease runs out.
    const inLease = rateLimit?.messagesWithin(leaseMs / 2) ?? PREFETCH;
    const prefetch = wholeNumber("prefetch", options.prefetch ?? Math.max(1, Math.min(PREFETCH, inLease)));
    const prefetchBytes = optionalLimit("prefetchBytes", options.prefetchBytes);
    this.#core.assertReceiving();
    const { signal } = options;
    if (signal?.aborted) return;
    const settings = { prefetch, prefetchBytes, leaseMs, rateLimit, consumer };
    const receiver = new Receiver(this.#core, await this.#source(), settings);
    const forget = this.#core.onClose(() => receiver.stop());
    const forgetSignal = signal === undefined ? undefined : onAbort(signal, () => receiver.stop());
    try {
      for (let delivery = await receiver.next(); delivery !== undefined; delivery = await receiver.next()) {
        yield this.#delivery(delivery, receiver);
      }
    } finally {
      forget();
      forgetSignal?.();
      receiver.close();
    }
  }

  /** Up to `max` messages: what is there, else what comes within `wait`. They are leased until settled. */
  async receiveBatch(given: ReceiveBatchOptions): Promise<Delivery[]> {
    const options = knownOptions("receiveBatch", given, ["max", "wait", "signal", "lease"]);
    const max = wholeNumber("max", options.max);
    const waitMs = toMs("wait", options.wait ?? 0);
    const leaseMs = toMs("lease", options.lease ?? LEASE, 1);
    this.#core.assertReceiving();
    options.signal?.throwIfAborted();
    const none = { prefetchBytes: Number.POSITIVE_INFINITY, rateLimit: undefined, consumer: undefined };
    const settings = { prefetch: max, leaseMs, ...none };
    const receiver = new Receiver(this.#core, await this.#source(), settings);
    const forget = this.#core.onClose(() => receiver.stop());
    const taken = await receiver.take(max, waitMs, options.signal);
    forget();
    return taken.map((delivery) => this.#delivery(delivery, receiver));
  }

  #delivery(delivery: EngineDelivery, { handedOut }: Receiver): Delivery {
    const { codecs, engine } = this.#core;
    return new Delivery(delivery, this.#messageSource, codecs, engine, handedOut);
  }
}
