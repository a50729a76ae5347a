// `bench soak`: a mixed load for a long time, and whether the process ends with the memory with which it began.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { askProcess } from "../ask-process.js";
import { soakChart } from "../charts/charts.js";
import { table } from "../table.js";
import { inWorkDirectory } from "../work-directory.js";
import type { SoakSample } from "./sample.js";

export interface SoakOptions {
  readonly minutes: number;
  /** Messages that each part of the load sends in a tenth of a second, about. */
  readonly rate: number;
  readonly directory: string;
  readonly json: boolean;
  /** A folder in which the report and its chart are kept. */
  readonly record: string | undefined;
}

export interface SoakRequest {
  readonly minutes: number;
  readonly rate: number;
  readonly sampleSeconds: number;
  readonly directory: string;
}

/** What the process has seen. */
export interface SoakReport {
  readonly minutes: number;
  readonly rate: number;
  readonly parts: readonly string[];
  /** Before the bus was opened. */
  readonly before: SoakSample;
  readonly samples: readonly SoakSample[];
  /** When it was closed. */
  readonly after: SoakSample;
  readonly published: number;
  readonly handled: number;
  /** Ticks of a part that were left out, because the one before had not ended. */
  readonly late: number;
  readonly errorCount: number;
  readonly errors: readonly string[];
}

export type SoakAnswer = { readonly report: SoakReport } | { readonly error: string };

/** The means of the samples in a part of the time. */
export interface SoakWindow {
  readonly fromSecond: number;
  readonly toSecond: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly handles: number;
  readonly descriptors: number;
  readonly diskBytes: number;
  readonly processorShare: number;
}

/** The object that `--json` prints. */
export interface SoakResult extends SoakReport {
  readonly first: SoakWindow;
  readonly last: SoakWindow;
  readonly isSteady: boolean;
}

const SAMPLE_SECONDS = 10;
/** The first part of the time fills caches and compiles code. */
const WARM_UP_SHARE = 0.1;
const WINDOW_SHARE = 0.1;
/** Collected heap may end so much above where it began; resident memory too, which keeps what it had at the highest point. */
const HEAP_GROWTH_MAX = 0.1;
const RSS_GROWTH_MAX = 0.15;
const soakProcess = new URL("./soak-process.js", import.meta.url);

/** Sets the exit code to 1 when memory has grown, or anything failed that should not. */
export async function benchSoak({ minutes, rate, directory, json, record }: SoakOptions): Promise<void> {
  const report = await inWorkDirectory(directory, async (work) => {
    const sampleSeconds = Math.min(SAMPLE_SECONDS, minutes * 3);
    const request: SoakRequest = { minutes, rate, sampleSeconds, directory: join(work, "data") };
    const answer = await askProcess<SoakAnswer>(soakProcess, request, ["--expose-gc"]);
    if ("error" in answer) throw new Error(answer.error);
    return answer.report;
  });
  const result = judge(report);
  if (record !== undefined) {
    writeFileSync(join(record, "soak.json"), `${JSON.stringify(result)}\n`);
    writeFileSync(join(record, "soak.svg"), soakChart(result));
    writeFileSync(join(record, "soak.md"), soakPage(result));
  }
  process.stdout.write(`${json ? JSON.stringify(result) : formatSoak(result)}\n`);
  if (!result.isSteady || result.errorCount > 0) process.exitCode = 1;
}

function judge(report: SoakReport): SoakResult {
  const { samples } = report;
  const size = Math.max(1, Math.floor(samples.length * WINDOW_SHARE));
  const begin = Math.floor(samples.length * WARM_UP_SHARE);
  const first = windowOf(samples.slice(begin, begin + size));
  const last = windowOf(samples.slice(-size));
  const isSteady =
    last.heapBytes <= first.heapBytes * (1 + HEAP_GROWTH_MAX) &&
    last.rssBytes <= first.rssBytes * (1 + RSS_GROWTH_MAX) &&
    last.descriptors <= first.descriptors + 8;
  return { ...report, first, last, isSteady };
}

function windowOf(samples: readonly SoakSample[]): SoakWindow {
  const mean = (of: (sample: SoakSample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  return {
    fromSecond: samples[0]!.second,
    toSecond: samples.at(-1)!.second,
    rssBytes: Math.round(mean(({ rssBytes }) => rssBytes)),
    heapBytes: Math.round(mean(({ heapBytes }) => heapBytes)),
    externalBytes: Math.round(mean(({ externalBytes }) => externalBytes)),
    handles: Math.round(mean(({ handles }) => handles)),
    descriptors: Math.round(mean(({ descriptors }) => descriptors)),
    diskBytes: Math.round(mean(({ diskBytes }) => diskBytes)),
    processorShare: mean(({ processorShare }) => processorShare),
  };
}

const HEAD = ["", "seconds", "RSS MB", "heap MB", "buffers MB", "files", "disk MB", "of a core"];

/** For a terminal. */
function formatSoak(result: SoakResult): string {
  return [heading(result), table(HEAD, rowsOf(result)), conclusion(result)].join("\n");
}

/** As a page of the documentation. */
function soakPage(result: SoakResult): string {
  const rule = HEAD.map((_title, column) => (column === 0 ? "---" : "---:"));
  const lines = [HEAD, rule, ...rowsOf(result)].map((cells) => `| ${cells.join(" | ")} |`);
  return `# A mixed load for ${result.minutes} minutes

Written by \`npm run bench -- soak --record docs/benchmarks\`, like [soak.json](soak.json), which has a sample for each ten
seconds. Heap and buffers are counted after garbage was collected, resident memory before.

![Memory, disk, files and processor over the time](soak.svg)

${heading(result)}.

${lines.join("\n")}

${conclusion(result)}
`;
}

function rowsOf({ first, last, before, after }: SoakResult): string[][] {
  const windows = [
    ["before", { ...before, fromSecond: 0, toSecond: 0 }],
    ["after the warm-up", first],
    ["at the end", last],
    ["closed", { ...after, fromSecond: after.second, toSecond: after.second }],
  ] as const;
  return windows.map(([title, row]) => [
    title,
    row.fromSecond === row.toSecond ? `${row.toSecond}` : `${row.fromSecond} to ${row.toSecond}`,
    ...[row.rssBytes, row.heapBytes, row.externalBytes].map(megabytes),
    `${row.descriptors}`,
    megabytes(row.diskBytes),
    `${(100 * row.processorShare).toFixed(0)} %`,
  ]);
}

function heading({ minutes, parts }: SoakResult): string {
  return `${minutes} minutes of ${parts.join(", ")}; durability synced`;
}

function conclusion({ published, handled, late, isSteady, errorCount, errors }: SoakResult): string {
  const verdict = isSteady ? "It ends with the memory with which it began." : "Memory has grown.";
  const failed = errorCount === 0 ? "" : `\n${errorCount} errors: ${errors.join("; ")}`;
  const counts = [published, handled, late].map((value) => value.toLocaleString("en-US"));
  return `${counts[0]} published, ${counts[1]} handled, ${counts[2]} ticks left out. ${verdict}${failed}`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
