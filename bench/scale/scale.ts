// `bench scale`: what waits, who reads late, how many there are, and who never waits: the bounds of memory and cost that the
// guarantees promise, measured. Each question is answered by a process of its own.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { askProcess } from "../ask-process.js";
import { growthChart } from "../charts/charts.js";
import { inWorkDirectory } from "../work-directory.js";
import type { Drained, Filled, Reopened } from "./backlog.js";
import { BUDGETS, type Budget } from "./budgets.js";
import type { ColdReader } from "./cold-reader.js";
import type { GrowthPoint, SubscriptionKind } from "./growth.js";
import type { Pace } from "./meters.js";
import type { Asked, Question, Questions, ScaleAnswer, ScaleRequest } from "./questions.js";
import { formatScale, isEveryBoundHeld, scalePage } from "./report.js";
import type { CallWay, Unawaited } from "./unawaited.js";

export interface ScaleOptions {
  readonly only: readonly Section[] | undefined;
  /** Of the backlog. */
  readonly messages: number;
  readonly directory: string;
  readonly json: boolean;
  /** A folder in which the report and the chart of its curves are kept. */
  readonly record: string | undefined;
}

export interface Backlog {
  readonly messages: number;
  readonly filled: Filled;
  /** After the process that filled it was killed. */
  readonly reopenedAfterKill: Reopened;
  /** After it was closed. */
  readonly reopened: Reopened;
  readonly drained: Drained;
  /** A queue that is drained as it is filled. */
  readonly flow: Pace;
}

/** The object that `--json` prints; what was not asked for is left out. */
export interface ScaleReport {
  readonly backlog?: Backlog;
  readonly cold?: readonly ColdReader[];
  readonly growth?: readonly GrowthPoint[];
  readonly budgets?: readonly Budget[];
  readonly unawaited?: readonly Unawaited[];
}

export const SECTIONS = ["backlog", "cold", "growth", "budgets", "unawaited"] as const;
export type Section = (typeof SECTIONS)[number];

const COLD_SHAPES = [
  ["synced", 1_000, 1_000],
  ["synced", 100, 1],
  ["written", 1_000, 1_000],
  ["written", 100, 1],
] as const;
const BACKLOGS = [0, 10_000, 100_000, 1_000_000, 10_000_000];
const QUEUES = [1, 100, 1_000, 10_000];
const SUBSCRIPTIONS: Readonly<Record<SubscriptionKind, readonly number[]>> = {
  "live subscriptions": [1, 100, 10_000, 100_000],
  bindings: [1, 100, 10_000, 100_000],
  groups: [1, 100, 1_000, 10_000],
};
/** Calls, and after how many of them the event loop goes on; 0: never. */
const CALLS = [
  [1_000_000, 1],
  [3_000_000, 1_000],
  [10_000_000, 0],
] as const;
const CALL_WAYS: readonly CallWay[] = ["publish", "queue send", "producer send"];
const scaleProcess = new URL("./scale-process.js", import.meta.url);

/** Sets the exit code to 1 when a bound does not hold. */
export async function benchScale({ only, messages, directory, json, record }: ScaleOptions): Promise<void> {
  const report = await inWorkDirectory(directory, (work) =>
    new Scale(work, messages).measure(only ?? SECTIONS),
  );
  if (record !== undefined) keep(report, record);
  process.stdout.write(`${json ? JSON.stringify(report) : formatScale(report)}\n`);
  if (!isEveryBoundHeld(report)) process.exitCode = 1;
}

/** What was not measured now stays as it was recorded. */
function keep(report: ScaleReport, folder: string): void {
  const path = join(folder, "scale.json");
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as ScaleReport) : {};
  const kept = { ...before, ...report };
  writeFileSync(path, `${JSON.stringify(kept, undefined, 2)}\n`);
  writeFileSync(join(folder, "scale.md"), scalePage(kept));
  if (kept.growth !== undefined) writeFileSync(join(folder, "scale.svg"), growthChart(kept.growth));
}

