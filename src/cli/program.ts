// The command line of `omnibus`: its commands, the options that all of them have, and what happens when one fails.

import { Command, CommanderError, Option } from "commander";
import { bindingsCommand } from "./commands/bindings.js";
import { deadCommand } from "./commands/dead.js";
import { deleteCommand } from "./commands/delete.js";
import { demoCommand } from "./commands/demo.js";
import { groupsCommand } from "./commands/groups.js";
import { hashPasswordCommand } from "./commands/hash-password.js";
import { pauseCommand, resumeCommand } from "./commands/pause.js";
import { publishCommand } from "./commands/publish.js";
import { purgeCommand } from "./commands/purge.js";
import { queuesCommand } from "./commands/queues.js";
import { replayCommand } from "./commands/replay.js";
import { scheduleCommand } from "./commands/schedule.js";
import { sendCommand } from "./commands/send.js";
import { serveCommand } from "./commands/serve.js";
import { tailCommand } from "./commands/tail.js";
import { topCommand } from "./commands/top.js";
import { topicsCommand } from "./commands/topics.js";
import { repairCommand, verifyCommand } from "./commands/verify.js";
import { DATA_DEFAULT } from "./data-directory.js";
import { EXIT } from "./exit-codes.js";
import { describeFailure } from "./failure.js";
import { withExamples, withExitCodes } from "./help.js";
import type { World } from "./world.js";

/** Runs one command line, without the names of the program, and resolves with the exit code. Never rejects. */
export async function runCommandLine(
  world: World,
  version: string,
  argv: readonly string[],
): Promise<number> {
  try {
    await createProgram(world, version).parseAsync(argv, { from: "user" });
    return world.signal.aborted && !world.endsByItself ? EXIT.interrupted : EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (world.signal.aborted) return EXIT.interrupted;
    report(world, error, argv.includes("--debug"));
    return describeFailure(error).exitCode;
  }
}

function createProgram(world: World, version: string): Command {
  const program = new Command("omnibus")
    .description(
      "Omnibus: durable queues, topics and events in a directory; for programs that open it, and for clients of a server.\n" +
        "The commands work on the data directory of either; those that only look work while it runs.",
    )
    .version(version, "-V, --version", "print the version")
    .addOption(new Option("--data <dir>", "the data directory").env("OMNIBUS_DATA").default(DATA_DEFAULT))
    .option("--json", "print JSON for programs and nothing else on standard output")
    .option("--debug", "print the stack of an error (or set OMNIBUS_DEBUG)");
  withExamples(program, [
    ["omnibus serve", "let clients of RabbitMQ and NATS work on it"],
    ["omnibus demo", "watch an order shop be killed and lose nothing"],
    ["cat real-events.jsonl | omnibus publish order.placed", "bring events in"],
    ["omnibus topics", "see what is there and who is behind"],
  ]);
  withExitCodes(program);
  program.addCommand(serveCommand(world));
  program.addCommand(demoCommand(world));
  program.addCommand(queuesCommand(world));
  program.addCommand(topicsCommand(world));
  program.addCommand(topCommand(world));
  program.addCommand(groupsCommand(world));
  program.addCommand(bindingsCommand(world));
  program.addCommand(sendCommand(world));
  program.addCommand(publishCommand(world));
  program.addCommand(tailCommand(world));
  program.addCommand(deadCommand(world));
  program.addCommand(pauseCommand(world));
  program.addCommand(resumeCommand(world));
  program.addCommand(purgeCommand(world));
  program.addCommand(replayCommand(world));
  program.addCommand(deleteCommand(world));
  program.addCommand(verifyCommand(world));
  program.addCommand(repairCommand(world));
  program.hook("preAction", () => {
    // A variable that is empty is as good as one that is not set.
    if (program.getOptionValueSource("data") === "env" && program.getOptionValue("data") === "")
      program.setOptionValueWithSource("data", DATA_DEFAULT, "default");
  });
  program.addCommand(scheduleCommand(world));
  program.addCommand(hashPasswordCommand(world));
  configure(program, world);
  return program;
}

/** Nothing that commander does may end the process or write past the world's streams. */
function configure(command: Command, world: World): void {
  command
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError(`hint: omnibus ${pathOf(command)}--help`)
    .configureOutput({
      writeOut: (text) => void world.stdout.write(text),
      writeErr: (text) => void world.stderr.write(text),
      getOutHasColors: () => world.colours.isColorSupported,
      getErrHasColors: () => world.errorColours.isColorSupported,
      getOutHelpWidth: () => Math.min(world.columns, 110),
    });
  for (const subcommand of command.commands) configure(subcommand, world);
}

function pathOf(command: Command): string {
  return command.parent === null ? "" : `${pathOf(command.parent)}${command.name()} `;
}

function report(world: World, error: unknown, wantsDebug: boolean): void {
  const { red, dim } = world.errorColours;
  const { sentence, hint } = describeFailure(error);
  world.note(`${red("error:")} ${sentence.replaceAll("\n", " ")}`);
  if (hint !== undefined) world.note(dim(`hint: ${hint}`));
  const debugs = wantsDebug || (world.environment["OMNIBUS_DEBUG"] ?? "") !== "";
  if (debugs && error instanceof Error) world.note(dim(stackOf(error)));
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
