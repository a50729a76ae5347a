// What one history is made of, so that it can be replayed and made smaller: lives, each a list of operations and an end.

import { SeededRandom } from "../support/seeded-random.js";

export const OPERATIONS = [
  "publish",
  "repeat",
  "answer",
  "transact",
  "steps",
  "pass",
  "consumers",
  "replay",
  "discard",
  "flush",
  "checkpoint",
  "maintain",
  "disk-full",
  "disk-freed",
  "jump-clock",
] as const;
export type OperationKind = (typeof OPERATIONS)[number];

export interface Operation {
  readonly kind: OperationKind;
  /** Of everything that the operation decides. */
  readonly seed: number;
}

/** What goes wrong with the disk in a life, each at one of its operations, counted from the beginning; -1 for never. */
export interface Faults {
  readonly failingSync: number;
  readonly failingOperation: number;
  /** How often a write takes only a part of what it was given. */
  readonly shortWrites: number;
}

export type End = "kill" | "power" | "close";

export interface Life {
  /** Of the schedule: what happens next, and what a crash leaves. */
  readonly seed: number;
  readonly operations: readonly Operation[];
  readonly faults: Faults;
  readonly end: End;
  /** Steps of an opening that is cut short by a crash before this life; 0 for none. */
  readonly brokenOpening: number;
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
  readonly lives: readonly Life[];
}

const LIVES_MAX = 5;
const OPERATIONS_MAX = 24;
/** How often each kind is drawn, of the sum of all. */
const WEIGHTS: Readonly<Record<OperationKind, number>> = {
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
const DRAWN = OPERATIONS.flatMap((kind) => new Array<OperationKind>(WEIGHTS[kind]).fill(kind));

export function planOf(seed: number): Plan {
  const random = new SeededRandom(seed);
  const isByKey = random.chance(0.5);
  const priorities = random.pick([1, 1, 3]);
  const isSynced = random.chance(0.8);
  const isOnce = random.chance(0.4);
  const lives = Array.from({ length: 2 + random.below(LIVES_MAX - 1) }, () => lifeOf(random));
  return { seed, isByKey, priorities, isSynced, isOnce, lives };
}

function lifeOf(random: SeededRandom): Life {
  const count = 4 + random.below(OPERATIONS_MAX - 3);
  return {
    seed: random.uint32(),
    operations: Array.from({ length: count }, () => ({ kind: random.pick(DRAWN), seed: random.uint32() })),
    faults: {
      failingSync: random.chance(0.08) ? random.below(40) : -1,
      failingOperation: random.chance(0.06) ? random.below(200) : -1,
      shortWrites: random.chance(0.2) ? 0.1 : 0,
    },
    end: random.pick(["kill", "power", "power", "close"] as const),
    brokenOpening: random.chance(0.2) ? 1 + random.below(120) : 0,
    isUncached: random.chance(0.3),
  };
}