class Scale {
  readonly #directory: string;
  readonly #messages: number;

  constructor(directory: string, messages: number) {
    this.#directory = directory;
    this.#messages = messages;
  }

  async measure(sections: readonly Section[]): Promise<ScaleReport> {
    let report: ScaleReport = {};
    for (const section of sections) {
      process.stderr.write(`${section}\n`);
      report = { ...report, [section]: await this.#sections[section]() };
    }
    return report;
  }

  readonly #sections: Readonly<Record<Section, () => Promise<unknown>>> = {
    backlog: () => this.#backlog(),
    cold: () =>
      this.#each(COLD_SHAPES, ([durability, depth, batch]) =>
        this.#ask("coldReader", durability, depth, batch),
      ),
    growth: () => this.#growth(),
    budgets: () => this.#each(BUDGETS, (name) => this.#ask("budget", name)),
    unawaited: () =>
      this.#each(
        CALL_WAYS.flatMap((way) => CALLS.map((calls) => [way, ...calls] as const)),
        ([way, calls, yieldAfter]) => this.#unawaited(way, calls, yieldAfter),
      ),
  };

  async #backlog(): Promise<Backlog> {
    const messages = this.#messages;
    const directory = this.#fresh();
    const filled = await this.#askIn(directory, "fillBacklog", messages);
    const reopenedAfterKill = await this.#askIn(directory, "reopen", messages);
    const reopened = await this.#askIn(directory, "reopen", messages);
    const drained = await this.#askIn(directory, "drain", messages);
    rmSync(directory, { recursive: true, force: true });
    return { messages, filled, reopenedAfterKill, reopened, drained, flow: await this.#ask("flow") };
  }

  async #growth(): Promise<GrowthPoint[]> {
    const points = await this.#ask("byBacklog", BACKLOGS);
    for (const count of QUEUES) points.push(...(await this.#ask("byQueues", count)));
    for (const kind of Object.keys(SUBSCRIPTIONS) as SubscriptionKind[])
      for (const count of SUBSCRIPTIONS[kind])
        points.push(...(await this.#ask("bySubscriptions", kind, count)));
    return points;
  }

  /** A process that runs out of memory is a result. */
  async #unawaited(way: CallWay, calls: number, yieldAfter: number): Promise<Unawaited> {
    try {
      return await this.#ask("unawaited", way, calls, yieldAfter);
    } catch (error) {
      const nothing = { stored: 0, refused: 0, seconds: 0, peakRssBytes: 0 };
      return { way, calls, yieldAfter, ...nothing, error: String(error) };
    }
  }

  async #each<T, R>(shapes: readonly T[], measure: (shape: T) => Promise<R>): Promise<R[]> {
    const results: R[] = [];
    for (const shape of shapes) results.push(await measure(shape));
    return results;
  }

  /** In a directory of its own, which is removed after it. */
  async #ask<Q extends Question>(
    question: Q,
    ...asked: Asked<Q>
  ): Promise<Awaited<ReturnType<Questions[Q]>>> {
    const directory = this.#fresh();
    try {
      return await this.#askIn(directory, question, ...asked);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  async #askIn<Q extends Question>(
    directory: string,
    question: Q,
    ...asked: Asked<Q>
  ): Promise<Awaited<ReturnType<Questions[Q]>>> {
    process.stderr.write(`  ${question} ${asked.join(" ")} ... `);
    const request: ScaleRequest = { question, directory, asked };
    const answer = await askProcess<ScaleAnswer>(scaleProcess, request, ["--expose-gc", "--no-warnings"]);
    if ("error" in answer) throw new Error(`${question} ${asked.join(" ")}: ${answer.error}`);
    process.stderr.write(`${JSON.stringify(answer.answer)}\n`);
    return answer.answer as Awaited<ReturnType<Questions[Q]>>;
  }

  #fresh(): string {
    return mkdtempSync(join(this.#directory, "data-"));
  }
}
