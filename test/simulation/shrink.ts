// Makes a plan that fails smaller: drops lives, operations and faults for as long as it still fails in the same way.

import { type AnyPlan, historyOf } from "./histories.js";
import type { Life, Plan } from "./plan.js";

/** What a history was found to do that it must not, with everything that follows from one cause reading the same. */
export function kindOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\d+/g, "N").split("\n")[0]!;
}

/** What the plan leads to; undefined when all is well. */
export async function failureOf(
  plan: AnyPlan,
  trace?: (line: string) => void,
): Promise<{ readonly error: unknown } | undefined> {
  try {
    await historyOf(plan, trace).run();
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** The smallest plan that was found within `triesMax` runs and fails as `plan` does. */
export async function shrink(plan: AnyPlan, kind: string, triesMax = 400): Promise<AnyPlan> {
  let smallest = plan;
  let tries = 0;
  for (let isSmaller = true; isSmaller && tries < triesMax; ) {
    isSmaller = false;
    for (const candidate of smallerThan(smallest)) {
      tries += 1;
      if (tries > triesMax) break;
      const failure = await failureOf(candidate);
      if (failure === undefined || kindOf(failure.error) !== kind) continue;
      smallest = candidate;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

/** Plans with something left out, the largest parts first. */
function* smallerThan(plan: AnyPlan): Generator<AnyPlan> {
  const lives: readonly Life<string>[] = plan.lives;
  const withLives = (smaller: readonly Life<string>[]) => ({ ...plan, lives: smaller }) as AnyPlan;
  for (const index of lives.keys()) yield withLives(without(lives, index, 1));
  if ("retention" in plan) yield* simplerPlans(plan);
  for (const [index, life] of lives.entries()) {
    for (const smaller of smallerLives(life)) yield withLives(lives.with(index, smaller));
  }
}

function* simplerPlans(plan: Plan): Generator<Plan> {
  if (plan.overflow !== undefined) yield { ...plan, overflow: undefined };
  if (Object.keys(plan.retention).length > 0) yield { ...plan, retention: {} };
  if (plan.isForwarding) yield { ...plan, isForwarding: false };
  if (plan.missed !== undefined) yield { ...plan, missed: undefined };
}

function* smallerLives(life: Life<string>): Generator<Life<string>> {
  const { operations, faults } = life;
  for (let size = Math.ceil(operations.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < operations.length; at += size)
      yield { ...life, operations: without(operations, at, size) };
  }
  if (life.brokenOpening > 0) yield { ...life, brokenOpening: 0 };
  if (faults.failingSync >= 0) yield { ...life, faults: { ...faults, failingSync: -1 } };
  if (faults.failingOperation >= 0) yield { ...life, faults: { ...faults, failingOperation: -1 } };
  if (faults.shortWrites > 0) yield { ...life, faults: { ...faults, shortWrites: 0 } };
  if (faults.failingRead >= 0) yield { ...life, faults: { ...faults, failingRead: -1 } };
  if (life.flip > 0) yield { ...life, flip: 0 };
  if (life.openingFault >= 0) yield { ...life, openingFault: -1 };
  if (life.isUncached) yield { ...life, isUncached: false };
}

function without<T>(items: readonly T[], start: number, count: number): T[] {
  return [...items.slice(0, start), ...items.slice(start + count)];
}
