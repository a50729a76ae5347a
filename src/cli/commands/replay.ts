// `omnibus replay`: moves a group of a topic back, or forward, to go on from there.

import { Command, InvalidArgumentError } from "commander";
import type { GroupPlace } from "../../index.js";
import { type CommonOptions, changeIn } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { formatAmount, parseMoment } from "../format.js";
import { withExamples } from "../help.js";
import { findGroup } from "../source-name.js";
import type { World } from "../world.js";

interface ReplayOptions extends CommonOptions {
  readonly to: string;
  readonly partition?: number;
}

export function replayCommand(world: World): Command {
  const command = new Command("replay")
    .argument("<group>", "a group, as topic/group")
    .requiredOption(
      "--to <place>",
      "beginning, end, an offset, a time such as 2026-03-01T14:00:00Z, or how long ago, such as 2h",
    )
    .option(
      "--partition <number>",
      "which partition an offset is of, where there are several",
      parsePartition,
    )
    .summary("let a group handle events again, or skip some")
    .description(
      "Moves a group to another place in its topic, in all partitions, and lets it go on from there. Its handlers get\n" +
        "events again that they handled before: their effects should be idempotent.",
    );
  withExamples(command, [
    ["omnibus replay order/billing --to beginning", "everything that is kept"],
    ["omnibus replay order/mail --to 2h", "what was published in the last two hours"],
    ["omnibus replay order/mail --to end", "skip all that waits"],
    ["omnibus replay readings/sum --to 1200 --partition 3", "from an offset on, in one partition"],
  ]);
  return command.action(async (name: string) => {
    await replay(world, command.optsWithGlobals<ReplayOptions>(), name);
  });
}

async function replay(world: World, options: ReplayOptions, name: string): Promise<void> {
  const to = placeOf(world, options);
  const lag = await changeIn(world, options, async (bus) => {
    const { topic, group: groupName } = findGroup(bus, name);
    const group = bus.topic(topic).group(groupName);
    await group.seek(to);
    return (await group.statistics()).lag;
  });
  if (options.json === true) await world.json({ group: name, lag });
  else await world.line(`${name} was moved and has ${formatAmount(lag, "event")} to handle`);
}

function placeOf(world: World, { to, partition }: ReplayOptions): GroupPlace {
  if (/^\d+$/.test(to)) return { offset: Number(to), ...(partition === undefined ? {} : { partition }) };
  if (partition !== undefined)
    throw new CommandFailure(EXIT.usage, "--partition goes with an offset only", "give --to an offset");
  if (to === "beginning" || to === "end") return to;
  return { time: parseMoment(to, "--to", world.io.clock.nowMs()) };
}

function parsePartition(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number from 0.");
}
