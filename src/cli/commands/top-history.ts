// What `omnibus top` has seen: two looks at a directory make rates, and many make a line of bars.

import type { BusStatistics, GroupStatistics, QueueStatistics, TopicStatistics } from "../../index.js";

/** One queue, topic or group at one moment. */
export interface TopRow {
  readonly kind: "queue" | "topic" | "group";
  /** Of a group `topic/group`. */
  readonly name: string;
  /** Whether nothing is handed out; undefined for topics. */
  readonly isPaused: boolean | undefined;
  /** Messages published in a second; undefined at the first look. */
  readonly inPerSecond: number | undefined;
  /** Messages settled, dropped or removed in a second; undefined at the first look, and for topics. */
  readonly outPerSecond: number | undefined;
  /** Messages that are not settled, those that are delayed included; undefined for topics. */
  readonly depth: number | undefined;
  readonly delayed: number | undefined;
  readonly deadLetters: number | undefined;
  readonly oldestAgeMs: number | undefined;
  /** On disk; undefined for groups. */
  readonly bytes: number | undefined;
  /** The depths of the last looks, the latest last. */
  readonly depths: readonly number[];
}

/** A row without what only a history knows. */
interface Sample extends Omit<TopRow, "inPerSecond" | "outPerSecond" | "depths"> {
  /** Since the queue or topic was made. */
  readonly published: number;
}

interface Seen {
  readonly sample: Sample;
  readonly depths: readonly number[];
}

/** Looks that a line of bars shows. */
const LOOKS_MAX = 20;

export class TopHistory {
  private seen: ReadonlyMap<string, Seen>;
  private lookedAtMs: number;

  constructor() {
    this.seen = new Map();
    this.lookedAtMs = 0;
  }

  /** The rows as they are now, the busiest first, then the deepest. `nowMs` is of the monotonic clock. */
  look(statistics: BusStatistics, nowMs: number): TopRow[] {
    const seconds = (nowMs - this.lookedAtMs) / 1000;
    const seen = new Map<string, Seen>();
    const rows = samplesOf(statistics).map((sample) => {
      const key = `${sample.kind} ${sample.name}`;
      const before = this.seen.get(key);
      const depths = [...(before?.depths ?? []), sample.depth ?? 0].slice(-LOOKS_MAX);
      seen.set(key, { sample, depths });
      return rowOf(sample, before?.sample, seconds, depths);
    });
    this.seen = seen;
    this.lookedAtMs = nowMs;
    return rows.sort(byActivity);
  }
}

function rowOf(
  { published, ...sample }: Sample,
  before: Sample | undefined,
  seconds: number,
  depths: readonly number[],
): TopRow {
  if (before === undefined || seconds <= 0)
    return { ...sample, inPerSecond: undefined, outPerSecond: undefined, depths };
  const taken = Math.max(0, published - before.published);
  const left = taken - ((sample.depth ?? 0) - (before.depth ?? 0));
  return {
    ...sample,
    inPerSecond: taken / seconds,
    outPerSecond: sample.depth === undefined ? undefined : Math.max(0, left) / seconds,
    depths,
  };
}

function byActivity(a: TopRow, b: TopRow): number {
  const activity = ({ inPerSecond = 0, outPerSecond = 0 }: TopRow) => inPerSecond + outPerSecond;
  return activity(b) - activity(a) || (b.depth ?? 0) - (a.depth ?? 0) || (a.name < b.name ? -1 : 1);
}

/** Queues of dead letters show in the column `dead` of what they belong to. */
function samplesOf({ queues, topics }: BusStatistics): Sample[] {
  return [
    ...queues.filter(({ deadLettersOf }) => deadLettersOf === undefined).map(sampleOfQueue),
    ...topics.flatMap((topic) => [
      sampleOfTopic(topic),
      ...topic.groups.map((group) => sampleOfGroup(topic, group)),
    ]),
  ];
}

function sampleOfQueue(queue: QueueStatistics): Sample {
  const { name, isPaused, waiting, inFlight, delayed, deadLetters, oldestAgeMs, bytes } = queue;
  return {
    kind: "queue",
    name,
    isPaused,
    depth: waiting + inFlight + delayed,
    delayed,
    deadLetters,
    oldestAgeMs,
    bytes,
    published: queue.publishedEver,
  };
}

function sampleOfTopic(topic: TopicStatistics): Sample {
  return {
    kind: "topic",
    name: topic.name,
    isPaused: undefined,
    depth: undefined,
    delayed: undefined,
    deadLetters: undefined,
    oldestAgeMs: undefined,
    bytes: topic.bytes,
    published: publishedTo(topic),
  };
}

function sampleOfGroup(topic: TopicStatistics, group: GroupStatistics): Sample {
  const { lag, isPaused, delayed, deadLetters, oldestAgeMs } = group;
  return {
    kind: "group",
    name: `${topic.name}/${group.name}`,
    isPaused,
    depth: lag,
    delayed,
    deadLetters,
    oldestAgeMs,
    bytes: undefined,
    published: publishedTo(topic),
  };
}

function publishedTo({ partitions }: TopicStatistics): number {
  return partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
}
