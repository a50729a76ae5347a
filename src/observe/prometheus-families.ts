// Every Prometheus metric of a bus: its name, its type, what it says, and where its value comes from.

import type {
  BusStatistics,
  GroupStatistics,
  QueueStatistics,
  StorageStatistics,
  TopicStatistics,
} from "../index.js";

/** One metric of sources of one kind. Undefined where nothing is known, and then there is no sample. */
export interface Family<S> {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly value: (source: S) => number | undefined;
  /** How the values of sources without a sample of their own become one. @default "sum" */
  readonly merge?: "sum" | "max";
}

export interface GroupOfTopic {
  readonly topic: string;
  readonly group: GroupStatistics;
}

/** What queues and groups both count. */
type Counters = Pick<
  QueueStatistics,
  | "delivered"
  | "settled"
  | "duplicates"
  | "redelivered"
  | "deadLettered"
  | "expired"
  | "dropped"
  | "leasesLost"
>;

const SECOND_MS = 1000;

export const QUEUE_FAMILIES: readonly Family<QueueStatistics>[] = [
  gauge("omnibus_queue_waiting_messages", "Messages that wait for a consumer.", ({ waiting }) => waiting),
  gauge("omnibus_queue_in_flight_messages", "Messages handed out and not settled.", (of) => of.inFlight),
  gauge("omnibus_queue_delayed_messages", "Messages held back until a time.", ({ delayed }) => delayed),
  gauge(
    "omnibus_queue_dead_letters",
    "Dead letters of the queue that are still there.",
    (of) => of.deadLetters,
  ),
  gauge("omnibus_queue_bytes", "Bytes on disk.", ({ bytes }) => bytes),
  oldest("omnibus_queue_oldest_age_seconds", (of) => of.oldestAgeMs),
  gauge("omnibus_queue_consumers", "Consumers of the queue.", ({ consumers }) => consumers),
  gauge("omnibus_queue_paused", "1 when nothing is handed out.", ({ isPaused }) => flag(isPaused)),
  gauge("omnibus_queue_failed", "1 when the queue cannot be read.", (of) => flag(of.failure !== undefined)),
  counter("omnibus_queue_published_total", "Messages that the queue took.", ({ published }) => published),
  counter(
    "omnibus_queue_deduplicated_total",
    "Messages not stored, because one with their id had been.",
    (of) => of.deduplicated,
  ),
  ...counters<QueueStatistics>("omnibus_queue"),
];

export const TOPIC_FAMILIES: readonly Family<TopicStatistics>[] = [
  gauge("omnibus_topic_messages", "Messages that are kept.", ({ partitions }) =>
    partitions.reduce((sum, { highWatermark, logStartOffset }) => sum + highWatermark - logStartOffset, 0),
  ),
  gauge("omnibus_topic_bytes", "Bytes on disk.", ({ bytes }) => bytes),
  counter("omnibus_topic_published_total", "Messages published since the topic was made.", ({ partitions }) =>
    partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0),
  ),
  counter(
    "omnibus_topic_deduplicated_total",
    "Messages not stored, because one with their id had been.",
    (of) => of.deduplicated,
  ),
];

export const GROUP_FAMILIES: readonly Family<GroupOfTopic>[] = [
  gauge("omnibus_group_lag_messages", "Messages that the group has not settled.", ({ group }) => group.lag),
  gauge(
    "omnibus_group_in_flight_messages",
    "Messages handed out and not settled.",
    (of) => of.group.inFlight,
  ),
  gauge("omnibus_group_delayed_messages", "Messages held back until a time.", ({ group }) => group.delayed),
  gauge("omnibus_group_dead_letters", "Dead letters that are still there.", ({ group }) => group.deadLetters),
  oldest("omnibus_group_oldest_age_seconds", ({ group }) => group.oldestAgeMs),
  gauge("omnibus_group_consumers", "Consumers of the group.", ({ group }) => group.consumers),
  gauge("omnibus_group_paused", "1 when nothing is handed out.", ({ group }) => flag(group.isPaused)),
  gauge("omnibus_group_failed", "1 when the group cannot be read.", (of) =>
    flag(of.group.failure !== undefined),
  ),
  counter(
    "omnibus_group_lost_to_retention_total",
    "Messages that retention deleted before the group had settled them.",
    ({ group }) => group.lostToRetention,
  ),
  ...counters<GroupStatistics>("omnibus_group").map((family) => ({
    ...family,
    value: ({ group }: GroupOfTopic) => family.value(group),
  })),
];

