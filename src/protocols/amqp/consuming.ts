// What a channel's client gets: its consumers, how much they may have, and what it has not answered.

import type { Delivery } from "../../broker/delivery.js";
import { UNLIMITED } from "../../broker/limits.js";
import { isBrokerError } from "../../broker-error.js";
import {
  ChannelConsumer,
  type ConsumerOwner,
  type ConsumerPlan,
  LEASE_MS,
  WINDOW_BYTES,
} from "./channel-consumer.js";
import type { ChannelHost } from "./channel-host.js";
import { preconditionFailed } from "./errors.js";
import type { Queues } from "./queues.js";
import { UnackedDeliveries } from "./unacked.js";

/** How an answer that is no ack ends a delivery. */
export type Refusal = "requeue" | "reject";

export class Consuming implements ConsumerOwner {
  readonly connection: ChannelHost;
  readonly channel: number;
  readonly queues: Queues;
  readonly unacked = new UnackedDeliveries();
  readonly consumers = new Map<string, ChannelConsumer>();
  /** Of consumers that are yet to come; 0 is no limit. */
  prefetch = 0;
  /** Over all consumers of the channel; 0 is no limit. */
  #sharedPrefetch = 0;
  /** Whether the client asked for a pause, and whether the connection did. */
  #isStopped = false;
  #isPaused = false;
  #isClosed = false;
  #isLossSeen = false;

  constructor(connection: ChannelHost, channel: number) {
    this.connection = connection;
    this.channel = channel;
    this.queues = connection.realm.queues;
  }

