// `omnibus dead`: the messages that could not be handled. List them, look into one, replay or discard them.

import { Command, InvalidArgumentError, Option } from "commander";
import type { DeadLetter, DeadLetterFilter } from "../../index.js";
import type { CommonOptions } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { parseMoment } from "../format.js";
import { withExamples } from "../help.js";
import type { World } from "../world.js";
import { changeDeadLetters, listDeadLetters, showDeadLetter } from "./dead-letters.js";

/** The options that choose among dead letters. */
export interface DeadOptions extends CommonOptions {
  readonly source?: string;
  readonly subject?: string;
  readonly reason?: DeadLetter["reason"];
  readonly error?: string;
  readonly id?: readonly string[];
  readonly before?: string;
  readonly after?: string;
  readonly limit?: number;
  readonly all?: boolean;
}

const REASONS = [
  "attempts-exhausted",
  "expired",
  "invalid-payload",
  "rejected",
  "overflow",
  "unroutable",
  "unknown-type",
];

export function deadCommand(world: World): Command {
  const command = new Command("dead")
    .summary("list, inspect, replay or discard the messages that could not be handled")
    .description(
      "A message that used up its attempts, expired, or could not even be read becomes a dead letter: it is kept, with\n" +
        "its cause and its history, until somebody replays or discards it.",
    );
  withExamples(command, [
    ["omnibus dead list", "what died and why"],
    [
      `omnibus dead replay --error "Cannot read properties"`,
      "after the bug is fixed: all that it had killed",
    ],
    ["omnibus dead discard --before 30d", "forget the old ones"],
  ]);
  command.addCommand(listCommand(world));
  command.addCommand(showCommand(world));
  command.addCommand(replayCommand(world));
  command.addCommand(discardCommand(world));
  return command;
}

function listCommand(world: World): Command {
  const command = withFilters(new Command("list"))
    .summary("show the dead letters, or those that a filter chooses")
    .description(
      "Shows dead letters with their source, cause and age. Works beside a process that holds the directory.",
    );
  withExamples(command, [
    ["omnibus dead list", "all"],
    ["omnibus dead list --source stock.reserve --after 1h", "those of one queue in the last hour"],
    ["omnibus dead list --json | jq -r .error | sort | uniq -c", "how often each error"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<DeadOptions>();
    await listDeadLetters(world, options, filterOf(world, options, []));
  });
}

function showCommand(world: World): Command {
  const command = new Command("show")
    .summary("show one dead letter with its body and every attempt")
    .description(
      "Shows everything about one dead letter: its headers, its body, and what went wrong at each attempt.",
    )
    .argument("<id>", "identifier, as `omnibus dead list` shows it");
  withExamples(command, [
    ["omnibus dead show 01J9ZK", "for people"],
    ["omnibus dead show 01J9ZK --json | jq .body", "the body alone"],
  ]);
  return command.action(async (id: string) => {
    await showDeadLetter(world, command.optsWithGlobals<CommonOptions>(), id);
  });
}

function replayCommand(world: World): Command {
  const command = withFilters(new Command("replay"), true)
    .summary("hand dead letters to their handlers again")
    .description(
      "Gives dead letters back to the queue or group where they died, with all their attempts before them.",
    );
  withExamples(command, [
    ["omnibus dead replay 01J9ZK 01J9ZM", "two of them"],
    ["omnibus dead replay --source stock.reserve --error TypeError", "all that one bug had killed"],
    ["omnibus dead replay --all", "everything"],
  ]);
  return command.action(async (ids: readonly string[]) => {
    const options = command.optsWithGlobals<DeadOptions>();
    await changeDeadLetters(world, options, filterOf(world, options, ids, "replay"), "replayed");
  });
}

function discardCommand(world: World): Command {
  const command = withFilters(new Command("discard"), true)
    .summary("delete dead letters for good")
    .description("Deletes dead letters. They cannot be brought back.");
  withExamples(command, [
    ["omnibus dead discard 01J9ZK", "one of them"],
    ["omnibus dead discard --subject 'order.#' --before 30d", "old ones"],
  ]);
  return command.action(async (ids: readonly string[]) => {
    const options = command.optsWithGlobals<DeadOptions>();
    await changeDeadLetters(world, options, filterOf(world, options, ids, "discard"), "discarded");
  });
}

function withFilters(command: Command, changes = false): Command {
  if (changes) command.argument("[ids...]", "identifiers, as `omnibus dead list` shows them");
  command
    .option("--source <name>", "died in this queue, or in this group, written topic/group")
    .option("--subject <pattern>", "subject of the message; * is one level, # any number")
    .addOption(new Option("--reason <reason>", "why it died").choices(REASONS))
    .option("--error <text>", "the error contains this text")
    .option("--id <id>", "this one; may be repeated", (id: string, ids: readonly string[] = []) => [
      ...ids,
      id,
    ])
    .option("--before <when>", "died before: 2026-03-01, 2026-03-01T14:00:00Z, or 2h ago as 2h")
    .option("--after <when>", "died after")
    .option("--limit <count>", "at most so many, the oldest first", parseLimit);
  if (changes) command.option("--all", "act on every dead letter");
  return command;
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new InvalidArgumentError("It is a whole number from 1.");
}

/** The filter that the options spell. Errors: a usage failure when a change would act on everything without --all. */
function filterOf(
  world: World,
  options: DeadOptions,
  ids: readonly string[],
  change?: "replay" | "discard",
): DeadLetterFilter {
  const nowMs = world.io.clock.nowMs();
  const allIds = [...ids, ...(options.id ?? [])];
  const filter: DeadLetterFilter = {
    ...(allIds.length > 0 && { ids: allIds }),
    ...(options.source !== undefined && { source: options.source }),
    ...(options.subject !== undefined && { subject: options.subject }),
    ...(options.reason !== undefined && { reason: options.reason }),
    ...(options.error !== undefined && { error: options.error }),
    ...(options.before !== undefined && { before: parseMoment(options.before, "--before", nowMs) }),
    ...(options.after !== undefined && { after: parseMoment(options.after, "--after", nowMs) }),
    ...(options.limit !== undefined && { limit: options.limit }),
  };
  const chosen = Object.keys(filter).filter((name) => name !== "limit").length > 0;
  if (change === undefined) return filter;
  if (chosen === (options.all === true)) {
    throw new CommandFailure(
      EXIT.usage,
      chosen ? "--all and a filter contradict each other" : `say which dead letters to ${change}`,
      `give identifiers, a filter such as --source, or --all; \`omnibus dead list\` takes the same filters`,
    );
  }
  return filter;
}
