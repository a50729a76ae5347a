// `omnibus publish`: events under a subject, for every group that subscribes to it.

import { Command } from "commander";
import { assertName } from "../../broker/names.js";
import { event, type TopicStatistics } from "../../index.js";
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

export function publishCommand(world: World): Command {
  const command = new Command("publish")
    .summary("publish events under a subject, for every group that subscribes")
    .description(
      "Publishes events under a subject: every group that subscribes to it gets each of them. They are kept in the\n" +
        "topic named by the first level of the subject. Returns when they are on disk.\n" +
        "Without a body, --file or --jsonl, standard input is read as JSON Lines: one event a line.",
    )
    .argument("<subject>", "what happened, in levels joined by dots: order.placed")
    .argument("[body]", "body of one event");
  withOutgoingOptions(command);
  withExamples(command, [
    [`omnibus publish order.placed '{"id":"o-1","total":42}' --key o-1`, "one event"],
    ["cat real-events.jsonl | omnibus publish order.placed", "one event a line, tens of thousands a second"],
    [
      "omnibus publish order.placed --jsonl may.jsonl --key-field id --skip-invalid",
      "a file, bad lines left out",
    ],
  ]);
  return command.action(async (subject: string, body: string | undefined) => {
    await publish(world, subject, body, command.optsWithGlobals<Options>());
  });
}

async function publish(
  world: World,
  subject: string,
  body: string | undefined,
  options: Options,
): Promise<void> {
  const source = await sourceOf(world, body, options);
  const publishOptions = publishOptionsOf(options, source, world.signal);
  const type = event<Outgoing>(subject, { codec: asGiven(source.contentType), ...keyFromField(options) });
  assertName("topic", type.topic);
  const done = await writeTo(world, options, (bus) =>
    deliverAll(world, source, options, bus, {
      deliver: (batch) => bus.publishMany(type, batch, publishOptions),
      count: () => endOf(bus.statistics().topics.find(({ name }) => name === type.topic)),
    }),
  );
  await reportDelivered(world, options, "published", subject, done);
}

function endOf(topic: TopicStatistics | undefined): number {
  return topic?.partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0) ?? 0;
}