  /** Errors: those of the broker. */
  add(plan: ConsumerPlan): void {
    const consumer = new ChannelConsumer(this, plan);
    this.consumers.set(plan.tag, consumer);
    if (plan.isExclusive) this.queues.exclusive.set(plan.queue, consumer);
    if (this.#isHeld || this.#sharedPrefetch > 0) this.#grant(consumer);
  }

  /** It takes nothing more; what it has stays with the channel. */
  cancel(tag: string): void {
    const consumer = this.consumers.get(tag);
    if (consumer === undefined) return;
    this.#forget(consumer);
    consumer.consumer.leave();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  ended(consumer: ChannelConsumer): void {
    if (this.#isClosed || this.consumers.get(consumer.tag) !== consumer) return;
    this.#forget(consumer);
    if (this.connection.can("consumer_cancel_notify"))
      this.connection.send(this.channel, "basic.cancel", { consumerTag: consumer.tag, noWait: true });
  }

  /** Limits what all consumers together have. */
  share(prefetch: number): void {
    this.#sharedPrefetch = prefetch;
    this.#grantAll();
  }

  /** `isStopped`: the client wants nothing for now. */
  setStopped(isStopped: boolean): void {
    this.#isStopped = isStopped;
    this.#grantAll();
  }

  /** `isPaused`: the connection can send nothing for now. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#grantAll();
  }

  /** Hot. */
  delivered(consumer: ChannelConsumer): void {
    if (this.connection.writer.isCongested) this.connection.congested();
    if (this.#sharedPrefetch > 0) this.#grantAll();
    else if (consumer.consumer.isSated) this.#grant(consumer);
  }

  /** Hot. */
  ack(tag: number, isMultiple: boolean): void {
    const { unacked } = this;
    if (!isMultiple) settle(this.take(tag));
    else if (this.#isKnown(tag)) {
      const last = tag === 0 ? unacked.next : tag;
      for (let one = unacked.takeOldest(last); one !== undefined; one = unacked.takeOldest(last)) settle(one);
    }
    if (this.#sharedPrefetch > 0) this.#grantAll();
  }

  refuse(tag: number, isMultiple: boolean, refusal: Refusal): void {
    if (isMultiple) for (const delivery of this.takeUpTo(tag)) this.end(delivery, refusal);
    else this.end(this.take(tag), refusal);
    if (this.#sharedPrefetch > 0) this.#grantAll();
  }

  /** Errors: PRECONDITION_FAILED when nothing of that tag waits for an answer. */
  take(tag: number): Delivery {
    const delivery = this.unacked.take(tag);
    if (delivery === undefined) throw preconditionFailed(`unknown delivery tag ${tag}`);
    return delivery;
  }

  /** All up to `tag`, 0 for all that there are, the oldest first. Errors: PRECONDITION_FAILED. */
  *takeUpTo(tag: number): Generator<Delivery> {
    if (!this.#isKnown(tag)) return;
    const last = tag === 0 ? this.unacked.next : tag;
    for (let one = this.unacked.takeOldest(last); one !== undefined; one = this.unacked.takeOldest(last))
      yield one;
  }

  /** Ends a delivery that was taken out of those that wait. */
  end(delivery: Delivery, refusal: Refusal): void {
    if (!delivery.isLeased) return;
    if (refusal === "reject") this.#reject(delivery);
    else if (delivery.consumer.attemptsMax === UNLIMITED) delivery.release();
    else delivery.nack({ delayMs: 0, error: "given back", keepsTurn: true });
  }

  /** Gives everything that is not answered back to its queue, where each takes its place again. */
  recover(): void {
    for (const delivery of this.takeUpTo(0)) this.end(delivery, "requeue");
    if (this.#sharedPrefetch > 0) this.#grantAll();
  }

  /** Gives back what was not answered, and ends all consumers. */
  close(): void {
    this.#isClosed = true;
    const consumers = [...this.consumers.values()];
    for (const { consumer } of consumers) consumer.stop();
    this.recover();
    for (const consumer of consumers) {
      this.#forget(consumer);
      consumer.consumer.close();
    }
  }

  /** Its time is over, or its queue was deleted. */
  readonly leaseLost = (): void => {
    if (this.#isClosed || this.#isLossSeen) return;
    this.#isLossSeen = true;
    this.connection.host.clock.defer(() => this.#lookForLost());
  };

  #lookForLost(): void {
    this.#isLossSeen = false;
    if (this.#isClosed) return;
    /** Of queues that were deleted: there may be many deliveries of each, and many queues. */
    const deleted = new Set<Delivery["state"]>();
    for (const delivery of this.unacked) {
      if (delivery.isOpen || delivery.state.isRetired || deleted.has(delivery.state)) continue;
      if (this.#isDeleted(delivery)) {
        deleted.add(delivery.state);
        continue;
      }
      const text = `delivery acknowledgement on channel ${this.channel} timed out. Timeout value used: ${LEASE_MS} ms. This timeout value can be configured, see consumers doc guide to learn more`;
      this.connection.fail(this.channel, preconditionFailed(text));
      return;
    }
  }

  #isDeleted({ state }: Delivery): boolean {
    for (const { states } of this.queues.broker.queues) if (states.includes(state)) return false;
    return true;
  }

  #reject(delivery: Delivery): void {
    const { host, peer } = this.connection;
    delivery.deadLetter("rejected", "").catch((error: unknown) => {
      if (isBrokerError(error, "CLOSED")) return;
      host.log.warn({ peer: peer.address, error: String(error) }, "a rejected message stays in its queue");
    });
  }

  /** Whether there is something to answer. Errors: PRECONDITION_FAILED for a tag that nothing waits with. */
  #isKnown(tag: number): boolean {
    if (tag === 0) return this.unacked.size > 0;
    if (this.unacked.has(tag)) return true;
    throw preconditionFailed(`unknown delivery tag ${tag}`);
  }

  get #isHeld(): boolean {
    return this.#isStopped || this.#isPaused;
  }

  #grantAll(): void {
    for (const consumer of this.consumers.values()) this.#grant(consumer);
  }

  /** Says how much more the consumer may have. */
  #grant({ consumer, prefetch, isNoAck }: ChannelConsumer): void {
    const { inFlight } = consumer;
    const own = prefetch === 0 ? UNLIMITED : prefetch;
    const shared =
      this.#sharedPrefetch === 0 || isNoAck ? UNLIMITED : inFlight + this.#sharedPrefetch - this.unacked.size;
    const granted = this.#isHeld ? 0 : Math.max(0, Math.min(own, shared));
    consumer.setPrefetch(granted, consumer.bytesInFlight + WINDOW_BYTES);
  }

  #forget(consumer: ChannelConsumer): void {
    this.consumers.delete(consumer.tag);
    const { exclusive } = this.queues;
    if (exclusive.get(consumer.queue) === consumer) exclusive.delete(consumer.queue);
  }
}

/** Hot. A queue that was deleted took its deliveries away. */
function settle(delivery: Delivery): void {
  if (delivery.isLeased) delivery.ack();
}
