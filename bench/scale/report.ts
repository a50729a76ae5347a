// The report of `bench scale` for people: a table per bound, what was measured beside what is promised, and whether it holds.

import { count, table } from "../table.js";
import type { Backlog, ScaleReport } from "./scale.js";

/** What the guarantees say. */
const RSS_MAX = 300e6;
const OPEN_MS_MAX = 2_000;
const DRAIN_SHARE_MIN = 0.5;
const PUBLISH_SHARE_MIN = 0.8;
const MISSED = "✗";
/** Of fewer, what each takes is lost in what there is once. */
const EACH_MIN = 1_000;

/** A table and what it is about. */
interface Section {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** For a terminal. */
export function formatScale(report: ScaleReport): string {
  return sectionsOf(report)
    .map(({ title, head, rows }) => `${title}\n${table(head, rows)}`)
    .join("\n\n");
}

/** Whether every bound held that was measured, and no process ran out of memory. */
export function isEveryBoundHeld(report: ScaleReport): boolean {
  const cells = sectionsOf(report).flatMap(({ rows }) => rows.flat());
  const hasFailed = report.unawaited?.some(({ error }) => error !== undefined) === true;
  return !hasFailed && !cells.some((cell) => cell.startsWith(MISSED));
}

/** As a page of the documentation. */
export function scalePage(report: ScaleReport): string {
  const sections = sectionsOf(report).map(({ title, head, rows }) => {
    const rule = head.map((_title, column) => (column === 0 ? "---" : "---:"));
    const lines = [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`);
    return `## ${title}\n\n${lines.join("\n")}\n`;
  });
  const intro = `# The bounds, measured

Written by \`npm run bench -- scale --record docs/benchmarks\`, like [scale.json](scale.json). What is promised is in the
[guarantees](../guarantees.md#bounds); how to read the tables, in the [benchmarks](README.md).

![What one message costs as more is there](scale.svg)
`;
  return [intro, ...sections].join("\n");
}

function sectionsOf(report: ScaleReport): Section[] {
  const sections: Section[] = [];
  if (report.backlog !== undefined) sections.push(backlog(report.backlog));
  if (report.cold !== undefined) sections.push(cold(report.cold));
  if (report.growth !== undefined) sections.push(growth(report.growth));
  if (report.budgets !== undefined) sections.push(budgets(report.budgets));
  if (report.unawaited !== undefined) sections.push(unawaited(report.unawaited));
  return sections;
}

function backlog({ messages, filled, reopenedAfterKill, reopened, drained, flow }: Backlog): Section {
  const share = drained.perSecond / flow.perSecond;
  const peak = Math.max(filled.peakRssBytes, drained.peakRssBytes);
  const rows = [
    ["resident memory while they came", megabytes(filled.peakRssBytes), held(peak < RSS_MAX, "below 300 MB")],
    ["resident memory while they drained", megabytes(drained.peakRssBytes), ""],
    ["resident memory with the directory opened", megabytes(reopened.rssBytes), ""],
    [
      "open, after the process was killed",
      milliseconds(reopenedAfterKill.openMs),
      held(reopenedAfterKill.openMs < OPEN_MS_MAX, "below 2 s"),
    ],
    [
      "open, after it was closed",
      milliseconds(reopened.openMs),
      held(reopened.openMs < OPEN_MS_MAX, "below 2 s"),
    ],
    ["until the first message is handed out", milliseconds(reopened.firstMs), ""],
    [
      "drained a second",
      count(drained.perSecond),
      held(share >= DRAIN_SHARE_MIN, "half of an empty queue's"),
    ],
    ["through an empty queue a second", count(flow.perSecond), ""],
    ["drained, of that", percent(share), ""],
  ];
  return {
    title: `${count(messages)} waiting messages of 128 bytes, durability synced`,
    head: ["", "measured", "promised"],
    rows,
  };
}

function cold(rows: NonNullable<ScaleReport["cold"]>): Section {
  const cells = rows.map((row) => {
    return [
      row.durability,
      `${count(row.depth)} in batches of ${count(row.batch)}`,
      count(row.alonePerSecond),
      count(row.besidePerSecond),
      percent(row.keptShare),
      count(row.readPerSecond),
      `${percent(row.aloneProcessorShare)}, ${percent(row.besideProcessorShare)}`,
      held(row.keptShare >= PUBLISH_SHARE_MIN, "80 %"),
    ];
  });
  const head = [
    "",
    "under way",
    "published/s",
    "beside the reader",
    "kept",
    "read/s",
    "of a core",
    "promised",
  ];
  return { title: "Publishing while a group works off a backlog on disk", head, rows: cells };
}

function growth(points: NonNullable<ScaleReport["growth"]>): Section {
  const curves = [...new Set(points.map(({ curve }) => curve))];
  const cells = curves.flatMap((curve) =>
    points
      .filter((point) => point.curve === curve)
      .map(({ count: there, processorUs, bytesEach }, index) => [
        index === 0 ? curve : "",
        count(there),
        processorUs.toFixed(2),
        bytesEach === undefined || there < EACH_MIN ? "" : count(bytesEach),
      ]),
  );
  const title = "Microseconds of the processor for one message, durability synced";
  return { title, head: ["", "there", "µs", "B each"], rows: cells };
}

function budgets(rows: NonNullable<ScaleReport["budgets"]>): Section {
  const cells = rows.map(({ what, budget, bytes, refused }) => [
    what,
    budget,
    megabytes(bytes),
    refused === 0 ? "" : count(refused),
  ]);
  const title = "A million distinct ones, and what is left of them in memory";
  return { title, head: ["", "budget", "memory", "refused"], rows: cells };
}

function unawaited(rows: NonNullable<ScaleReport["unawaited"]>): Section {
  const cells = rows.map(({ way, calls, yieldAfter, stored, refused, seconds, peakRssBytes, error }) => [
    way,
    count(calls),
    givesWay(yieldAfter),
    error === undefined ? percent(stored / (stored + refused)) : "",
    error === undefined ? count(calls / seconds) : "",
    error === undefined ? megabytes(peakRssBytes) : error,
  ]);
  const head = ["", "calls", "gives way", "stored", "calls/s", "peak of resident memory"];
  return { title: "Calls that are not awaited", head, rows: cells };
}

function givesWay(yieldAfter: number): string {
  if (yieldAfter === 0) return "never";
  return yieldAfter === 1 ? "after each call" : `after ${count(yieldAfter)} calls`;
}

function held(isHeld: boolean, promise: string): string {
  return `${isHeld ? "✓" : MISSED} ${promise}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(0)} ms`;
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(0)} %`;
}
