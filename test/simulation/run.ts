// Runs histories for a range of seeds, over as many threads as there are processors, and sums up what happened.

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { anyPlanOf, historyOf } from "./histories.js";
import { emptyTally, type Tally } from "./tally.js";

export interface Violation {
  readonly seed: number;
  readonly message: string;
}

export interface Summary {
  seeds: number;
  crashes: number;
  operations: number;
  readonly faults: Record<string, number>;
  readonly violations: Violation[];
}

/** What a worker is given, and every `step`th seed of it is its own. */
export interface Share {
  readonly first: number;
  readonly end: number;
  readonly step: number;
}

/** How many seeds a worker runs before it tells how far it is. */
const REPORT_SEEDS = 20;

/** Almost everything that a history makes is soon forgotten. */
const YOUNG_MIB = 64;

export async function runShare({ first, end, step }: Share, report: (part: Summary) => void): Promise<void> {
  let part = emptySummary();
  for (let seed = first; seed < end; seed += step) {
    const history = historyOf(anyPlanOf(seed));
    try {
      await history.run();
    } catch (error) {
      part.violations.push({ seed, message: error instanceof Error ? error.message : String(error) });
    }
    addTally(part, history.tally);
    if (part.seeds < REPORT_SEEDS) continue;
    report(part);
    part = emptySummary();
  }
  report(part);
}

/** `onProgress` hears now and then how far it is. */
export async function runSeeds(
  first: number,
  count: number,
  onProgress: (summary: Summary) => void,
): Promise<Summary> {
  const summary = emptySummary();
  const step = Math.min(availableParallelism(), count);
  const report = (part: Summary): void => {
    add(summary, part);
    onProgress(summary);
  };
  await Promise.all(
    Array.from({ length: step }, (_, index) =>
      inWorker({ first: first + index, end: first + count, step }, report),
    ),
  );
  summary.violations.sort((a, b) => a.seed - b.seed);
  return summary;
}

function inWorker(share: Share, report: (part: Summary) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MIB };
    const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: share, resourceLimits });
    worker.on("message", report);
    worker.on("error", reject);
    worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
  });
}

function emptySummary(): Summary {
  return {
    seeds: 0,
    crashes: 0,
    operations: 0,
    faults: emptyTally().faults as Record<string, number>,
    violations: [],
  };
}

function addTally(summary: Summary, { crashes, operations, faults }: Tally): void {
  add(summary, { seeds: 1, crashes, operations, faults, violations: [] });
}

function add(summary: Summary, part: Summary): void {
  summary.seeds += part.seeds;
  summary.crashes += part.crashes;
  summary.operations += part.operations;
  for (const [kind, count] of Object.entries(part.faults))
    summary.faults[kind] = (summary.faults[kind] ?? 0) + count;
  summary.violations.push(...part.violations);
}
