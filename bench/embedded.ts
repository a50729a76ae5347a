// `bench embedded`: measures every engine in every shape, one after the other, and reports.

import { measureDisk } from "./disk-baseline.js";
import { durableEngines, memoryEngines } from "./engines/index.js";
import type { Timing } from "./measured-window.js";
import { installPeers } from "./peers.js";
import { formatReport } from "./report.js";
import { measureRow, type Row, type Shape } from "./row.js";
import { missingRedis } from "./servers/redis.js";
import { inWorkDirectory } from "./work-directory.js";

export interface EmbeddedOptions {
  readonly engines: readonly string[] | undefined;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** How often each row is measured; the one with the median rate of handling is reported. */
  readonly rounds: number;
  /** Where the engines keep their data. The disk below it is what is measured. */
  readonly directory: string;
  readonly json: boolean;
}

/** The object that `--json` prints. */
export interface EmbeddedReport {
  readonly rows: readonly Row[];
  readonly diskBytesPerSecond: number;
}

const DURABLE_SHAPES: readonly Shape[] = [
  { queues: 1, depth: 1 },
  { queues: 1, depth: 100 },
  { queues: 1, depth: 1000 },
  { queues: 100, depth: 1000 },
];
const MEMORY_SHAPES: readonly Shape[] = [{ queues: 1, depth: 1000 }];
/** The disk is measured before each group of rows and at the end, because on a shared machine its rate moves. */
const DISK_SAMPLE_MS = 400;

/** Sets the exit code to 1 when an engine failed; the rows of the others are reported all the same. Rejects when a peer cannot be had. */
export async function benchEmbedded(options: EmbeddedOptions): Promise<void> {
  const plan = planRows(options.engines);
  const missing = plan.some(({ engine }) => engine.startsWith("bullmq")) && missingRedis();
  if (missing !== false) throw new Error(`${missing}, or leave BullMQ out with --engines omnibus,sqlite`);
  if (plan.some(({ engine }) => !engine.startsWith("omnibus"))) installPeers();
  const report = await inWorkDirectory(options.directory, (directory) =>
    measureAll(plan, options, directory),
  );
  process.stdout.write(`${options.json ? JSON.stringify(report) : formatReport(report)}\n`);
}

interface PlannedRow {
  readonly engine: string;
  readonly shape: Shape;
}

/** Shape by shape, so that the rows which are compared were measured next to each other. */
function planRows(engines: readonly string[] | undefined): PlannedRow[] {
  const isWanted = ({ engine }: PlannedRow) => engines === undefined || engines.includes(engine);
  const rowsOf = (shapes: readonly Shape[], names: readonly { name: string }[]) =>
    shapes.flatMap((shape) => names.map(({ name }) => ({ engine: name, shape })));
  return [...rowsOf(DURABLE_SHAPES, durableEngines), ...rowsOf(MEMORY_SHAPES, memoryEngines)].filter(
    isWanted,
  );
}

async function measureAll(
  plan: readonly PlannedRow[],
  options: EmbeddedOptions,
  directory: string,
): Promise<EmbeddedReport> {
  const rows: Row[] = [];
  const diskSamples: number[] = [];
  for (const [index, planned] of plan.entries()) {
    if (planned.shape !== plan[index - 1]?.shape) diskSamples.push(measureDisk(directory, DISK_SAMPLE_MS));
    const { engine, shape } = planned;
    const title = `${engine}, ${shape.queues} queue(s), ${shape.depth} in flight`;
    process.stderr.write(`[${index + 1}/${plan.length}] ${title} ... `);
    try {
      const row = await measureRounds(planned, options, directory);
      rows.push(row);
      process.stderr.write(`${Math.round(row.handledPerSecond)} handled a second\n`);
    } catch (error) {
      process.stderr.write(`failed: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
  diskSamples.push(measureDisk(directory, DISK_SAMPLE_MS));
  return { rows, diskBytesPerSecond: medianBy(diskSamples, (rate) => rate) };
}

async function measureRounds(
  { engine, shape }: PlannedRow,
  { seconds, warmUpSeconds, rounds }: EmbeddedOptions,
  directory: string,
): Promise<Row> {
  const timing: Timing = { warmUpMs: warmUpSeconds * 1000, measureMs: seconds * 1000 };
  const measured: Row[] = [];
  while (measured.length < rounds) measured.push(await measureRow(engine, shape, timing, directory));
  return medianBy(measured, (row) => row.handledPerSecond);
}

function medianBy<Value>(values: readonly Value[], rate: (value: Value) => number): Value {
  return values.toSorted((a, b) => rate(a) - rate(b))[values.length >> 1]!;
}
