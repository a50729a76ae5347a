// What a queue or subscription says about each of its consumers.

import type { Dispatcher } from "./dispatcher.js";

export interface ConsumerStatistics {
  readonly name: string;
  readonly priority: number;
  readonly inFlight: number;
  /** Whether it may get messages; it stands by where another one is the single active consumer. */
  readonly isActive: boolean;
  /** The partitions that it has; undefined where any consumer gets any message. */
  readonly partitions: readonly number[] | undefined;
}

/** How many consumers are told of. */
const SHOWN_MAX = 1_000;

/** Those of the highest priority first, of one priority as they came. */
export function consumerStatistics(dispatcher: Dispatcher): ConsumerStatistics[] {
  return dispatcher.consumers.slice(0, SHOWN_MAX).map((consumer) => ({
    name: consumer.name,
    priority: consumer.priority,
    inFlight: consumer.inFlight,
    isActive: dispatcher.mayGet(consumer),
    partitions: dispatcher.partitionsOf(consumer),
  }));
}
