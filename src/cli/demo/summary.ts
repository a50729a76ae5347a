// The end of the demo: the table, the proof, and what to try next; or the same for a program.

import { formatAge, formatAmount, formatCount } from "../format.js";
import { type Column, renderTable } from "../table.js";
import type { Colours } from "../world.js";
import type { RunAudit } from "./audit.js";
import { CONSUMERS } from "./shop-types.js";
import type { StoryOptions, StoryResult } from "./story.js";

const COLUMNS: readonly Column[] = [
  { title: "" },
  { title: "handled", align: "right" },
  { title: "retried", align: "right" },
  { title: "again after the crash", align: "right" },
  { title: "dead-lettered", align: "right" },
  { title: "replayed", align: "right" },
];

const PROBLEMS_SHOWN = 10;

/** Whether every order of every run is accounted for. */
export function isInOrder(result: StoryResult): boolean {
  return result.audits.length > 0 && result.audits.every((audit) => audit.isInOrder);
}

/** The lines that end the show. */
export function summaryLines(
  result: StoryResult,
  options: StoryOptions,
  colours: Colours,
  command: string,
): string[] {
  const own = result.audits.find(({ run }) => run === result.run);
  const others = result.audits.filter(({ run }) => run !== result.run);
  return [
    "",
    ...table(result, colours).split("\n"),
    "",
    ...(own === undefined ? [] : proof(own, colours)),
    ...crash(result),
    ...others.flatMap((audit) => leftOver(audit, colours)),
    "",
    `Everything lies in ${options.directory}, ${formatAge(result.elapsedMs)} after the start. Look around:`,
    ...nextSteps(options, command, colours),
  ];
}

function table(result: StoryResult, colours: Colours): string {
  const { bold, green, yellow, magenta, red } = colours;
  const paint = (count: number, colour: (text: string) => string): string =>
    count === 0 ? "0" : colour(formatCount(count));
  const rows = CONSUMERS.map((consumer) => {
    const tally = result.tally.consumers[consumer];
    return [
      bold(consumer),
      paint(tally.handled, green),
      paint(tally.retried, yellow),
      paint(tally.redelivered, magenta),
      paint(tally.deadLettered, red),
      paint(tally.replayed, green),
    ];
  });
  return renderTable(COLUMNS, rows, colours);
}

function proof(audit: RunAudit, { bold, green, red }: Colours): string[] {
  const { charged, reserved, notified } = audit.effects;
  const placed = formatAmount(audit.acknowledged ?? audit.stored, "order");
  const effects = `${formatCount(charged)} charged, ${formatCount(reserved)} reserved, ${formatCount(notified)} notified`;
  if (audit.isInOrder) {
    return [
      bold(green(`✓ Every order is accounted for: ${placed} placed and acknowledged,`)),
      bold(green(`  ${effects}; none lost, none done twice.`)),
    ];
  }
  const problems = [
    ...audit.lost.map((problem) => `${problem}: acknowledged and lost`),
    ...audit.missing.map((problem) => `${problem} is missing`),
    ...audit.storedTwice.map((order) => `${order} is stored twice`),
    ...audit.doubled.map((problem) => `${problem} twice`),
    ...audit.inexplicable,
  ];
  return [
    bold(red(`✗ ${formatAmount(problems.length, "thing")} not accounted for: ${placed} placed, ${effects}.`)),
    ...problems.slice(0, PROBLEMS_SHOWN).map((problem) => `  ${problem}`),
  ];
}

/** What the crash cost, in sentences. */
function crash({ tally }: StoryResult): string[] {
  const again = CONSUMERS.reduce((sum, consumer) => sum + tally.consumers[consumer].redelivered, 0);
  const lines: string[] = [];
  if (again > 0) {
    const deliveries = formatAmount(again, "delivery", "deliveries");
    lines.push(
      `  ${deliveries} came again after the crash: what they had written was not stored, so nothing is done twice.`,
    );
  }
  if (tally.known > 0) {
    const orders = `${formatAmount(tally.known, "order")} whose receipt the crash had swallowed`;
    lines.push(`  ${orders} ${tally.known === 1 ? "was" : "were"} placed again, and known by the id.`);
  }
  return lines;
}

function leftOver(audit: RunAudit, { green, red }: Colours): string[] {
  const orders = formatAmount(audit.stored, "order");
  if (audit.isInOrder)
    return [green(`✓ Run ${audit.run}, interrupted earlier, is finished: ${orders}, all accounted for.`)];
  const problems = audit.missing.length + audit.doubled.length + audit.inexplicable.length;
  return [
    red(
      `✗ Run ${audit.run}, interrupted earlier: ${formatAmount(problems, "thing")} not accounted for in ${orders}.`,
    ),
  ];
}

function nextSteps(options: StoryOptions, command: string, { cyan, dim }: Colours): string[] {
  const data = options.directory === "./omnibus-data" ? "" : ` --data ${options.directory}`;
  const steps = [
    [`${command} topics${data}`, "the orders, the ledger, and how far each group is"],
    [`${command} tail ledger --last 5${data}`, "what the shop did last"],
    [`${command} demo${data}`, "again, on the same directory; try Ctrl-C"],
  ] as const;
  const width = Math.max(...steps.map(([line]) => line.length));
  return steps.map(([line, meaning]) => `  ${cyan(line.padEnd(width))}  ${dim(meaning)}`);
}

/** The result as one object. */
export function summaryJson(result: StoryResult, options: StoryOptions): Record<string, unknown> {
  return {
    accountedFor: isInOrder(result),
    run: result.run,
    directory: options.directory,
    orders: options.orders,
    acknowledged: result.tally.acknowledged,
    known: result.tally.known,
    consumers: result.tally.consumers,
    crash: result.crash,
    replayed: result.replayed,
    leftOver: result.tally.leftOver,
    audits: result.audits,
    elapsedMs: Math.round(result.elapsedMs),
  };
}
