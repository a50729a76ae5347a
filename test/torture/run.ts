// Lives that end with SIGKILL, one that drains, and the account of all of them.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Account } from "./account.js";
import { checkRemains } from "./final-checks.js";
import { Life } from "./life.js";

export interface TortureSummary {
  readonly seed: number;
  readonly kills: number;
  /** Of the kills, how many came while the victim was still recovering. */
  readonly killsDuringRecovery: number;
  readonly acknowledged: number;
  /** Messages that a consumer has handled, once for each consumer. */
  readonly handled: number;
  /** Handled again, because the kill came before the acknowledgement. */
  readonly repeated: number;
  /** Messages that were moved as one with their acknowledgement, or by a transaction. */
  readonly transactions: number;
  readonly deadLetters: number;
  readonly violations: number;
  /** The first of the violations. */
  readonly problems: readonly string[];
  readonly seconds: number;
  /** Where the data is, when something is wrong with it. */
  readonly directory: string | undefined;
}

/** Some die while they recover, most while they work. */
const DEATHS_DURING_RECOVERY = 0.15;
/** With fewer of these for each life, nothing much was tested. */
const ACKNOWLEDGED_MIN = 5;

/** Kills `lives` processes. The same seed draws the same instants. `told` hears how many are dead. */
export async function torture(
  lives: number,
  seed: number,
  told: (kills: number, acknowledged: number) => void = () => undefined,
): Promise<TortureSummary> {
  const startMs = performance.now();
  const directory = await mkdtemp(join(tmpdir(), "omnibus-torture-"));
  const random = randomFrom(seed);
  const account = new Account();
  let killsDuringRecovery = 0;
  for (let number = 1; number <= lives; number += 1) {
    const life = new Life(account, directory, number, "work");
    if (random() < DEATHS_DURING_RECOVERY) {
      killsDuringRecovery += 1;
      await pause(60 + random() * 150);
    } else {
      await life.ready;
      await pause(20 + random() * 380);
    }
    await life.kill();
    told(number, account.acknowledged.size);
  }
  const last = new Life(account, directory, lives + 1, "drain");
  const { code, signal } = await last.ended;
  if (code !== 0) account.problem(`the drain ended with code ${code}, signal ${signal}: ${last.errors}`);
  if (account.acknowledged.size < lives * ACKNOWLEDGED_MIN) account.problem("the victims hardly worked");
  const { moved, deadLetters } = await checkRemains(directory, account);
  const isSound = account.problemCount === 0;
  if (isSound) await rm(directory, { recursive: true, maxRetries: 3 });
  return {
    seed,
    kills: lives,
    killsDuringRecovery,
    acknowledged: account.acknowledged.size,
    handled: [...account.handled.values()].reduce((sum, counts) => sum + counts.size, 0),
    repeated: account.repeated,
    transactions: moved,
    deadLetters,
    violations: account.problemCount,
    problems: account.problems,
    seconds: Math.round((performance.now() - startMs) / 10) / 100,
    directory: isSound ? undefined : directory,
  };
}

/** Xorshift: the same seed draws the same instants. */
function randomFrom(start: number): () => number {
  let state = start | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
