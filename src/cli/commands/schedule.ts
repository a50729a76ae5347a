// `omnibus schedule`: what is sent again and again. List, add, pause, resume and remove.

import { Buffer } from "node:buffer";
import { Command, Option } from "commander";
import { type Bus, command as commandType, event, type Schedule } from "../../index.js";
import { type CommonOptions, changeIn, lookInto, writeTo } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { fitText, formatAge, formatCount, formatMoment } from "../format.js";
import { withExamples } from "../help.js";
import {
  asGiven,
  collect,
  durationOf,
  headersOf,
  type Outgoing,
  priorityOf,
  typeOfText,
} from "../outgoing.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";

interface AddOptions extends CommonOptions {
  readonly cron?: string;
  readonly timeZone?: string;
  readonly every?: string;
  readonly send?: string;
  readonly publish?: string;
  readonly missed?: "once" | "skip" | "all";
  readonly key?: string;
  readonly header?: readonly string[];
  readonly expiresIn?: string;
  readonly priority?: string;
  readonly replace?: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "schedule" },
  { title: "when" },
  { title: "sends" },
  { title: "next" },
  { title: "sent", align: "right" },
  { title: "missed" },
];

export function scheduleCommand(world: World): Command {
  const command = new Command("schedule")
    .summary("list, add, pause, resume or remove what is sent again and again")
    .description(
      "A schedule sends a message at every time of a cron expression, or at an interval, whenever a process has the\n" +
        "data directory open. A crash neither doubles a message nor loses it.",
    );
  withExamples(command, [
    ["omnibus schedule list", "what there is, and when it is due"],
    [
      `omnibus schedule add reports --cron "0 6 * * 1-5" --send report.make '{"kind":"daily"}'`,
      "a command every working day at six, UTC",
    ],
    ["omnibus schedule remove reports", "no more of it"],
  ]);
  command.addCommand(listCommand(world));
  command.addCommand(addCommand(world));
  command.addCommand(
    changeCommand(world, "pause", "paused", "send nothing until it is resumed", (bus, name) =>
      bus.schedules.pause(name),
    ),
  );
  command.addCommand(
    changeCommand(world, "resume", "resumed", "go on with the next time", (bus, name) =>
      bus.schedules.resume(name),
    ),
  );
  command.addCommand(
    changeCommand(
      world,
      "remove",
      "removed",
      "end it for good; what it has sent stays",
      async (bus, name) => {
        if (await bus.schedules.remove(name)) return;
        throw new CommandFailure(
          EXIT.notFound,
          `there is no schedule ${name}`,
          "`omnibus schedule list` shows those that exist",
        );
      },
    ),
  );
  return command;
}

