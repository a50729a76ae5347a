// How the ready messages of a queue or subscription are dealt to its consumers: what every way of doing so is, and what
// it may ask of the dispatcher.

import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import type { Consumer } from "./consumer.js";
import type { ConsumerChoice } from "./consumer-choice.js";
import type { Delivery } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";

/** Who of several consumers may get a message of a partition. */
export type Assignment =
  /** Any of them. */
  | "shared"
  /** The one that has the partition. */
  | "partitions";

/** A way of dealing messages. */
export interface Dealing {
  /** Hot: hands out what is ready to those who take it. */
  deal(): void;
  /** A consumer came, left, or takes no more. */
  consumersChanged(): void;
  /** There is one more log, or `earlier`, whose consumers have nothing of it any more, goes on as `state`. */
  addState(state: DeliveryState, earlier?: DeliveryState): void;
  /** Whether `consumer` could be given something, fetching it from disk included. */
  hasReadyFor(consumer: Consumer, nowMs: number): boolean;
  /** The partitions that are for this consumer alone; undefined where none is for anyone alone. */
  partitionsOf(consumer: Consumer): readonly number[] | undefined;
}

/** What a way of dealing may do. */
export interface Dealer {
  readonly clock: Clock;
  readonly choice: ConsumerChoice;
  readonly states: readonly DeliveryState[];
  /** Whether a log only has its turn when those before it have nothing ready. */
  readonly isStrict: boolean;
  /** How many more messages may be in flight now. */
  readonly room: number;
  /** How many more messages this turn may look at. */
  readonly turnLeft: number;
  /** Messages that are not settled and not in flight. */
  readonly waitingCount: number;
  /** Hot: leases up to `count` ready messages of the logs to the consumer. */
  collect(consumer: Consumer, states: readonly DeliveryState[], count: number): Delivery[];
  /** Hot: the next ready message of a log, in flight from now on: to be leased, or put back. */
  next(state: DeliveryState, nowMs: number): StoredRecord | undefined;
  /** Hot: whether a message may be handed to the consumer. When not, it has been dealt with. */
  isDeliverable(record: StoredRecord, state: DeliveryState, consumer: Consumer, nowMs: number): boolean;
  /** Hot: a message is the consumer's from now on. */
  lease(record: StoredRecord, state: DeliveryState, consumer: Consumer, leaseExpiresAtMs: number): Delivery;
  /** Hot: hands over what was leased to the consumer. */
  give(consumer: Consumer, deliveries: Delivery[]): void;
  /** Nothing of these logs is ready: looks again when a delayed message of theirs is due. */
  awaitDelayed(states: readonly DeliveryState[]): void;
  /** What a consumer was told made it throw. */
  reportThrown(error: unknown): void;
}
