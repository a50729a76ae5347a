// `omnibus topics`: what is kept where, and how far each group has come.

import { Command } from "commander";
import type { TopicStatistics } from "../../index.js";
import { type CommonOptions, lookInto } from "../data-directory.js";
import { formatBytes, formatCount } from "../format.js";
import { withExamples } from "../help.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";

const COLUMNS: readonly Column[] = [
  { title: "topic" },
  { title: "group" },
  { title: "records", align: "right" },
  { title: "lag", align: "right" },
  { title: "in flight", align: "right" },
  { title: "delayed", align: "right" },
  { title: "dead", align: "right" },
  { title: "size", align: "right" },
];

export function topicsCommand(world: World): Command {
  const command = new Command("topics")
    .summary("show the topics and how far each group is behind")
    .description(
      "Shows every topic, and below it every group with its lag: the events that the group has still to handle.\n" +
        "Works beside a process that holds the data directory.",
    );
  withExamples(command, [
    ["omnibus topics", "a table"],
    ["omnibus topics --json | jq '.groups[] | {name, lag}'", "the lag of every group"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions>();
    const topics = await lookInto(world, options, async (bus) => bus.statistics().topics);
    await show(world, options, topics);
  });
}

async function show(world: World, options: CommonOptions, topics: readonly TopicStatistics[]): Promise<void> {
  if (options.json === true) {
    for (const topic of topics) await world.json(topic);
    return;
  }
  if (topics.length === 0) {
    await world.line(
      `There are no topics in ${options.data}. Make one: omnibus publish order.placed '{"id":"o-1"}'`,
    );
    return;
  }
  await world.line(
    renderTable(
      COLUMNS,
      topics.flatMap((topic) => rows(world, topic)),
      world.colours,
    ),
  );
}

function rows(world: World, topic: TopicStatistics): string[][] {
  const { cyan, red, yellow } = world.colours;
  const records = topic.partitions.reduce(
    (sum, { highWatermark, logStartOffset }) => sum + highWatermark - logStartOffset,
    0,
  );
  const partitions = topic.partitions.length === 1 ? "" : ` (${topic.partitions.length} partitions)`;
  return [
    [`${cyan(topic.name)}${partitions}`, "", formatCount(records), "", "", "", "", formatBytes(topic.bytes)],
    ...topic.groups.map((group) => [
      "",
      group.isPaused ? `${group.name} ${yellow("(paused)")}` : group.name,
      "",
      formatCount(group.lag),
      formatCount(group.inFlight),
      formatCount(group.delayed),
      group.deadLetters === 0 ? "0" : red(formatCount(group.deadLetters)),
      "",
    ]),
  ];
}
