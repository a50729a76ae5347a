// One consumer of a channel: what the broker hands over, as deliveries on the wire.

import type { Consumer } from "../../broker/consumer.js";
import type { Delivery } from "../../broker/delivery.js";
import { UNLIMITED } from "../../broker/limits.js";
import type { Queue } from "../../broker/queue.js";
import { amqpName } from "./address.js";
import type { ChannelHost } from "./channel-host.js";
import { type Found, place } from "./original.js";
import type { UnackedDeliveries } from "./unacked.js";
import { OutgoingContent, writeDeliver } from "./wire/basic.js";

/** A delivery that is not answered for so long ends its channel. */
export const LEASE_MS = 30 * 60_000;
/** Bytes of bodies that are handed over at once, before it is seen whether the client takes them. */
export const WINDOW_BYTES = 1024 * 1024;
/** Of the delivery that is being written. */
const content = new OutgoingContent();

export interface ConsumerPlan {
  readonly tag: string;
  readonly queue: Queue;
  readonly isNoAck: boolean;
  readonly isExclusive: boolean;
  readonly priority: number;
  /** Unanswered deliveries, at most; 0 is no limit. */
  readonly prefetch: number;
}

/** The channel, as far as its consumers need it. */
export interface ConsumerOwner {
  readonly connection: ChannelHost;
  readonly channel: number;
  readonly unacked: UnackedDeliveries;
  /** The queue of a consumer was deleted. */
  ended(consumer: ChannelConsumer): void;
  /** Hot: called after each batch. */
  delivered(consumer: ChannelConsumer): void;
  /** Runs when a delivery is taken away. */
  readonly leaseLost: () => void;
}

export class ChannelConsumer {
  readonly tag: string;
  readonly queue: Queue;
  readonly isNoAck: boolean;
  readonly isExclusive: boolean;
  readonly prefetch: number;
  /** The broker's. */
  readonly consumer: Consumer;
  private readonly tagBytes: Buffer;
  private readonly countsTries: boolean;
  private readonly owner: ConsumerOwner;
  private readonly found: { -readonly [K in keyof Found]: Found[K] };

  /** Errors: those of the broker. */
  constructor(owner: ConsumerOwner, { tag, queue, isNoAck, isExclusive, priority, prefetch }: ConsumerPlan) {
    this.owner = owner;
    this.tag = tag;
    this.tagBytes = Buffer.from(tag);
    this.queue = queue;
    this.isNoAck = isNoAck;
    this.isExclusive = isExclusive;
    this.prefetch = isNoAck ? 0 : prefetch;
    this.countsTries = queue.options.attemptsMax !== UNLIMITED;
    this.found = { queue: amqpName(queue.name), failedTries: 0 };
    this.consumer = queue.dispatcher.addConsumer({
      name: tag,
      prefetch: this.prefetch === 0 ? UNLIMITED : this.prefetch,
      prefetchBytes: WINDOW_BYTES,
      leaseMs: LEASE_MS,
      attemptsMax: queue.options.attemptsMax,
      priority,
      onDeliveries: (deliveries) => this.deliver(deliveries),
      onEnded: () => owner.ended(this),
    });
  }

  /** Hot: one frame after another into the connection's writer. */
  private deliver(deliveries: readonly Delivery[]): void {
    const { owner, found, tagBytes, isNoAck, countsTries } = this;
    const { connection, channel, unacked } = owner;
    const { writer, frameMax } = connection;
    for (let index = 0; index < deliveries.length; index += 1) {
      const delivery = deliveries[index]!;
      const { record } = delivery;
      found.failedTries = countsTries ? delivery.attempt - 1 : 0;
      place(content, record, found);
      const deliveryTag = isNoAck ? unacked.skip() : unacked.add(delivery);
      writeDeliver(writer, channel, frameMax, tagBytes, deliveryTag, delivery.isRedelivered, content);
      if (isNoAck) delivery.ack();
      else delivery.onLeaseLost = owner.leaseLost;
    }
    connection.realm.counters.delivered += deliveries.length;
    owner.delivered(this);
  }
}
