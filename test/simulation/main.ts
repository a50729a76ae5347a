// npm run simulate: crashes the whole engine over many seeds, and shows how to repeat what went wrong.

import { Command, InvalidArgumentError } from "commander";
import { anyPlanOf } from "./histories.js";
import type { Life } from "./plan.js";
import { runSeeds, type Summary } from "./run.js";
import { failureOf, kindOf, shrink } from "./shrink.js";

interface Options {
  readonly seeds: number;
  readonly seed?: number;
  readonly json: boolean;
}

const SEEDS = 1_000;
/** How many violations are shown in full. */
const SHOWN_MAX = 3;

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("a whole number from 1 on");
  return value;
}

const program = new Command("npm run simulate --")
  .description(
    "Runs the engine on a simulated disk, clock and scheduler, crashes it, and holds it against a model of what it may do.",
  )
  .option("--seeds <count>", "how many histories are run", whole, SEEDS)
  .option("--seed <number>", "begin with this one; alone, run only this one and print what happens", whole)
  .option("--json", "print one JSON object and nothing else", false)
  .parse();
const options = program.opts<Options>();
const isAlone = options.seed !== undefined && program.getOptionValueSource("seeds") === "default";

process.exitCode = isAlone ? await replay(options.seed!) : await simulate(options);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function simulate({ seed = 1, seeds, json }: Options): Promise<number> {
  const startMs = performance.now();
  const isWatched = process.stderr.isTTY && !json;
  const summary = await runSeeds(seed, seeds, (part) => {
    if (isWatched) process.stderr.write(`\r${part.seeds} of ${seeds} seeds, ${part.crashes} crashes`);
  });
  if (isWatched) process.stderr.write("\r\u001b[K");
  const seconds = Math.round((performance.now() - startMs) / 10) / 100;
  if (json) say(JSON.stringify({ ...summary, seconds }));
  else await print(summary, seconds);
  return summary.violations.length === 0 ? 0 : 1;
}

async function print(summary: Summary, seconds: number): Promise<void> {
  const { seeds, crashes, operations, faults, violations } = summary;
  const perMinute = Math.round((crashes / seconds) * 60).toLocaleString("en");
  say(`${seeds} seeds, ${crashes} crashes (${perMinute} a minute), ${operations} operations in ${seconds} s`);
  for (const [kind, count] of Object.entries(faults)) say(`  ${kind.padEnd(18)} ${count}`);
  say(`${violations.length} violations`);
  for (const { seed, message } of violations.slice(0, SHOWN_MAX)) {
    say(`\n${message}\n  npm run simulate -- --seed ${seed}`);
    await showSmallest(seed);
  }
}

/** Runs one seed, telling what happens. */
async function replay(seed: number): Promise<number> {
  const failure = await failureOf(anyPlanOf(seed), say);
  if (failure === undefined) {
    say(`Seed ${seed} shows no violation.`);
    return 0;
  }
  say(
    failure.error instanceof Error ? (failure.error.stack ?? failure.error.message) : String(failure.error),
  );
  await showSmallest(seed);
  return 1;
}

async function showSmallest(seed: number): Promise<void> {
  const failure = await failureOf(anyPlanOf(seed));
  if (failure === undefined) return;
  const smallest = await shrink(anyPlanOf(seed), kindOf(failure.error));
  say("The shortest history found that fails so:");
  for (const [number, life] of smallest.lives.entries()) say(`  life ${number + 1}: ${described(life)}`);
  say("What happens in it:");
  await failureOf(smallest, (line) => say(`  ${line}`));
}

function described(life: Life<string>): string {
  const { operations, faults, end, brokenOpening, openingFault, flip, isUncached } = life;
  const parts: string[] = operations.map(({ kind }) => kind);
  if (brokenOpening > 0) parts.unshift(`crash after ${brokenOpening} steps of opening`);
  if (brokenOpening > 0 && openingFault >= 0) parts.unshift(`operation ${openingFault} of opening fails`);
  if (flip > 0) parts.unshift("a bit flips");
  if (isUncached) parts.unshift("no cache");
  if (faults.failingSync >= 0) parts.push(`sync ${faults.failingSync} fails`);
  if (faults.failingRead >= 0) parts.push(`read ${faults.failingRead} fails`);
  if (faults.failingOperation >= 0) parts.push(`operation ${faults.failingOperation} fails`);
  if (faults.shortWrites > 0) parts.push("short writes");
  return [...parts, end].join(", ");
}
