// `omnibus pause` and `omnibus resume`: whether a queue or group hands messages out.

import { Command } from "commander";
import { type CommonOptions, changeIn } from "../data-directory.js";
import { withExamples } from "../help.js";
import { findSource } from "../source-name.js";
import type { World } from "../world.js";

export function pauseCommand(world: World): Command {
  const command = new Command("pause")
    .argument("<name>", "a queue, or a group as topic/group")
    .summary("hand out nothing of a queue or group until it is resumed")
    .description(
      "What is sent and published is stored as before; nothing of it is handed out, also after a restart, until\n" +
        "`omnibus resume`. A program that holds the directory does it through its bus: bus.queue(name).pause().",
    );
  withExamples(command, [
    ["omnibus pause stock.reserve", "let commands wait while the warehouse is closed"],
    ["omnibus pause order/billing", "stop one group; others go on"],
  ]);
  return command.action(async (name: string) => change(world, command.optsWithGlobals(), name, true));
}

export function resumeCommand(world: World): Command {
  const command = new Command("resume")
    .argument("<name>", "a queue, or a group as topic/group")
    .summary("let a paused queue or group go on")
    .description("What waited is handed out from now on.");
  withExamples(command, [
    ["omnibus resume stock.reserve", "a queue"],
    ["omnibus resume order/billing", "a group"],
  ]);
  return command.action(async (name: string) => change(world, command.optsWithGlobals(), name, false));
}

async function change(world: World, options: CommonOptions, name: string, pauses: boolean): Promise<void> {
  const kind = await changeIn(world, options, async (bus) => {
    const found = findSource(bus, name);
    const source = found.kind === "queue" ? bus.queue(name) : bus.topic(found.topic).group(found.group);
    await (pauses ? source.pause() : source.resume());
    return found.kind;
  });
  if (options.json === true) await world.json({ [pauses ? "paused" : "resumed"]: name, kind });
  else await world.line(pauses ? `paused ${kind} ${name}` : `${kind} ${name} goes on`);
}
