// Receiving messages when the application asks for them.

import { BrokerError } from "../broker-error.js";
import type { EngineSource } from "../engines/engine.js";
import type { BusCore } from "./bus-core.js";
import { Delivery } from "./delivery.js";
import { type Duration, toMs } from "./duration.js";
import { Receiver } from "./receiver.js";

export interface ReceiveOptions {
  /** Ends the stream; what was fetched and not settled goes back. */
  readonly signal?: AbortSignal;
  /**
   * Unsettled messages that this receiver may have, those fetched ahead included. Their leases run from when they are
   * fetched: this many times what one message takes has to stay below `lease`. @default 100
   */
  readonly prefetch?: number;
  /**
   * How long a message stays with the receiver unless it is extended or settled; after that it is with another, and
   * counts as failed. @default "30s"
   */
  readonly lease?: Duration;
}

export interface ReceiveBatchOptions {
  /** Messages, at least 1. Fewer come when fewer are there. */
  readonly max: number;
  /** How long to wait for the first one. @default 0, which takes what is there */
  readonly wait?: Duration;
  readonly signal?: AbortSignal;
  /** How long the messages stay with the caller unless extended or settled. @default "30s" */
  readonly lease?: Duration;
}

/** Opens receivers of one queue or group, and closes those that are open when the bus closes. */
export class Puller {
  readonly #source: () => Promise<EngineSource>;
  readonly #messageSource: string;
  readonly #core: BusCore;

  constructor(source: () => Promise<EngineSource>, messageSource: string, core: BusCore) {
    this.#source = source;
    this.#messageSource = messageSource;
    this.#core = core;
  }

  /** Messages as they come, until the signal, `break`, or the bus closes. */
  async *receive(options: ReceiveOptions): AsyncGenerator<Delivery, void, undefined> {
    const receiver = await this.#open(options.prefetch ?? 100, options.lease);
    const stop = () => receiver.close();
    const forget = this.#core.onClose(stop);
    options.signal?.addEventListener("abort", stop, { once: true });
    if (options.signal?.aborted) stop();
    try {
      for (let delivery = await receiver.next(); delivery !== undefined; delivery = await receiver.next()) {
        yield new Delivery(delivery, this.#messageSource);
      }
    } finally {
      options.signal?.removeEventListener("abort", stop);
      forget();
      receiver.close();
    }
  }

  /** Up to `max` messages: what is there, else what comes within `wait`. They are leased until settled. */
  async receiveBatch(options: ReceiveBatchOptions): Promise<Delivery[]> {
    options.signal?.throwIfAborted();
    if (!(Number.isInteger(options.max) && options.max >= 1)) {
      throw new BrokerError(
        "INVALID_OPTION",
        `The option max is ${options.max}; give a whole number of at least 1.`,
        { option: "max" },
      );
    }
    const receiver = await this.#open(options.max, options.lease);
    const forget = this.#core.onClose(() => receiver.close());
    try {
      const taken = await receiver.take(options.max, toMs("wait", options.wait ?? 0), options.signal);
      return taken.map((delivery) => new Delivery(delivery, this.#messageSource));
    } finally {
      forget();
    }
  }

  async #open(prefetch: number, lease: Duration | undefined): Promise<Receiver> {
    const source = await this.#source();
    return new Receiver(source, prefetch, toMs("lease", lease ?? "30s"), this.#core.engine.clock);
  }
}
