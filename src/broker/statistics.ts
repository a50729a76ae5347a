// What the broker says about itself: one plain object per queue, topic and group, for people and for programs.

import { type ConsumerStatistics, consumerStatistics } from "./consumer-statistics.js";
import type { Dispatcher } from "./dispatcher.js";
import type { DispatcherCounters } from "./dispatcher-counters.js";
import type { OldestTimes } from "./oldest-times.js";
import type { Queue } from "./queue.js";
import type { Subscription } from "./subscription.js";
import type { Topic } from "./topic.js";

/** Counters count since the broker was opened. */
export interface QueueStatistics extends Readonly<DispatcherCounters> {
  readonly name: string;
  /** Not settled, and neither in flight nor delayed. */
  readonly waiting: number;
  readonly inFlight: number;
  /** Held back until a time: sent with a delay, or waiting for another try. */
  readonly delayed: number;
  /** Whether nothing is handed out. */
  readonly isPaused: boolean;
  /** Dead letters of this queue that are still there. */
  readonly deadLetters: number;
  /** Bytes on disk, settled messages of the last segments included. */
  readonly bytes: number;
  /** Age of the oldest message that is not settled; undefined when there is none or it is not in memory. */
  readonly oldestAgeMs: number | undefined;
  readonly consumers: number;
  /** The first 1,000 of them. */
  readonly members: readonly ConsumerStatistics[];
  readonly published: number;
  /** Like `published`, since the queue was made. */
  readonly publishedEver: number;
  /** Messages that were not stored, because one with their id had been. */
  readonly deduplicated: number;
  /** Unsettled messages at each priority, from 0 up: one number where the queue was declared without priorities. */
  readonly unsettledByPriority: readonly number[];
  /** The queue or `topic/group` whose dead letters this queue holds. */
  readonly deadLettersOf: string | undefined;
  /** What makes the queue unreadable. */
  readonly failure: string | undefined;
}

export interface GroupStatistics extends Readonly<DispatcherCounters> {
  readonly name: string;
  /** Messages that the group has not settled. */
  readonly lag: number;
  /** Whether nothing is handed out. */
  readonly isPaused: boolean;
  readonly inFlight: number;
  readonly delayed: number;
  readonly deadLetters: number;
  /** Age of the oldest message that is not settled; undefined when there is none or it is not in memory. */
  readonly oldestAgeMs: number | undefined;
  readonly consumers: number;
  /** The first 1,000 of them. */
  readonly members: readonly ConsumerStatistics[];
  /** Messages that retention deleted before the group had settled them. */
  readonly lostToRetention: number;
  readonly failure: string | undefined;
}

/** How storing goes, counted since the store was opened. */
export interface StorageStatistics {
  readonly commits: number;
  /** Commits over more logs than are synced one by one: they went through the journal. */
  readonly journalCommits: number;
  readonly syncs: number;
  readonly lastSyncMs: number;
  readonly longestSyncMs: number;
  /** How long a sync has been hanging; 0 when none runs for more than 5 seconds. */
  readonly stalledMs: number;
  /** Bytes of messages committed. */
  readonly bytes: number;
}

/** Everything that a broker says about itself. */
export interface BrokerStatistics {
  readonly queues: readonly QueueStatistics[];
  readonly topics: readonly TopicStatistics[];
  readonly storage: StorageStatistics;
}

export interface PartitionStatistics {
  readonly partition: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly bytes: number;
}

export interface TopicStatistics {
  readonly name: string;
  /** Messages that were not stored, because one with their id had been. */
  readonly deduplicated: number;
  readonly bytes: number;
  readonly partitions: readonly PartitionStatistics[];
  readonly groups: readonly GroupStatistics[];
}

/** What numbers are looked up in. */
interface StatisticsView {
  readonly nowMs: number;
  readonly oldestTimes: OldestTimes;
  deadLettersOf(source: string): number;
}

export function queueStatistics(queue: Queue, view: StatisticsView): QueueStatistics {
  const { dispatcher, states } = queue;
  const delayed = states.reduce((sum, { delayedCount }) => sum + delayedCount, 0);
  return {
    name: queue.name,
    waiting: Math.max(0, queue.count - dispatcher.inFlight - delayed),
    inFlight: dispatcher.inFlight,
    delayed,
    isPaused: dispatcher.isPaused,
    deadLetters: view.deadLettersOf(queue.name),
    bytes: states.reduce((sum, { log }) => sum + log.sizeBytes, 0),
    oldestAgeMs: oldestAgeMs(dispatcher, view),
    consumers: dispatcher.consumers.length,
    members: consumerStatistics(dispatcher),
    published: queue.published,
    deduplicated: queue.deduplication?.duplicates ?? 0,
    publishedEver: states.reduce((sum, { log }) => sum + log.highWatermark, 0),
    unsettledByPriority: states.map((state) => state.unsettledCount),
    deadLettersOf: queue.deadLettersOf,
    failure: describeFailure(dispatcher.failure),
    ...dispatcher.counters,
  };
}

function oldestAgeMs({ failure, states }: Dispatcher, view: StatisticsView): number | undefined {
  return failure === undefined ? view.oldestTimes.ageMs(states, view.nowMs) : undefined;
}

export function topicStatistics(topic: Topic, view: StatisticsView): TopicStatistics {
  const partitions = topic.partitions.map((log, partition) => ({
    partition,
    logStartOffset: log.logStartOffset,
    highWatermark: log.highWatermark,
    bytes: log.sizeBytes,
  }));
  return {
    name: topic.name,
    deduplicated: topic.deduplication?.duplicates ?? 0,
    bytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0),
    partitions,
    groups: [...topic.subscriptions.values()].map((group) => groupStatistics(group, view)),
  };
}

function groupStatistics(subscription: Subscription, view: StatisticsView): GroupStatistics {
  const { dispatcher } = subscription;
  return {
    name: subscription.group,
    lag: subscription.lag,
    isPaused: dispatcher.isPaused,
    inFlight: dispatcher.inFlight,
    delayed: dispatcher.states.reduce((sum, state) => sum + state.delayedCount, 0),
    deadLetters: view.deadLettersOf(subscription.name),
    oldestAgeMs: oldestAgeMs(dispatcher, view),
    consumers: dispatcher.consumers.length,
    members: consumerStatistics(dispatcher),
    lostToRetention: dispatcher.states.reduce((sum, state) => sum + state.lostToRetention, 0),
    failure: describeFailure(dispatcher.failure),
    ...dispatcher.counters,
  };
}

function describeFailure(failure: unknown): string | undefined {
  if (failure === undefined) return undefined;
  return failure instanceof Error ? failure.message : String(failure);
}
