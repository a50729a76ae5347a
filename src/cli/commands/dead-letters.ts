// What the subcommands of `omnibus dead` do.

import type { DeadLetter, DeadLetterFilter } from "../../index.js";
import { type CommonOptions, changeIn, lookInto } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { fitText, formatAge, formatAmount, formatMoment } from "../format.js";
import { bodyText, jsonWithBody, messageFields } from "../message-view.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";

const COLUMNS: readonly Column[] = [
  { title: "id" },
  { title: "source" },
  { title: "subject" },
  { title: "reason" },
  { title: "attempts", align: "right" },
  { title: "died", align: "right" },
  { title: "error" },
];

/** A table holds so many rows; more come as further tables, so that memory stays bounded. */
const TABLE_ROWS = 1_000;
const ERROR_WIDTH_MIN = 24;

export async function listDeadLetters(
  world: World,
  options: CommonOptions,
  filter: DeadLetterFilter,
): Promise<void> {
  const count = await lookInto(world, options, async (bus) => {
    let listed = 0;
    let rows: DeadLetter[] = [];
    for await (const letter of bus.deadLetters.list(filter)) {
      if (world.signal.aborted) break;
      listed += 1;
      if (options.json === true) await world.line(deadLetterJson(letter));
      else rows.push(letter);
      if (rows.length < TABLE_ROWS) continue;
      await world.line(table(world, rows));
      rows = [];
    }
    if (rows.length > 0) await world.line(table(world, rows));
    return listed;
  });
  if (options.json === true) return;
  if (count === 0)
    await world.line(
      Object.keys(filter).length === 0 ? "There are no dead letters." : "No dead letter matches.",
    );
}

function table(world: World, letters: readonly DeadLetter[]): string {
  const { cyan, red } = world.colours;
  const nowMs = world.io.clock.nowMs();
  const rows = letters.map((letter) => [
    cyan(letter.id),
    letter.source,
    fitText(letter.subject, 40),
    letter.reason,
    String(letter.attempts),
    `${formatAge(nowMs - letter.deadAt.getTime())} ago`,
    red(fitText(letter.error, errorWidth(world, letters))),
  ]);
  return renderTable(COLUMNS, rows, world.colours);
}

/** What the widest cells of the other columns leave. */
function errorWidth(world: World, letters: readonly DeadLetter[]): number {
  const widest = (of: (letter: DeadLetter) => string): number =>
    Math.max(...letters.map((letter) => of(letter).length));
  const others =
    widest((letter) => letter.id) + widest((letter) => letter.source) + widest((letter) => letter.subject);
  return Math.max(
    ERROR_WIDTH_MIN,
    Math.min(world.columns, 200) - others - "attempts-exhausted  attempts  12 min ago".length - 12,
  );
}

function deadLetterJson(letter: DeadLetter): string {
  const fields = {
    ...messageFields(letter.message),
    id: letter.id,
    source: letter.source,
    subject: letter.subject,
    reason: letter.reason,
    error: letter.error,
    attempts: letter.attempts,
    firstFailedAt: letter.firstFailedAt.toISOString(),
    deadAt: letter.deadAt.toISOString(),
    history: letter.history,
  };
  return jsonWithBody(fields, letter.message.body);
}

export async function showDeadLetter(world: World, options: CommonOptions, id: string): Promise<void> {
  const letter = await lookInto(world, options, (bus) => bus.deadLetters.get(id));
  if (options.json === true) {
    await world.line(deadLetterJson(letter));
    return;
  }
  for (const line of describe(world, letter)) await world.line(line);
}

function describe(world: World, letter: DeadLetter): string[] {
  const { bold, dim, red } = world.colours;
  const field = (name: string, value: string): string => `${dim(name.padEnd(10))} ${value}`;
  return [
    bold(`Dead letter ${letter.id}`),
    field("source", letter.source),
    field("subject", fitText(letter.subject, 200)),
    ...(letter.message.key === null ? [] : [field("key", fitText(letter.message.key, 200))]),
    field("reason", letter.reason),
    field("error", red(fitText(letter.error, 2_000))),
    field("attempts", String(letter.attempts)),
    field("sent", formatMoment(letter.message.timestampMs)),
    field("died", formatMoment(letter.deadAt.getTime())),
    ...Object.entries(letter.message.headers).map(([name, value]) =>
      field("header", `${name}: ${fitText(value, 200)}`),
    ),
    ...letter.history.map((entry) => field("attempt", fitText(JSON.stringify(entry), 500))),
    field("body", bodyText(letter.message.body, 20_000)),
    "",
    dim(`Replay it: omnibus dead replay ${letter.id}`),
  ];
}

export async function changeDeadLetters(
  world: World,
  options: CommonOptions,
  filter: DeadLetterFilter,
  verb: "replayed" | "discarded",
): Promise<void> {
  const count = await changeIn(world, options, (bus) =>
    verb === "replayed" ? bus.deadLetters.replay(filter) : bus.deadLetters.discard(filter),
  );
  if (count === 0 && filter.ids !== undefined) {
    const which = filter.ids.length === 1 ? `dead letter ${filter.ids[0]}` : "such dead letters";
    throw new CommandFailure(
      EXIT.notFound,
      `there is no ${which}`,
      "`omnibus dead list` shows the identifiers",
    );
  }
  if (options.json === true) await world.json({ [verb]: count });
  else await world.line(`${verb} ${formatAmount(count, "dead letter")}`);
}
