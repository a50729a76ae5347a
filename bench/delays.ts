// `bench delays`: how late a message that waits for a time is noticed, beside what the platform's timers and BullMQ do.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type DelayWay, delayWays, type Moments } from "./delay-ways.js";
import { installPeers } from "./peers.js";
import { missingRedis } from "./servers/redis.js";
import { table } from "./table.js";
import { inWorkDirectory } from "./work-directory.js";

export interface DelaysOptions {
  readonly messages: number;
  /** Over so many seconds their times are spread at random. */
  readonly seconds: number;
  readonly directory: string;
  readonly json: boolean;
}

/** How late messages of one way were noticed. */
export interface DelayRow {
  readonly way: string;
  readonly messages: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Before their time: of ours, an error unless it is 0. Timers of the platform may run a millisecond early. */
  readonly early: number;
}

/** The first time, so that all has been sent before. */
const LEAD_MS = 3_000;

/** With `json`, prints `{"seconds":0,"rows":[{"way","messages","p50Ms","p99Ms","maxMs","early"}]}`. */
export async function benchDelays(options: DelaysOptions): Promise<void> {
  const ways = withPeers();
  const rows = await inWorkDirectory(options.directory, async (directory) => {
    const measured: DelayRow[] = [];
    for (const [index, way] of ways.entries()) {
      process.stderr.write(`[${index + 1}/${ways.length}] ${way.name} ... `);
      const own = join(directory, String(index));
      mkdirSync(own);
      const row = rowOf(way, await way.measure(momentsOf(options), own));
      process.stderr.write(`${row.p99Ms} ms late at the 99th percentile\n`);
      measured.push(row);
    }
    return measured;
  });
  const { seconds, json } = options;
  process.stdout.write(`${json ? JSON.stringify({ seconds, rows }) : report(options, ways, rows)}\n`);
  if (rows.some(({ way, early }) => way.startsWith("omnibus") && early > 0)) process.exitCode = 1;
}

/** Without Redis, BullMQ is left out. */
function withPeers(): readonly DelayWay[] {
  try {
    const missing = missingRedis();
    if (missing !== false) throw new Error(missing);
    installPeers();
    return delayWays;
  } catch (error) {
    process.stderr.write(`BullMQ is left out: ${error instanceof Error ? error.message : String(error)}\n`);
    return delayWays.filter(({ name }) => !name.startsWith("bullmq"));
  }
}

function momentsOf({ messages, seconds }: DelaysOptions): Moments {
  const beginMs = Date.now() + LEAD_MS;
  return Array.from({ length: messages }, () => Math.floor(beginMs + Math.random() * seconds * 1_000));
}

function rowOf(way: DelayWay, latenesses: readonly number[]): DelayRow {
  const sorted = latenesses.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  const early = sorted.filter((lateMs) => lateMs < 0).length;
  return {
    way: way.name,
    messages: sorted.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    early,
  };
}

function report({ seconds }: DelaysOptions, ways: readonly DelayWay[], rows: readonly DelayRow[]): string {
  const head = ["way", "messages", "p50 ms late", "p99 ms late", "max ms late", "early"];
  const cells = rows.map(({ way, messages, p50Ms, p99Ms, maxMs, early }) => [
    way,
    ...[messages, p50Ms, p99Ms, maxMs, early].map(String),
  ]);
  const meaning = ways.map(({ name, what }) => `${name}: ${what}.`).join("\n");
  return `Times spread at random over ${seconds} s, on the wall clock, in whole milliseconds.\n${table(head, cells)}\n${meaning}`;
}
