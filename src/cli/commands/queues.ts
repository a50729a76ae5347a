// `omnibus queues`: what waits where.

import { Command } from "commander";
import type { Bus, QueueStatistics } from "../../index.js";
import { type CommonOptions, lookInto } from "../data-directory.js";
import { formatAge, formatBytes, formatCount } from "../format.js";
import { withExamples } from "../help.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";

const COLUMNS: readonly Column[] = [
  { title: "queue" },
  { title: "waiting", align: "right" },
  { title: "in flight", align: "right" },
  { title: "delayed", align: "right" },
  { title: "dead", align: "right" },
  { title: "size", align: "right" },
  { title: "oldest", align: "right" },
];

export function queuesCommand(world: World): Command {
  const command = new Command("queues")
    .summary("show the queues: what waits, is in work, is delayed, is dead")
    .description(
      "Shows every queue: how many messages wait, are in work, are held back by a delay or a retry, and are dead.\n" +
        "Works beside a process that holds the data directory.",
    );
  withExamples(command, [
    ["omnibus queues", "a table"],
    ["omnibus queues --json | jq 'select(.waiting > 1000).name'", "the names of the long ones"],
    ["watch -n1 omnibus queues --data /var/lib/shop", "keep an eye on a running program"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions>();
    const queues = await lookInto(world, options, (bus) => ownQueues(bus));
    await show(world, options, queues);
  });
}

/** The queues, without those that hold the dead letters of others: these show in the column `dead`. */
async function ownQueues(bus: Bus): Promise<QueueStatistics[]> {
  const queues = bus.statistics().queues.filter(({ deadLettersOf }) => deadLettersOf === undefined);
  return Promise.all(
    queues.map(async (queue) => ({
      ...queue,
      oldestAgeMs: queue.oldestAgeMs ?? (await oldestAgeMs(bus, queue)),
    })),
  );
}

/** Looks at the first message, where the statistics do not know it. */
async function oldestAgeMs(
  bus: Bus,
  { name, waiting, inFlight, delayed }: QueueStatistics,
): Promise<number | undefined> {
  if (waiting + inFlight + delayed === 0) return undefined;
  for await (const message of bus.queue(name).browse({ limit: 1 })) {
    return Math.max(0, bus.engine.clock.nowMs() - message.timestampMs);
  }
  return undefined;
}

async function show(world: World, options: CommonOptions, queues: readonly QueueStatistics[]): Promise<void> {
  if (options.json === true) {
    for (const queue of queues) await world.json(queue);
    return;
  }
  if (queues.length === 0) {
    await world.line(`There are no queues in ${options.data}. Make one: omnibus send hello '{"name":"Ada"}'`);
    return;
  }
  await world.line(
    renderTable(
      COLUMNS,
      queues.map((queue) => row(world, queue)),
      world.colours,
    ),
  );
}

function row(world: World, queue: QueueStatistics): string[] {
  const { cyan, red, yellow } = world.colours;
  return [
    queue.isPaused ? `${cyan(queue.name)} ${yellow("(paused)")}` : cyan(queue.name),
    formatCount(queue.waiting),
    formatCount(queue.inFlight),
    formatCount(queue.delayed),
    queue.deadLetters === 0 ? "0" : red(formatCount(queue.deadLetters)),
    formatBytes(queue.bytes),
    queue.oldestAgeMs === undefined ? "" : formatAge(queue.oldestAgeMs),
  ];
}
