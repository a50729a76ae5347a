// What one history of a bus is made of: how its handlers are, and lives of operations and an end.

import { SeededRandom } from "../support/seeded-random.js";
import type { Life } from "./plan.js";

/** How often each operation is drawn, of the sum of all. */
const WEIGHTS = {
  publish: 14,
  many: 5,
  repeat: 3,
  transact: 7,
  produce: 5,
  request: 7,
  receive: 5,
  steps: 14,
  pass: 20,
  handlers: 4,
  schedules: 2,
  drain: 2,
  replay: 2,
  discard: 1,
  flush: 3,
  block: 2,
  "disk-full": 1,
  "disk-freed": 2,
  "slow-disk": 1,
} as const;

export type BusOperationKind = keyof typeof WEIGHTS;
export type BusLife = Life<BusOperationKind>;

export interface BusPlan {
  readonly kind: "bus";
  readonly seed: number;
  readonly isByKey: boolean;
  /** Of a message that is retried, with order by key: whether later ones of its key wait. */
  readonly keepsTurn: boolean;
  readonly partitions: number;
  /** Tries before a message is dead-lettered, and how many of the retries come at once. */
  readonly attempts: number;
  readonly immediate: number;
  readonly retryMs: number;
  /** Whether messages with an id that was seen are not stored again, nor handled again. */
  readonly isOnce: boolean;
  /** Whether a receipt means that it is on disk; else that the system has it. */
  readonly isSynced: boolean;
  readonly lives: readonly BusLife[];
}

const LIVES_MAX = 5;
const OPERATIONS_MAX = 20;
const KINDS = Object.keys(WEIGHTS) as BusOperationKind[];
const DRAWN = KINDS.flatMap((kind) => new Array<BusOperationKind>(WEIGHTS[kind]).fill(kind));

export function busPlanOf(seed: number): BusPlan {
  const random = new SeededRandom(seed);
  return {
    kind: "bus",
    seed,
    isByKey: random.chance(0.5),
    keepsTurn: random.chance(0.7),
    partitions: 1 + random.below(2),
    attempts: 2 + random.below(3),
    immediate: random.below(2),
    retryMs: random.pick([20, 200, 2_000]),
    isOnce: random.chance(0.4),
    isSynced: random.chance(0.85),
    lives: Array.from({ length: 2 + random.below(LIVES_MAX - 1) }, () => lifeOf(random)),
  };
}

function lifeOf(random: SeededRandom): BusLife {
  const count = 4 + random.below(OPERATIONS_MAX - 3);
  return {
    operations: Array.from({ length: count }, () => ({ kind: random.pick(DRAWN), seed: random.uint32() })),
    faults: {
      failingSync: random.chance(0.08) ? random.below(40) : -1,
      failingRead: random.chance(0.03) ? random.below(20) : -1,
      failingOperation: random.chance(0.05) ? random.below(200) : -1,
      shortWrites: random.chance(0.2) ? 0.1 : 0,
    },
    end: random.pick(["kill", "kill", "power", "power", "close"] as const),
    brokenOpening: random.chance(0.15) ? 1 + random.below(120) : 0,
    openingFault: -1,
    flip: 0,
    isUncached: random.chance(0.3),
  };
}
