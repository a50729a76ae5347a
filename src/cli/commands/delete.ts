// `omnibus delete`: deletes a queue, a topic or a group for good.

import { Command, Option } from "commander";
import type { Bus } from "../../index.js";
import { type CommonOptions, changeIn } from "../data-directory.js";
import { withExamples } from "../help.js";
import { findNamed, type Named } from "../source-name.js";
import type { World } from "../world.js";

interface DeleteOptions extends CommonOptions {
  readonly kind?: "queue" | "topic";
  readonly ifEmpty?: boolean;
}

export function deleteCommand(world: World): Command {
  const command = new Command("delete")
    .argument("<name>", "a queue, a topic, or a group as topic/group")
    .addOption(
      new Option("--kind <kind>", "which, when a queue and a topic have the same name").choices([
        "queue",
        "topic",
      ]),
    )
    .option("--if-empty", "keep a queue that holds messages")
    .summary("delete a queue, a topic with its groups, or a group")
    .description(
      "Deletes it with its messages, its bindings and its files; it cannot be brought back. Its dead letters stay until\n" +
        "they are discarded. A program that declares it again makes it anew, empty.",
    );
  withExamples(command, [
    ["omnibus delete stock.reserve --if-empty", "a queue that nothing waits in"],
    ["omnibus delete order/old-billing", "a group that no program uses any more"],
    ["omnibus delete order", "a topic with everything in it"],
  ]);
  return command.action(async (name: string) => {
    const options = command.optsWithGlobals<DeleteOptions>();
    const found = await changeIn(world, options, async (bus) => {
      const named = findNamed(bus, name, options.kind);
      await remove(bus, named, options.ifEmpty === true);
      return named;
    });
    if (options.json === true) await world.json({ deleted: name, kind: found.kind });
    else await world.line(`deleted ${found.kind} ${name}`);
  });
}

async function remove(bus: Bus, named: Named, ifEmpty: boolean): Promise<void> {
  if (named.kind === "queue") await bus.queue(named.name).delete({ ifEmpty });
  else if (named.kind === "topic") await bus.topic(named.name).delete();
  else await bus.topic(named.topic).group(named.group).delete();
}
