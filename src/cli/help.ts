// What the help of every command has in common: examples that can be pasted, and the exit codes.

import type { Command } from "commander";
import { EXIT_CODE_HELP } from "./exit-codes.js";

/** A command line and what it does. */
export type Example = readonly [commandLine: string, meaning: string];

/** Adds examples below the options of `command`. */
export function withExamples(command: Command, examples: readonly Example[]): Command {
  const lines = examples.flatMap(([commandLine, meaning]) => [`  # ${meaning}`, `  ${commandLine}`, ""]);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n").trimEnd()}`);
}

/** Adds the meaning of the exit codes below everything else. */
export function withExitCodes(command: Command): Command {
  return command.addHelpText("after", `\nExit codes:\n${EXIT_CODE_HELP.join("\n")}`);
}
