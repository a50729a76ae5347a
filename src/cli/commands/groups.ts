// `omnibus groups`: how far each group of each topic has come.

import { Command } from "commander";
import type { GroupStatistics } from "../../index.js";
import { type CommonOptions, lookInto } from "../data-directory.js";
import { formatCount } from "../format.js";
import { withExamples } from "../help.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";

const COLUMNS: readonly Column[] = [
  { title: "group" },
  { title: "lag", align: "right" },
  { title: "in flight", align: "right" },
  { title: "delayed", align: "right" },
  { title: "dead", align: "right" },
  { title: "lost", align: "right" },
  { title: "" },
];

type TopicGroup = GroupStatistics & { readonly topic: string };

export function groupsCommand(world: World): Command {
  const command = new Command("groups")
    .argument("[topic]", "only those of this topic")
    .summary("show the groups: how far behind, what is dead, what is paused")
    .description(
      "Shows every group with its lag, the events that it has still to handle, and what retention took before it had\n" +
        "handled it. Works beside a process that holds the data directory.",
    );
  withExamples(command, [
    ["omnibus groups", "a table"],
    ["omnibus groups order --json | jq 'select(.lag > 1000).name'", "who is behind in one topic"],
  ]);
  return command.action(async (topic: string | undefined) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const groups = await lookInto(world, options, async (bus) =>
      bus
        .statistics()
        .topics.filter(({ name }) => topic === undefined || name === topic)
        .flatMap(({ name, groups: ofTopic }) => ofTopic.map((group) => ({ topic: name, ...group }))),
    );
    await show(world, options, groups, topic);
  });
}

async function show(
  world: World,
  options: CommonOptions,
  groups: readonly TopicGroup[],
  topic: string | undefined,
): Promise<void> {
  if (options.json === true) {
    for (const group of groups) await world.json(group);
  } else if (groups.length === 0) {
    const where = topic === undefined ? options.data : `topic ${topic}`;
    await world.line(`There are no groups in ${where}. A program makes them with bus.on().`);
  } else {
    const rows = groups.map((group) => row(world, group));
    await world.line(renderTable(COLUMNS, rows, world.colours));
  }
}

function row(world: World, group: TopicGroup): string[] {
  const { cyan, red, yellow } = world.colours;
  const alarming = (count: number): string => (count === 0 ? "0" : red(formatCount(count)));
  return [
    cyan(`${group.topic}/${group.name}`),
    formatCount(group.lag),
    formatCount(group.inFlight),
    formatCount(group.delayed),
    alarming(group.deadLetters),
    alarming(group.lostToRetention),
    group.isPaused ? yellow("paused") : "",
  ];
}
