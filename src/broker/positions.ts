// Places in a topic that a group can begin at, or be moved to.

import { BrokerError } from "../broker-error.js";
import type { Log } from "../log/log.js";

/** Where a group that is new begins. */
export type StartPosition =
  /** At what is published from now on. */
  | "new"
  /** At the first message that is kept. */
  | "beginning"
  /** At this offset, of a topic with one partition. */
  | { readonly offset: number }
  /** At the first message published then or later. */
  | { readonly timestampMs: number };

/** What has partitions: a topic. */
export interface Partitioned {
  readonly name: string;
  readonly partitions: readonly Log[];
}

/** Where a group is moved to. */
export type SeekPosition =
  | "beginning"
  /** Behind everything that is there. */
  | "end"
  /** In one partition; the others stay where they are. It may be left out where there is only one. */
  | { readonly offset: number; readonly partition?: number }
  | { readonly timestampMs: number };

/**
 * The offset in each partition; undefined where it is not said. Offsets that retention removed become the first that is
 * kept. Errors: INVALID_OPTION, OFFSET_OUT_OF_RANGE.
 */
export async function offsetsAt(
  topic: Partitioned,
  position: StartPosition | SeekPosition,
): Promise<(number | undefined)[]> {
  const { partitions } = topic;
  if (position === "beginning") return partitions.map((log) => log.logStartOffset);
  if (typeof position === "string") return partitions.map((log) => log.highWatermark);
  if ("timestampMs" in position)
    return await Promise.all(partitions.map((log) => offsetAtTime(log, position.timestampMs)));
  const partition = partitionOf(topic, position);
  const offset = keptOffset(topic, partition, position.offset);
  return partitions.map((_log, index) => (index === partition ? offset : undefined));
}

/** What is wrong with a position, for an error that names the option. */
export function positionProblem(value: unknown, words: readonly string[]): string | undefined {
  if (typeof value === "string" && words.includes(value)) return undefined;
  if (typeof value === "object" && value !== null) {
    if ("offset" in value && isWhole(value.offset) && isPartition(value)) return undefined;
    if ("timestampMs" in value && isWhole(value.timestampMs)) return undefined;
  }
  return `give one of ${words.join(", ")}, or an offset or a time that is a whole number of at least 0`;
}

function isPartition(value: object): boolean {
  return !("partition" in value) || value.partition === undefined || isWhole(value.partition);
}

function isWhole(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

async function offsetAtTime(log: Log, timestampMs: number): Promise<number> {
  return (await log.offsetAtTime(timestampMs)) ?? log.highWatermark;
}

function partitionOf(topic: Partitioned, position: { offset: number; partition?: number }): number {
  const { partition } = position;
  if (partition === undefined && topic.partitions.length > 1)
    throw new BrokerError(
      "INVALID_OPTION",
      `The offset ${position.offset} says no partition, and topic ${topic.name} has ${topic.partitions.length}. Say which, or give a time.`,
      { option: "partition", topic: topic.name },
    );
  if (partition !== undefined && partition >= topic.partitions.length)
    throw new BrokerError(
      "OFFSET_OUT_OF_RANGE",
      `Topic ${topic.name} has no partition ${partition}; it has ${topic.partitions.length}, counted from 0.`,
      { partition },
    );
  return partition ?? 0;
}

function keptOffset(topic: Partitioned, partition: number, offset: number): number {
  const { logStartOffset, highWatermark } = topic.partitions[partition]!;
  if (offset <= highWatermark) return Math.max(offset, logStartOffset);
  throw new BrokerError(
    "OFFSET_OUT_OF_RANGE",
    `Partition ${partition} of topic ${topic.name} has messages from ${logStartOffset} up to, not including, ${highWatermark}; ${offset} is behind its end.`,
    { partition, offset },
  );
}
