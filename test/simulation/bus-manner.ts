// How one call of a handler goes, well or badly, as a seed decides.

import type { SeededRandom } from "../support/seeded-random.js";

/** What handlers answer with, as often as it stands here. */
const ANSWERS = [
  ...(["done", "done", "done", "done", "done", "done", "done", "done", "done", "done"] as const),
  ...(["throw", "throw", "throw", "retry", "retry", "retry later", "dead-letter", "fatal"] as const),
  ...(["drop", "useless", "nonsense"] as const),
];
export type Answer = (typeof ANSWERS)[number];

export interface Manner {
  readonly answer: Answer;
  /** Whether it returns no promise. */
  readonly isSudden: boolean;
  /** It never answers. */
  readonly hangs: boolean;
  readonly sleepMs: number;
  /** It asks for so much time; 0 for none. */
  readonly extendMs: number;
  /** Messages that it sends with its answer. */
  readonly outputs: number;
}

export const OBEDIENT: Manner = {
  answer: "done",
  isSudden: true,
  hangs: false,
  sleepMs: 0,
  extendMs: 0,
  outputs: 0,
};

export function mannerOf(random: SeededRandom, timeoutMs: number): Manner {
  const answer = random.pick(ANSWERS);
  if (random.chance(0.35)) return { ...OBEDIENT, answer };
  const hangs = random.chance(0.06);
  const isSlow = random.chance(0.08);
  const isExtended = random.chance(0.05);
  return {
    answer,
    isSudden: false,
    hangs,
    sleepMs: isSlow || isExtended ? timeoutMs + 100 : random.pick([0, 0, 1, 40, 400]),
    extendMs: isExtended ? 2 * timeoutMs : 0,
    outputs: random.chance(0.5) ? 1 + random.below(3) : 0,
  };
}
