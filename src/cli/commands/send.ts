// `omnibus send`: messages into a queue, each for one receiver.

import { Command } from "commander";
import { assertName } from "../../broker/names.js";
import { command as commandType } from "../../index.js";
import { type CommonOptions, writeTo } from "../data-directory.js";
import { withExamples } from "../help.js";
import {
  asGiven,
  keyFromField,
  type Outgoing,
  type OutgoingOptions,
  publishOptionsOf,
  sourceOf,
  withOutgoingOptions,
} from "../outgoing.js";
import { deliverAll, reportDelivered } from "../outgoing-command.js";
import type { World } from "../world.js";

type Options = OutgoingOptions & CommonOptions;

export function sendCommand(world: World): Command {
  const command = new Command("send")
    .summary("put messages into a queue, each for one receiver")
    .description(
      "Puts messages into a queue, where each is handed to one receiver. Returns when they are on disk.\n" +
        "Without a body, --file or --jsonl, standard input is read as JSON Lines: one message a line.",
    )
    .argument("<queue>", "name of the queue; it is made when it is not there")
    .argument("[body]", "body of one message");
  withOutgoingOptions(command);
  withExamples(command, [
    [`omnibus send stock.reserve '{"order":"o-1","sku":"apple"}'`, "one message"],
    [`omnibus send reminders '{"to":"ada"}' --delay 10m`, "handed out in ten minutes"],
    [
      "zcat jobs.jsonl.gz | omnibus send jobs --key-field customer.id",
      "one message a line, in order per customer",
    ],
  ]);
  return command.action(async (queue: string, body: string | undefined) => {
    await send(world, queue, body, command.optsWithGlobals<Options>());
  });
}

async function send(world: World, queue: string, body: string | undefined, options: Options): Promise<void> {
  assertName("queue", queue);
  const source = await sourceOf(world, body, options);
  const publishOptions = publishOptionsOf(options, source, world.signal);
  const type = commandType<Outgoing>(queue, {
    queue,
    codec: asGiven(source.contentType),
    ...keyFromField(options),
  });
  const done = await writeTo(world, options, (bus) =>
    deliverAll(world, source, options, bus, {
      deliver: (batch) => bus.sendMany(type, batch, publishOptions),
      count: () => bus.statistics().queues.find(({ name }) => name === queue)?.published ?? 0,
    }),
  );
  await reportDelivered(world, options, "sent", queue, done);
}
