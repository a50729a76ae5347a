// A topic's partition and a queue, seen alike: stored messages with rising offsets.

import type { Bus, QueueStatistics, StoredMessage, TopicStatistics } from "../../index.js";

/** Where to begin: an offset, the first message that is kept, or a time. */
export type From = number | "beginning" | Date;

/** Messages with rising offsets. */
export interface MessageSource {
  /** Tells it from every other. */
  readonly name: string;
  /** Offset of the first message that is kept. */
  readonly start: number;
  /** First offset that is not there yet; where that is not known, as in a queue, `start`: reading begins there. */
  readonly end: number;
  /** The messages from there on that are there. */
  read(from: From): AsyncIterable<StoredMessage>;
}

/** The partitions of a topic. */
export function topicSources(bus: Bus, topic: TopicStatistics): MessageSource[] {
  return topic.partitions.map(({ partition, logStartOffset, highWatermark }) => ({
    name: `topic ${topic.name}[${partition}]`,
    start: logStartOffset,
    end: highWatermark,
    read: (from) =>
      bus.topic(topic.name).read({ partition, from: clamp(from, logStartOffset, highWatermark) }),
  }));
}

function clamp(from: From, first: number, end: number): From {
  return typeof from === "number" ? Math.min(Math.max(from, first), end) : from;
}

/** The messages of a queue that are not settled. */
export function queueSource(bus: Bus, queue: QueueStatistics): MessageSource {
  return {
    name: `queue ${queue.name}`,
    start: 0,
    end: 0,
    read: (from) => since(from, bus.queue(queue.name).browse()),
  };
}

async function* since(from: From, messages: AsyncIterable<StoredMessage>): AsyncGenerator<StoredMessage> {
  for await (const message of messages) {
    if (typeof from === "number" && message.offset < from) continue;
    if (from instanceof Date && message.timestampMs < from.getTime()) continue;
    yield message;
  }
}
