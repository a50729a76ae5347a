// What one history is made of, so that it can be replayed and made smaller: lives, each a list of operations and an end.

import type { OverflowPolicy, TopicOptions } from "../../src/broker/limits.js";
import type { MissedPolicy } from "../../src/broker/schedule-times.js";
import { SeededRandom } from "../support/seeded-random.js";

/** How often each kind of operation is drawn, of the sum of all. */
const ALWAYS = {
  publish: 27,
  repeat: 5,
  answer: 24,
  transact: 10,
  steps: 15,
  pass: 8,
  consumers: 5,
  replay: 3,
  discard: 1,
  flush: 3,
  checkpoint: 1,
  maintain: 1,
  "disk-full": 2,
  "disk-freed": 2,
  "jump-clock": 1,
};
/** Each history has some of these only: what is rare in all of them together would hardly meet anything else. */
const SOMETIMES = {
  "slow-disk": 2,
  pause: 3,
  resume: 3,
  seek: 3,
  forward: 3,
  schedule: 3,
};
export type OperationKind = keyof typeof ALWAYS | keyof typeof SOMETIMES;

export interface Operation<Kind extends string = OperationKind> {
  readonly kind: Kind;
  /** Of everything that the operation decides. */
  readonly seed: number;
}

/** What goes wrong with the disk in a life, each at one of its operations, counted from the beginning; -1 for never. */
export interface Faults {
  readonly failingSync: number;
  readonly failingRead: number;
  readonly failingOperation: number;
  /** How often a write takes only a part of what it was given. */
  readonly shortWrites: number;
}

export type End = "kill" | "power" | "close";

export interface Life<Kind extends string = OperationKind> {
  readonly operations: readonly Operation<Kind>[];
  readonly faults: Faults;
  readonly end: End;
  /** Steps of an opening that is cut short by a crash before this life; 0 for none. */
  readonly brokenOpening: number;
  /** Which operation of the disk fails in that opening; -1 for none. */
  readonly openingFault: number;
  /** A bit that is not what was written when this life begins, and is put right when it ends; 0 for none. */
  readonly flip: number;
  /** Nothing is read from memory. */
  readonly isUncached: boolean;
}

export interface Plan {
  readonly seed: number;
  readonly isByKey: boolean;
  /** Of the queue. */
  readonly priorities: number;
  /** Whether messages with an id that was seen are not stored again, nor handled again. */
  readonly isOnce: boolean;
  /** Whether a receipt means that it is on disk; else that the system has it. */
  readonly isSynced: boolean;
  /** What happens when the queue has as many messages as it may have; undefined when it may have any number. */
  readonly overflow: OverflowPolicy | undefined;
  /** How long the topic keeps its messages. */
  readonly retention: Partial<TopicOptions>;
  /** Whether some messages come by way of a queue that is forwarded. */
  readonly isForwarding: boolean;
  /** What a schedule does about times at which nothing ran; undefined when there is no schedule. */
  readonly missed: MissedPolicy | undefined;
  readonly lives: readonly Life[];
}

const LIVES_MAX = 5;
const OPERATIONS_MAX = 24;
const OVERFLOWS = ["reject", "drop-oldest", "dead-letter-oldest", "wait"] as const;
const RETENTIONS: readonly Partial<TopicOptions>[] = [
  { retentionMs: 5_000 },
  { retentionBytes: 100_000 },
  { retentionCount: 20 },
  { compact: true },
  { compact: true, retentionMs: 5_000 },
];

export function planOf(seed: number): Plan {
  const random = new SeededRandom(seed);
  const isByKey = random.chance(0.5);
  const priorities = random.pick([1, 1, 3]);
  const isSynced = random.chance(0.8);
  const isOnce = random.chance(0.4);
  const overflow = random.chance(0.3) ? random.pick(OVERFLOWS) : undefined;
  const retention = random.chance(0.3) ? random.pick(RETENTIONS) : {};
  const drawn = drawnFrom(random);
  if (Object.keys(retention).length > 0) drawn.push("maintain", "maintain", "maintain");
  const isForwarding = drawn.includes("forward");
  const missed = drawn.includes("schedule") ? random.pick(["once", "skip", "all"] as const) : undefined;
  const lives = Array.from({ length: 2 + random.below(LIVES_MAX - 1) }, () => lifeOf(random, drawn));
  const kind = { isByKey, priorities, isSynced, isOnce, overflow, retention, isForwarding, missed };
  return { seed, ...kind, lives };
}

/** Each kind of operation that the history has, as often as its weight says. */
function drawnFrom(random: SeededRandom): OperationKind[] {
  const some = Object.entries(SOMETIMES).filter(() => random.chance(0.35));
  const weights = [...Object.entries(ALWAYS), ...some] as [OperationKind, number][];
  return weights.flatMap(([kind, weight]) => new Array<OperationKind>(weight).fill(kind));
}

function lifeOf(random: SeededRandom, drawn: readonly OperationKind[]): Life {
  const count = 4 + random.below(OPERATIONS_MAX - 3);
  return {
    operations: Array.from({ length: count }, () => ({ kind: random.pick(drawn), seed: random.uint32() })),
    faults: {
      failingSync: random.chance(0.08) ? random.below(40) : -1,
      failingRead: random.chance(0.05) ? random.below(20) : -1,
      failingOperation: random.chance(0.06) ? random.below(200) : -1,
      shortWrites: random.chance(0.2) ? 0.1 : 0,
    },
    end: random.pick(["kill", "power", "power", "close"] as const),
    brokenOpening: random.chance(0.2) ? 1 + random.below(120) : 0,
    openingFault: random.chance(0.3) ? random.below(60) : -1,
    flip: random.chance(0.1) ? 1 + random.below(0x7fffffff) : 0,
    isUncached: random.chance(0.3),
  };
}
