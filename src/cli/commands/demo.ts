// `omnibus demo`: the order shop that is killed and loses nothing.

import { Command, InvalidArgumentError } from "commander";
import type { CommonOptions } from "../data-directory.js";
import { Interrupted } from "../demo/shop-life.js";
import { Stage } from "../demo/stage.js";
import { Story } from "../demo/story.js";
import { isInOrder, summaryJson, summaryLines } from "../demo/summary.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { formatAmount } from "../format.js";
import { withExamples } from "../help.js";
import type { World } from "../world.js";

interface DemoOptions extends CommonOptions {
  readonly orders: number;
}

const ORDERS_DEFAULT = 3_000;
const ORDERS_MAX = 200_000;

export function demoCommand(world: World): Command {
  const command = new Command("demo")
    .summary("watch an order shop be killed with kill -9 and account for every order")
    .description(
      "Runs an order shop on the data directory, in a process of its own: billing, stock and notification each get every\n" +
        "order; workers share the stock reservations; a payment provider fails now and then; some orders are poison. The\n" +
        "process is killed with SIGKILL half way and started again. At the end every order is accounted for, from what\n" +
        "lies on disk. Takes about ten seconds; interrupt it, and the next run takes up what is left.",
    )
    .option("--orders <count>", "how many orders are placed", parseOrders, ORDERS_DEFAULT);
  withExamples(command, [
    ["omnibus demo", "on ./omnibus-data"],
    ["omnibus demo --orders 20000 --data /tmp/shop", "more orders, elsewhere"],
    ["omnibus demo --json | jq .accountedFor", "for a script; the exit code says it too"],
  ]);
  return command.action(() => demo(world, command.optsWithGlobals<DemoOptions>()));
}

function parseOrders(text: string): number {
  const orders = Number(text);
  if (Number.isSafeInteger(orders) && orders >= 1 && orders <= ORDERS_MAX) return orders;
  throw new InvalidArgumentError(`It is a whole number from 1 to ${ORDERS_MAX}.`);
}

async function demo(world: World, options: DemoOptions): Promise<void> {
  const stage = new Stage(world, options.json === true);
  const { bold, dim, yellow } = stage.colours;
  const storyOptions = { directory: options.data, orders: options.orders };
  const story = new Story(world, stage, storyOptions);
  stage.say(
    `${bold("An order shop")} on ${options.data}: ${formatAmount(options.orders, "order")} ${dim(`· run ${story.run}`)}`,
  );
  stage.say();
  const result = await story.tell().catch((error: unknown) => {
    if (!(error instanceof Interrupted)) throw error;
    stage.say();
    stage.say(yellow(`Interrupted after ${formatAmount(story.tally.acknowledged, "acknowledged order")}.`));
    stage.say("What is left is on disk; the next `omnibus demo` takes it up.");
    return undefined;
  });
  if (result === undefined) return;
  const name = world.environment["npm_lifecycle_event"] === undefined ? "omnibus" : "npx omnibus";
  for (const line of summaryLines(result, storyOptions, stage.colours, name)) stage.say(line);
  if (options.json === true) await world.json(summaryJson(result, storyOptions));
  if (isInOrder(result)) return;
  throw new CommandFailure(
    EXIT.failed,
    "the books of the demo are not in order",
    "please report this as a bug",
  );
}
