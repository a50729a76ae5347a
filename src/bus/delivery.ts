// A message in the hands of an application that settles it itself.

import { ERROR_LENGTH_MAX } from "../broker/dead-letter.js";
import type { Engine, EngineDelivery } from "../engines/engine.js";
import { leaseLost } from "./call.js";
import type { BusCodecs } from "./decoding.js";
import { describeThrown } from "./describe-thrown.js";
import { type Duration, toMs } from "./duration.js";
import type { HandedOut } from "./handed-out.js";
import { checkedReason } from "./outcome.js";
import { StoredMessage } from "./stored-message.js";

/** What the bus has of a delivery that it made; undefined when another has made it, or nobody. */
export let engineDeliveryOf: (delivery: unknown, engine: Engine) => EngineDelivery | undefined;

/**
 * A message to be settled by hand. `ack`, `nack`, `release` and `deadLetter` settle it, once: a second one, or one after
 * the lease ran out, throws LEASE_LOST and changes nothing.
 */
export class Delivery {
  static {
    engineDeliveryOf = (delivery, engine) =>
      typeof delivery === "object" &&
      delivery !== null &&
      #delivery in delivery &&
      delivery.#engine === engine
        ? delivery.#delivery
        : undefined;
  }

  readonly message: StoredMessage;
  readonly #delivery: EngineDelivery;
  readonly #engine: Engine;
  readonly #handedOut: HandedOut;
  #abort: AbortController | undefined = undefined;

  constructor(
    delivery: EngineDelivery,
    source: string,
    codecs: BusCodecs,
    engine: Engine,
    handedOut: HandedOut,
  ) {
    this.#handedOut = handedOut;
    this.#delivery = delivery;
    this.#engine = engine;
    this.message = new StoredMessage(delivery.record, source, delivery.partition, codecs, delivery);
  }

  /** The first try is 1. */
  get attempt(): number {
    return this.#delivery.attempt;
  }

  /** Aborted when the lease is lost. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      this.#delivery.onLeaseLost = () => abort.abort(leaseLost());
      if (!this.#delivery.isLeased) abort.abort(leaseLost());
    }
    return this.#abort.signal;
  }

  /**
   * The message is done. The settlement is stored within some 10 ms: a crash before that hands it out again. Errors:
   * LEASE_LOST.
   */
  async ack(): Promise<void> {
    this.#delivery.ack();
  }

  /**
   * Acknowledges this message and every one before it, of the same queue or partition, that this receiver or batch
   * brought and that is not settled. Errors: LEASE_LOST, when this one is no longer leased; then nothing is acknowledged.
   *
   * @example
   * for await (const delivery of group.receive()) {
   *   rows.push(delivery.message.value);
   *   if (rows.length < 100) continue;
   *   await insert(rows.splice(0));
   *   await delivery.commit();
   * }
   */
  async commit(): Promise<void> {
    this.#handedOut.ackUpTo(this.#delivery);
  }

  /**
   * The message failed and is to be tried again: at once, ahead of later ones, or after `delay`. After the last
   * attempt that the queue or group allows it is dead-lettered instead. Errors: LEASE_LOST, INVALID_OPTION.
   */
  async nack(options: { readonly delay?: Duration; readonly error?: unknown } = {}): Promise<void> {
    const delayMs = toMs("delay", options.delay ?? 0);
    const error = options.error === undefined ? "not acknowledged" : describeThrown(options.error);
    this.#delivery.nack({ delayMs, error, keepsTurn: true });
  }

  /** Gives the message back untried: no attempt is counted. Errors: LEASE_LOST. */
  async release(): Promise<void> {
    this.#delivery.release();
  }

  /** Resolves when the message is among the dead letters. Errors: LEASE_LOST, INVALID_OPTION, those of storage. */
  async deadLetter(reason: string): Promise<void> {
    await this.#delivery.deadLetter("rejected", checkedReason(reason).slice(0, ERROR_LENGTH_MAX));
  }

  /** The lease ends this long from now. Errors: LEASE_LOST, INVALID_OPTION. */
  async extend(duration: Duration): Promise<void> {
    this.#delivery.extend(toMs("extend", duration));
  }
}