export const STORAGE_FAMILIES: readonly Family<StorageStatistics>[] = [
  counter("omnibus_storage_commits_total", "Commits.", ({ commits }) => commits),
  counter("omnibus_storage_journal_commits_total", "Commits through the journal.", (of) => of.journalCommits),
  counter("omnibus_storage_syncs_total", "Syncs of a file to disk.", ({ syncs }) => syncs),
  counter("omnibus_storage_bytes_total", "Bytes of messages committed.", ({ bytes }) => bytes),
  gauge(
    "omnibus_storage_last_sync_seconds",
    "How long the last sync took.",
    (of) => of.lastSyncMs / SECOND_MS,
  ),
  gauge(
    "omnibus_storage_longest_sync_seconds",
    "How long the longest sync took.",
    ({ longestSyncMs }) => longestSyncMs / SECOND_MS,
  ),
  gauge(
    "omnibus_storage_stalled_seconds",
    "How long a sync has been hanging; 0 when none is.",
    ({ stalledMs }) => stalledMs / SECOND_MS,
  ),
];

export const BUS_FAMILIES: readonly Family<BusStatistics>[] = [
  gauge(
    "omnibus_queues",
    "Queues, those of dead letters not counted.",
    ({ queues }) => ownQueues(queues).length,
  ),
  gauge("omnibus_topics", "Topics.", ({ topics }) => topics.length),
  gauge("omnibus_groups", "Groups of all topics.", ({ topics }) => groupsOf(topics).length),
];

/** Queues of dead letters are seen at what they belong to. */
export function ownQueues(queues: readonly QueueStatistics[]): QueueStatistics[] {
  return queues.filter(({ deadLettersOf }) => deadLettersOf === undefined);
}

export function groupsOf(topics: readonly TopicStatistics[]): GroupOfTopic[] {
  return topics.flatMap(({ name, groups }) => groups.map((group) => ({ topic: name, group })));
}

function counters<S extends Counters>(prefix: string): Family<S>[] {
  return [
    counter(`${prefix}_delivered_total`, "Messages handed to a consumer.", ({ delivered }) => delivered),
    counter(`${prefix}_settled_total`, "Messages that were done.", ({ settled }) => settled),
    counter(
      `${prefix}_duplicates_total`,
      "Messages passed over, because one with their id had been handled.",
      (of) => of.duplicates,
    ),
    counter(`${prefix}_redelivered_total`, "Messages handed out again.", ({ redelivered }) => redelivered),
    counter(`${prefix}_dead_lettered_total`, "Messages that became dead letters.", (of) => of.deadLettered),
    counter(`${prefix}_expired_total`, "Messages that expired.", ({ expired }) => expired),
    counter(`${prefix}_dropped_total`, "Messages that were dropped.", ({ dropped }) => dropped),
    counter(`${prefix}_leases_lost_total`, "Leases that ran out.", ({ leasesLost }) => leasesLost),
  ];
}

function gauge<S>(name: string, help: string, value: Family<S>["value"]): Family<S> {
  return { name, type: "gauge", help, value };
}

function counter<S>(name: string, help: string, value: Family<S>["value"]): Family<S> {
  return { name, type: "counter", help, value };
}

function oldest<S>(name: string, ageMs: (source: S) => number | undefined): Family<S> {
  const value = (source: S): number | undefined => {
    const known = ageMs(source);
    return known === undefined ? undefined : known / SECOND_MS;
  };
  return { name, type: "gauge", help: "Age of the oldest message that waits.", value, merge: "max" };
}

function flag(is: boolean): number {
  return is ? 1 : 0;
}
