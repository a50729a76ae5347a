// A topic's partition and a queue, seen alike: a run of stored messages with an end that moves.

import type { Bus, StoredMessage, TopicStatistics } from "../../index.js";
import type { World } from "../world.js";

/** Messages with rising offsets. */
export interface MessageSource {
  /** Offset of the first that is kept. */
  readonly start: number;
  /** First offset that was not there yet when the source was found. */
  readonly end: number;
  /** The messages from there up to `end`. */
  read(from: number | "beginning" | Date): AsyncIterable<StoredMessage>;
  /** The messages from `end` on, as they come, until the command is interrupted. */
  follow(): AsyncIterable<StoredMessage>;
}

/** How often a queue is looked at again. */
const LOOK_AGAIN_MS = 200;

/** The partitions of a topic. */
export function topicSources(world: World, bus: Bus, topic: TopicStatistics): MessageSource[] {
  return topic.partitions.map(({ partition, logStartOffset, highWatermark }) => ({
    start: logStartOffset,
    end: highWatermark,
    read: (from) =>
      below(
        highWatermark,
        bus.topic(topic.name).read({ partition, from: clamp(from, logStartOffset, highWatermark) }),
      ),
    follow: () =>
      bus.topic(topic.name).read({ partition, from: highWatermark, follow: true, signal: world.signal }),
  }));
}

function clamp(from: number | "beginning" | Date, first: number, end: number): number | "beginning" | Date {
  return typeof from === "number" ? Math.min(Math.max(from, first), end) : from;
}

async function* below(end: number, messages: AsyncIterable<StoredMessage>): AsyncGenerator<StoredMessage> {
  for await (const message of messages) {
    if (message.offset >= end) return;
    yield message;
  }
}

/** The messages that wait in a queue. */
export async function queueSource(world: World, bus: Bus, name: string): Promise<MessageSource> {
  const queue = bus.queue(name);
  const first = await firstFrom(bus, name, 0);
  const end = first === undefined ? 0 : await endOf(bus, name, first);
  return {
    start: first ?? 0,
    end,
    read: (from) => below(end, since(from, queue.browse({ from: typeof from === "number" ? from : 0 }))),
    follow: () => followQueue(world, bus, name, end),
  };
}

async function* since(
  from: number | "beginning" | Date,
  messages: AsyncIterable<StoredMessage>,
): AsyncGenerator<StoredMessage> {
  const sinceMs = from instanceof Date ? from.getTime() : Number.NEGATIVE_INFINITY;
  for await (const message of messages) if (message.timestampMs >= sinceMs) yield message;
}

/** The offset of the first message that waits at `from` or after. */
async function firstFrom(bus: Bus, name: string, from: number): Promise<number | undefined> {
  for await (const message of bus.queue(name).browse({ from, limit: 1 })) return message.offset;
  return undefined;
}

/** One past the last message that waits: found by doubling and halving, for a queue may hold millions. */
async function endOf(bus: Bus, name: string, first: number): Promise<number> {
  let last = first;
  let step = 1;
  for (; ; step *= 2) {
    const offset = await firstFrom(bus, name, last + step);
    if (offset === undefined) break;
    last = offset;
  }
  for (step /= 2; step >= 1; step /= 2) {
    const offset = await firstFrom(bus, name, last + step);
    if (offset !== undefined) last = offset;
  }
  return last + 1;
}

async function* followQueue(
  world: World,
  bus: Bus,
  name: string,
  end: number,
): AsyncGenerator<StoredMessage> {
  let next = end;
  while (!world.signal.aborted) {
    for await (const message of bus.queue(name).browse({ from: next })) {
      yield message;
      next = message.offset + 1;
    }
    await world.pause(LOOK_AGAIN_MS);
  }
}
