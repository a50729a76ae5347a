// `omnibus purge`: removes what waits in a queue, or passes over it for a group.

import { Command } from "commander";
import { type CommonOptions, changeIn } from "../data-directory.js";
import { formatAmount } from "../format.js";
import { withExamples } from "../help.js";
import { findSource } from "../source-name.js";
import type { World } from "../world.js";

export function purgeCommand(world: World): Command {
  const command = new Command("purge")
    .argument("<name>", "a queue, or a group as topic/group")
    .summary("remove everything that waits in a queue, or pass over it for a group")
    .description(
      "The messages of a queue are gone and cannot be brought back. Those of a topic stay: the group alone passes over\n" +
        "them, and `omnibus replay` takes it back.",
    );
  withExamples(command, [
    ["omnibus purge stock.reserve", "forget all commands that wait"],
    ["omnibus purge order/mail", "this group skips what it has not handled"],
  ]);
  return command.action(async (name: string) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const purged = await changeIn(world, options, async (bus) => {
      const found = findSource(bus, name);
      return await (found.kind === "queue"
        ? bus.queue(name)
        : bus.topic(found.topic).group(found.group)
      ).purge();
    });
    if (options.json === true) await world.json({ purged });
    else await world.line(`purged ${formatAmount(purged, "message")} of ${name}`);
  });
}