function listCommand(world: World): Command {
  const command = new Command("list")
    .summary("show the schedules, and when each is due next")
    .description("Shows every schedule. Works beside a process that holds the data directory.");
  withExamples(command, [
    ["omnibus schedule list", "a table"],
    ["omnibus schedule list --json | jq 'select(.isPaused).name'", "the names of those that are paused"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions>();
    await show(world, options, await lookInto(world, options, async (bus) => bus.schedules.list()));
  });
}

function addCommand(world: World): Command {
  const command = new Command("add")
    .summary("make a schedule, or change one with --replace")
    .description(
      "Makes a schedule that sends a body to a queue, or publishes it under a subject. It is there when this returns.",
    )
    .argument("<name>", "name of the schedule")
    .argument("[body]", "body of each message", "{}")
    .addOption(
      new Option(
        "--cron <expression>",
        "minute hour day month weekday, seconds before them or not",
      ).conflicts("every"),
    )
    .option("--time-zone <name>", "IANA name of the time zone of --cron, instead of UTC")
    .option("--every <duration>", "an interval: 500ms, 10s, 15m, 2h, 1d")
    .addOption(new Option("--send <queue>", "send it to this queue").conflicts("publish"))
    .option("--publish <subject>", "publish it under this subject")
    .addOption(
      new Option("--missed <policy>", "times that passed while nobody had the directory open").choices([
        "once",
        "skip",
        "all",
      ]),
    )
    .option("--key <key>", "key of each message")
    .option("--header <name=value>", "add a header; may be repeated", collect)
    .option("--expires-in <duration>", "each message expires after this time")
    .option("--priority <n>", "level in queues with priorities: 0 is the lowest")
    .option("--replace", "change the schedule of that name");
  withExamples(command, [
    [
      `omnibus schedule add reports --cron "0 6 * * *" --time-zone Europe/Berlin --send report.make`,
      "every morning in Berlin",
    ],
    [
      `omnibus schedule add beat --every 10s --publish system.beat --missed skip`,
      "an event every ten seconds",
    ],
  ]);
  return command.action(async (name: string, body: string) => {
    await add(world, name, body, command.optsWithGlobals<AddOptions>());
  });
}

function changeCommand(
  world: World,
  verb: "pause" | "resume" | "remove",
  done: string,
  meaning: string,
  change: (bus: Bus, name: string) => Promise<void>,
): Command {
  const command = new Command(verb)
    .summary(meaning)
    .description(`${verb[0]!.toUpperCase()}${verb.slice(1)}s a schedule: ${meaning}.`)
    .argument("<name>", "name of the schedule");
  withExamples(command, [
    [`omnibus schedule ${verb} reports`, "one of them"],
    [
      `omnibus schedule list --json | jq -r .name | xargs -n1 omnibus schedule ${verb}`,
      "every one that there is",
    ],
  ]);
  return command.action(async (name: string) => {
    const options = command.optsWithGlobals<CommonOptions>();
    await changeIn(world, options, (bus) => change(bus, name));
    if (options.json === true) await world.json({ schedule: name, [done]: true });
    else await world.line(`${done} ${name}`);
  });
}

async function add(world: World, name: string, body: string, options: AddOptions): Promise<void> {
  const { send, publish, cron, every, timeZone } = options;
  if ((send === undefined) === (publish === undefined))
    throw new CommandFailure(EXIT.usage, "say where it goes", "give --send <queue> or --publish <subject>");
  if ((cron === undefined) === (every === undefined))
    throw new CommandFailure(EXIT.usage, "say when it is due", "give --cron or --every, one of them");
  const codec = asGiven(typeOfText(body));
  const type =
    send === undefined
      ? event<Outgoing>(publish!, { codec })
      : commandType<Outgoing>(send, { queue: send, codec });
  const when =
    every === undefined
      ? { cron: cron!, ...(timeZone !== undefined && { timeZone }) }
      : { every: durationOf("--every", every) };
  const message: Outgoing = { body: Buffer.from(body), key: undefined };
  const made = await writeTo(world, options, (bus) =>
    bus.schedule(name, when, type, message, {
      ...(options.missed !== undefined && { missed: options.missed }),
      ...(options.key !== undefined && { key: options.key }),
      ...(options.header !== undefined && { headers: headersOf(options.header) }),
      ...(options.expiresIn !== undefined && { expiresIn: durationOf("--expires-in", options.expiresIn) }),
      ...(options.priority !== undefined && { priority: priorityOf(options.priority) }),
      ...(options.replace === true && { replace: true }),
    }),
  );
  if (options.json === true) await world.json(made);
  else await world.line(`${name} ${describeTarget(made)}, next at ${nextOf(made)}`);
}

async function show(world: World, options: CommonOptions, schedules: readonly Schedule[]): Promise<void> {
  if (options.json === true) {
    for (const schedule of schedules) await world.json(schedule);
    return;
  }
  if (schedules.length === 0) {
    await world.line(`There are no schedules in ${options.data}.`);
    return;
  }
  const { cyan, yellow } = world.colours;
  const rows = schedules.map((schedule) => [
    cyan(schedule.name),
    fitText(describeTimes(schedule), 40),
    describeTarget(schedule),
    schedule.isPaused ? yellow("paused") : nextOf(schedule),
    formatCount(schedule.sent),
    schedule.missed,
  ]);
  await world.line(renderTable(COLUMNS, rows, world.colours));
}

function describeTimes({ cron, timeZone, everyMs }: Schedule): string {
  return cron === undefined ? `every ${formatAge(everyMs!)}` : `${cron} (${timeZone})`;
}

function describeTarget({ queue, subject }: Schedule): string {
  return queue === undefined ? `publishes ${subject}` : `sends to ${queue}`;
}

function nextOf({ nextAt }: Schedule): string {
  return nextAt === undefined ? "never" : formatMoment(nextAt.getTime());
}
