// `omnibus tail`: the last messages of a topic, a queue or a subject pattern, and those that follow.

import { Command, InvalidArgumentError } from "commander";
import { withExamples } from "../help.js";
import type { World } from "../world.js";
import { Tail, type TailOptions } from "./tail-messages.js";

export function tailCommand(world: World): Command {
  const command = new Command("tail")
    .summary("show the last messages of a topic, queue or pattern, and follow it")
    .description(
      "Shows stored messages without taking them from anybody: those of a topic, those that wait in a queue, or all\n" +
        "whose subject matches a pattern (* is one level, # any number). Works beside a process that holds the directory.",
    )
    .argument("<name>", "a topic, a queue or a subject pattern")
    .option("-n, --last <count>", "how many messages (default: 10)", parseCount)
    .option(
      "--from <where>",
      "begin at an offset, at the beginning, at a time, or so long ago: 0, beginning, 2h",
    )
    .option("-f, --follow", "go on with what comes, until interrupted")
    .option("--raw", "print the bodies alone, each with a line end");
  withExamples(command, [
    ["omnibus tail order", "the last ten events of the topic"],
    ["omnibus tail 'order.*' --follow", "watch a pattern while the program runs"],
    [
      "omnibus tail order --from 2h --raw | omnibus publish order.placed --data ./copy",
      "take a copy of two hours",
    ],
  ]);
  return command.action(async (name: string) => {
    await new Tail(world, name, command.optsWithGlobals<TailOptions>()).run();
  });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new InvalidArgumentError("It is a whole number.");
}
