// Which kind of history a seed stands for: one of the broker, or one of the whole bus.

import { BusHistory } from "./bus-history.js";
import { type BusPlan, busPlanOf } from "./bus-plan.js";
import { History } from "./history.js";
import { type Plan, planOf } from "./plan.js";
import type { Tally } from "./tally.js";

export type AnyPlan = Plan | BusPlan;

export interface AnyHistory {
  readonly tally: Tally;
  /** Throws what was found to be wrong. */
  run(): Promise<void>;
}

/** Every so manieth seed is one of the bus. */
const BUS_EVERY = 4;

export function anyPlanOf(seed: number): AnyPlan {
  return seed % BUS_EVERY === 0 ? busPlanOf(seed) : planOf(seed);
}

export function historyOf(plan: AnyPlan, trace?: (line: string) => void): AnyHistory {
  return "kind" in plan ? new BusHistory(plan, trace) : new History(plan, trace);
}
