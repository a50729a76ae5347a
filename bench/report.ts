// The report of `bench embedded` for people: one table per shape, what is durable on each side, and the disk beside it.

import { BODY_BYTES } from "./bodies.js";
import type { EmbeddedReport } from "./embedded.js";
import { engineNamed } from "./engines/index.js";
import type { Row } from "./row.js";
import { colors, count, ratio, table } from "./table.js";

const OURS = "omnibus";

export function formatReport(report: EmbeddedReport): string {
  const groups = groupByShape(report.rows);
  const disk = `The disk takes ${megabytes(report.diskBytesPerSecond)} MB/s in sequential writes of 1 MiB, each synced.`;
  const sections = groups.map(
    (rows) => `${heading(rows[0]!)}\n${shapeTable(rows, report.diskBytesPerSecond)}`,
  );
  return [...sections, durability(report.rows), `${disk}${manyQueues(report.rows)}`].join("\n\n");
}

function groupByShape(rows: readonly Row[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${isMemory(row)} ${row.queues} ${row.depth}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

function isMemory(row: Row): boolean {
  return !engineNamed(row.engine).hasPublishPhase;
}

function heading(row: Row): string {
  const queues = row.queues === 1 ? "one queue" : `${row.queues} queues at once`;
  const kind = isMemory(row) ? "memory level, " : "";
  return colors.bold(`${kind}${queues}, ${row.depth} in flight, ${BODY_BYTES}-byte bodies`);
}

function shapeTable(rows: readonly Row[], diskBytesPerSecond: number): string {
  const ours = rows.find((row) => row.engine === OURS);
  const head = ["engine", "published/s", "handled/s", "p50 ms", "p99 ms", "of the disk"];
  if (ours !== undefined) head.push("omnibus publishes", "omnibus handles");
  const cells = rows.map((row) => [
    ...numbers(row, diskBytesPerSecond),
    ...(ours === undefined ? [] : ratios(ours, row)),
  ]);
  return table(head, cells);
}

function numbers(row: Row, diskBytesPerSecond: number): string[] {
  const share = (row.publishedPerSecond * BODY_BYTES) / diskBytesPerSecond;
  return [
    row.engine === OURS ? colors.bold(row.engine) : row.engine,
    count(row.publishedPerSecond),
    count(row.handledPerSecond),
    row.p50Ms.toFixed(2),
    row.p99Ms.toFixed(2),
    engineNamed(row.engine).isSynced ? percent(share) : "",
  ];
}

function ratios(ours: Row, row: Row): string[] {
  if (row === ours) return ["", ""];
  return [
    ratio(ours.publishedPerSecond / row.publishedPerSecond),
    ratio(ours.handledPerSecond / row.handledPerSecond),
  ];
}

function durability(rows: readonly Row[]): string {
  if (rows.length === 0) return "Every engine failed: see above.";
  const words = new Map(rows.map((row) => [row.engine, row.durable]));
  const lines = [...words].map(([engine, text]) => `  ${engine}: ${text}`);
  return ["What is durable when a publish is confirmed:", ...lines].join("\n");
}

/** How much of the rate of one queue is left when as many messages are in flight over many. */
function manyQueues(rows: readonly Row[]): string {
  const shares = rows.flatMap((many) => {
    const one = rows.find(
      (row) => row.queues === 1 && row.engine === many.engine && row.depth === many.depth && many.queues > 1,
    );
    return one === undefined
      ? []
      : [`${many.engine} ${percent(many.handledPerSecond / one.handledPerSecond)}`];
  });
  return shares.length === 0
    ? ""
    : `\nMany queues handle in total, of the rate of one: ${shares.join(", ")}.`;
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(fraction < 0.01 ? 2 : 0)} %`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
