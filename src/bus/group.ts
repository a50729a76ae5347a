// A group of a topic as applications hold it: its consumers together get each message of the topic once.

import type { GroupStatistics } from "../broker/statistics.js";
import { BrokerError } from "../broker-error.js";
import type { Capabilities, EngineSource } from "../engines/engine.js";
import type { BusCore } from "./bus-core.js";
import { consume } from "./consume.js";
import type { Delivery } from "./delivery.js";
import type { BatchHandler, BatchOptions, Handler, HandlerOptions, Handling } from "./handler.js";
import { Puller, type ReceiveBatchOptions, type ReceiveOptions } from "./puller.js";
import type { StoredMessage } from "./stored-message.js";

/**
 * A group of a topic, for messages without a type here. It is stored, and goes on where it was after a restart.
 *
 * @example
 * const audit = bus.topic("order").group("audit", { from: "beginning" });
 * for (const delivery of await audit.receiveBatch({ max: 100, wait: "1s" })) await delivery.ack();
 */
export class Group<C extends Capabilities = Capabilities> {
  readonly name: string;
  readonly #core: BusCore;
  readonly #topic: string;
  readonly #source: () => Promise<EngineSource>;
  readonly #puller: Puller;

  /** Made by {@link Topic.group}. `source` declares the topic and the group. */
  constructor(core: BusCore, topic: string, name: string, source: () => Promise<EngineSource>) {
    this.name = name;
    this.#core = core;
    this.#topic = topic;
    this.#source = source;
    this.#puller = new Puller(core, source, topic);
  }

  /** Makes the group, durably, or finds it. Errors: INVALID_NAME, INVALID_OPTION. */
  async declare(): Promise<this> {
    this.#core.assertOpen();
    await this.#source();
    return this;
  }

  /**
   * Messages as they come, to be settled by hand. Ends with the signal, `break`, or the bus; what is not settled then
   * goes back. Errors: INVALID_OPTION, LOG_CORRUPT.
   */
  receive(options: ReceiveOptions = {}): AsyncGenerator<Delivery, void, undefined> {
    return this.#puller.receive(options);
  }

  /**
   * Up to `max` messages, to be settled by hand: those that are there, else the first that come within `wait`. Errors:
   * INVALID_OPTION, the reason of the signal.
   */
  receiveBatch(options: ReceiveBatchOptions): Promise<Delivery[]> {
    return this.#puller.receiveBatch(options);
  }

  /**
   * Handles every message that the group gets, whatever its type, as it is stored. Returning is success; throwing is
   * failure, and the retry policy decides. Errors: INVALID_OPTION, DUPLICATE_HANDLER.
   */
  consume(handler: Handler<StoredMessage>): Handling;
  consume(options: HandlerOptions<C> & { readonly batch?: never }, handler: Handler<StoredMessage>): Handling;
  consume(
    options: HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<StoredMessage>,
  ): Handling;
  consume(...given: unknown[]): Handling {
    const source = this.#topic;
    const name = `${source}/${this.name}`;
    return consume(this.#core, { kind: "group", name, source, declare: this.#source }, given);
  }

  /** The group's numbers. Counters begin at 0 when the bus is opened. */
  async statistics(): Promise<GroupStatistics> {
    await this.declare();
    const topic = this.#core.engine.broker.statistics().topics.find(({ name }) => name === this.#topic);
    const group = topic?.groups.find(({ name }) => name === this.name);
    if (group === undefined)
      throw new BrokerError("SUBSCRIPTION_NOT_FOUND", `Topic ${this.#topic} has no group ${this.name}.`, {
        topic: this.#topic,
        group: this.name,
      });
    return group;
  }
}
