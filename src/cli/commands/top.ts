// `omnibus top`: what goes on in a data directory, as it happens.

import { Command, InvalidArgumentError } from "commander";
import type { Bus } from "../../index.js";
import { type CommonOptions, lookInto } from "../data-directory.js";
import { formatAge, formatBytes, formatCount, formatMoment, parseDuration } from "../format.js";
import { withExamples } from "../help.js";
import { sparkline } from "../sparkline.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";
import { TopHistory, type TopRow } from "./top-history.js";

interface TopOptions extends CommonOptions {
  readonly once?: boolean;
  /** Milliseconds. */
  readonly interval: number;
  readonly rows?: number;
}

const COLUMNS: readonly Column[] = [
  { title: "source" },
  { title: "in/s", align: "right" },
  { title: "out/s", align: "right" },
  { title: "depth", align: "right" },
  { title: "delayed", align: "right" },
  { title: "dead", align: "right" },
  { title: "oldest", align: "right" },
  { title: "size", align: "right" },
  { title: "depth so far" },
];

/** What a process beside the one that works cannot see. */
const UNKNOWN = ["inFlight", "consumers", "redelivered", "storage"] as const;
const UNKNOWN_NOTE = [
  "Seen from beside: what is in flight counts as depth. Consumers, redeliveries",
  "and syncs are known to the process itself: bus.statistics().",
];

/** After the first look, how long what is not in memory may take to be read: the ages of the oldest messages. */
const READING_MS = 50;
const INTERVAL_MIN_MS = 100;
/** Lines of a screen that are no rows of the table. */
const FRAME_LINES = 8;
/** A screen of its own without a cursor, and back (xterm's control sequences). */
const ENTER_SCREEN = "\u001b[?1049h\u001b[?25l";
const LEAVE_SCREEN = "\u001b[?25h\u001b[?1049l";
const CLEAR_SCREEN = "\u001b[H\u001b[J";

export function topCommand(world: World): Command {
  const command = new Command("top")
    .summary("watch rates, depths and ages as they change")
    .description(
      "Shows every queue, topic and group, the busiest first: messages in and out per second, how many are not settled,\n" +
        "are delayed and are dead, how old the oldest is, and how the depth went. Goes on until it is interrupted.\n" +
        "Works beside a process that holds the data directory, and sees what that has stored: not what is in flight.",
    )
    .option("--once", "look twice, print once, and end")
    .option("-i, --interval <duration>", "time between two looks", intervalMs, 1_000)
    .option("-n, --rows <count>", "rows to show (default: what fits the terminal)", rowCount);
  withExamples(command, [
    ["omnibus top", "watch a running program"],
    ["omnibus top --once --interval 5s", "rates over five seconds"],
    ["omnibus top --json | jq '.sources[] | select(.depth > 1000).name'", "the long ones, every second"],
  ]);
  return command.action(() => run(world, command.optsWithGlobals<TopOptions>()));
}

async function run(world: World, options: TopOptions): Promise<void> {
  const history = new TopHistory();
  const hasScreen = world.stdout.isTTY === true && options.json !== true && options.once !== true;
  // Rates need two looks: the first one is shown only where another follows on the same screen.
  let rows = await look(world, options, history);
  if (hasScreen) await world.raw(ENTER_SCREEN);
  try {
    while (!world.signal.aborted) {
      if (hasScreen) await world.raw(`${CLEAR_SCREEN}${frame(world, options, rows)}\n`);
      await world.pause(options.interval);
      if (world.signal.aborted) return;
      rows = await look(world, options, history);
      if (!hasScreen) await print(world, options, rows);
      if (options.once === true) return;
    }
  } finally {
    if (hasScreen) {
      await world.raw(LEAVE_SCREEN);
      await world.flush();
    }
  }
}

/** Every look opens the directory: another process writes it. */
function look(world: World, options: TopOptions, history: TopHistory): Promise<TopRow[]> {
  return lookInto(world, options, async (bus: Bus) => {
    bus.statistics();
    await world.pause(READING_MS);
    return history.look(bus.statistics(), world.io.clock.monotonicMs());
  });
}

async function print(world: World, options: TopOptions, rows: readonly TopRow[]): Promise<void> {
  if (options.json !== true) {
    await world.line(frame(world, options, rows));
    return;
  }
  const timestamp = new Date(world.io.clock.nowMs()).toISOString();
  const sources = rows.slice(0, options.rows).map(({ depths: _, ...row }) => row);
  await world.json({ timestamp, intervalMs: options.interval, sources, unknown: UNKNOWN });
}

function frame(world: World, options: TopOptions, rows: readonly TopRow[]): string {
  const { bold, dim } = world.colours;
  const shown = rows.slice(0, options.rows ?? Math.max(1, world.rows - FRAME_LINES));
  const title = `${bold("omnibus top")}  ${options.data}  ${formatMoment(world.io.clock.nowMs()).slice(0, -4)}`;
  const hidden = rows.length - shown.length;
  return [
    title,
    "",
    rows.length === 0
      ? "There are no queues and topics yet."
      : renderTable(
          COLUMNS,
          shown.map((row) => cells(world, row)),
          world.colours,
        ),
    ...(hidden > 0 ? [dim(`and ${formatCount(hidden)} more, less busy`)] : []),
    "",
    ...UNKNOWN_NOTE.map(dim),
  ].join("\n");
}

function cells(world: World, row: TopRow): string[] {
  const { cyan, red, dim, yellow } = world.colours;
  const { deadLetters, oldestAgeMs, bytes, depth } = row;
  return [
    `${dim(row.kind.padEnd(6))}${cyan(row.name)}${row.isPaused === true ? yellow(" (paused)") : ""}`,
    formatRate(row.inPerSecond),
    formatRate(row.outPerSecond),
    counted(depth),
    counted(row.delayed),
    deadLetters !== undefined && deadLetters > 0 ? red(counted(deadLetters)) : counted(deadLetters),
    oldestAgeMs === undefined ? "" : formatAge(oldestAgeMs),
    bytes === undefined ? "" : formatBytes(bytes),
    depth === undefined ? "" : sparkline(row.depths),
  ];
}

function counted(count: number | undefined): string {
  return count === undefined ? "" : formatCount(count);
}

/** 0, 0.4, 12, 1,234 */
function formatRate(perSecond: number | undefined): string {
  if (perSecond === undefined) return "";
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : formatCount(perSecond);
}

function intervalMs(text: string): number {
  const parsed = parseDuration(text);
  if (parsed === undefined || parsed < INTERVAL_MIN_MS)
    throw new InvalidArgumentError(
      `It is a duration of at least ${INTERVAL_MIN_MS} ms, such as 500ms or 5s.`,
    );
  return parsed;
}

function rowCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError("It is a whole number from 1.");
  return count;
}
