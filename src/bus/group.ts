// A group of a topic as applications hold it: its consumers together get each message of the topic once.

import type { GroupStatistics } from "../broker/statistics.js";
import { BrokerError } from "../broker-error.js";
import type { Capabilities, EngineSource, EngineSubscription } from "../engines/engine.js";
import { type BrowseOptions, browse } from "./browse.js";
import type { BusCore } from "./bus-core.js";
import { consume } from "./consume.js";
import type { Delivery } from "./delivery.js";
import type { BatchHandler, BatchOptions, Handler, HandlerOptions, Handling } from "./handler.js";
import { type GroupPlace, seekPosition } from "./place.js";
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
  readonly #subscription: () => Promise<EngineSubscription>;
  readonly #puller: Puller;

  /** Made by {@link Topic.group}. `subscription` declares the topic and the group. */
  constructor(core: BusCore, topic: string, name: string, subscription: () => Promise<EngineSubscription>) {
    this.name = name;
    this.#core = core;
    this.#topic = topic;
    this.#subscription = subscription;
    this.#puller = new Puller(core, this.#source, topic);
  }

  /** Makes the group, durably, or finds it. Errors: INVALID_NAME, INVALID_OPTION. */
  async declare(): Promise<this> {
    this.#core.assertOpen();
    await this.#subscription();
    return this;
  }

  /** Messages that the group has not settled, partition by partition, without taking them. Errors: INVALID_OPTION, LOG_CORRUPT. */
  browse(options: BrowseOptions = {}): AsyncGenerator<StoredMessage, void, undefined> {
    return browse(
      this.#core,
      this.#topic,
      async (isAll) => (await this.#subscription()).browse(isAll),
      options,
    );
  }

  /**
   * Messages as they come, to be settled by hand. Ends with the signal, `break`, or the bus; what is not settled then
   * goes back. Errors: INVALID_OPTION, LOG_CORRUPT.
   */
  receive(options: ReceiveOptions<C> = {} as ReceiveOptions<C>): AsyncGenerator<Delivery, void, undefined> {
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
  consume(handler: Handler<StoredMessage, C>): Handling;
  consume(
    options: HandlerOptions<C> & { readonly batch?: never },
    handler: Handler<StoredMessage, C>,
  ): Handling;
  consume(
    options: HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<StoredMessage, C>,
  ): Handling;
  consume(...given: unknown[]): Handling {
    const source = this.#topic;
    const name = `${source}/${this.name}`;
    return consume(this.#core, { kind: "group", name, source, declare: this.#source }, given);
  }

  /**
   * Hands nothing out any more, also after a restart, until it is resumed. What handlers have stays with them. Errors:
   * NOT_SUPPORTED, those of storage.
   */
  async pause(): Promise<void> {
    await this.#change("pause", "pausing");
    await this.#core.engine.broker.pauseSubscription(this.#topic, this.name);
  }

  async resume(): Promise<void> {
    await this.#change("pause", "pausing");
    await this.#core.engine.broker.resumeSubscription(this.#topic, this.name);
  }

  /** Passes over everything that is not in flight. Returns how many messages that were. */
  async purge(): Promise<number> {
    this.#core.assertWritable();
    return (await this.#subscription()).purge();
  }

  /**
   * Moves the group forward or back: it goes on from there, also after a restart. What handlers work on meanwhile is
   * taken away from them: their signals abort, and what they answer counts for nothing. Errors: INVALID_OPTION,
   * OFFSET_OUT_OF_RANGE, NOT_SUPPORTED, those of storage.
   *
   * @example
   * await bus.topic("order").group("billing").seek({ time: new Date("2026-03-01") });
   */
  async seek(to: GroupPlace): Promise<void> {
    const position = seekPosition(to);
    await this.#change("replay", "moving a group");
    await this.#core.engine.broker.seekSubscription(this.#topic, this.name, position);
  }

  /**
   * The group no longer gets the events of this name, which it asked for once; what waits of them is passed over. Close
   * their handler first. Returns whether it had asked for them. Errors: SUBSCRIPTION_NOT_FOUND, INVALID_OPTION for the
   * last one: delete the group instead.
   */
  async unsubscribe(subject: string): Promise<boolean> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    return await this.#core.engine.broker.unsubscribe(this.#topic, this.name, subject);
  }

  /** Deletes the group with what it knows; its dead letters stay. Its handlers end. Returns whether it was there. */
  async delete(): Promise<boolean> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    return await this.#core.engine.broker.deleteSubscription(this.#topic, this.name);
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

  /** The group is there and may be changed. Errors: NOT_SUPPORTED, READ_ONLY. */
  async #change(capability: keyof Capabilities, what: string): Promise<void> {
    this.#core.assertSupports(capability, what);
    this.#core.assertWritable();
    await this.declare();
  }

  readonly #source = async (): Promise<EngineSource> => (await this.#subscription()).source;
}
