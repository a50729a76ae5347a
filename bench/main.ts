// `npm run bench`: the benchmarks' command line.

import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { benchAllocations } from "./allocations.js";
import { amqpServers, benchAmqp } from "./amqp.js";
import { benchConnections } from "./connections.js";
import { benchDelays } from "./delays.js";
import { benchEmbedded } from "./embedded.js";
import { durableEngines, memoryEngines } from "./engines/index.js";
import { benchNats, natsServers } from "./nats.js";
import { projectRoot } from "./peers.js";
import { benchScale, SECTIONS, type Section } from "./scale/scale.js";
import { benchSoak } from "./soak/soak.js";
import { benchSubjects } from "./subjects.js";

/** Below the project, because a system's folder for temporary files is often not on a disk. */
function dataDirectory(): Option {
  const option = new Option(
    "--directory <path>",
    "where the engines keep their data while they are measured",
  );
  return option.default(join(projectRoot, ".cache", "bench"), "the project's .cache/bench");
}

function recordFolder(): Option {
  return new Option(
    "--record <folder>",
    "keep the report as JSON and its chart as SVG there, as in docs/benchmarks",
  );
}

const engineNames = [...durableEngines, ...memoryEngines].map(({ name }) => name);

const program = new Command("npm run bench --")
  .description(
    "Benchmarks that compare Omnibus with its peers, side by side in one run. See bench/README.md.",
  )
  .showHelpAfterError();

program
  .command("embedded")
  .description("the embedded engine beside BullMQ on Redis and a queue on SQLite")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--engines <names>", `only these, comma-separated: ${engineNames.join(", ")}`, parseEngines)
  .option("--seconds <n>", "how long each phase is measured", parseSeconds, 3)
  .option("--warm-up <n>", "seconds before each measured phase", parseSeconds, 1)
  .option("--rounds <n>", "how often each row is measured; the median is reported", parseRounds, 1)
  .addOption(dataDirectory())
  .action((options) => benchEmbedded({ ...options, warmUpSeconds: options.warmUp }));

program
  .command("allocations")
  .description("bytes that Omnibus allocates per message on publish, store, deliver and settle")
  .option("--json", "print one JSON object and nothing else", false)
  .addOption(dataDirectory())
  .action(benchAllocations);

program
  .command("delays")
  .description("how late delayed and expiring messages are noticed, beside timers and BullMQ")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--messages <n>", "how many wait at once", parseMessages, 5_000)
  .option("--seconds <n>", "over how long their times are spread", parseSeconds, 5)
  .addOption(dataDirectory())
  .action(benchDelays);

program
  .command("amqp")
  .description("the server beside RabbitMQ, both driven by the same client written in Go")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--servers <names>", `only these, comma-separated: ${amqpServers.join(", ")}`, parseServers, [
    ...amqpServers,
  ])
  .option("--sizes <bytes>", "bytes of a body, comma-separated", parseSizes, [16, 128, 1024])
  .option("--seconds <n>", "how long each row is measured", parseSeconds, 3)
  .option("--warm-up <n>", "seconds before each measurement", parseSeconds, 2)
  .option("--rounds <n>", "how often each row is measured; the medians are reported", parseRounds, 1)
  .option("--pairs <n>", "queues, each with a publisher and a consumer", parseRounds, 1)
  .option("--rate <n>", "messages a second at which latencies are measured", parseMessages, 5_000)
  .option("--profile <path>", "where Node leaves a profile of our server")
  .addOption(dataDirectory())
  .action((options) => benchAmqp({ ...options, warmUpSeconds: options.warmUp }));

program
  .command("nats")
  .description("the server beside nats-server, both driven by the same client written in Go")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--servers <names>", `only these, comma-separated: ${natsServers.join(", ")}`, parseNatsServers, [
    ...natsServers,
  ])
  .option("--sizes <bytes>", "bytes of a body, comma-separated", parseSizes, [16, 128, 1024])
  .option("--seconds <n>", "how long each row is measured", parseSeconds, 3)
  .option("--warm-up <n>", "seconds before each measurement", parseSeconds, 2)
  .option("--rounds <n>", "how often each row is measured; the medians are reported", parseRounds, 1)
  .option("--rate <n>", "messages a second at which latencies are measured", parseMessages, 10_000)
  .option("--profile <path>", "where Node leaves a profile of our server")
  .addOption(dataDirectory())
  .action((options) => benchNats({ ...options, warmUpSeconds: options.warmUp }));

program
  .command("connections")
  .description("memory and latency of the server with many idle connections, and with many queues")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--count <n>", "how many connections or queues", parseMessages, 10_000)
  .option("--publishes <n>", "confirmed one after the other, before and after", parseMessages, 1_000)
  .addOption(dataDirectory())
  .action(benchConnections);

program
  .command("subjects")
  .description("memory and rate of live publishing with a thousand to a million live subscriptions")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--seconds <n>", "how long each rate is measured", parseSeconds, 1)
  .action(benchSubjects);

program
  .command("scale")
  .description(
    "the bounds: backlogs, readers far behind, many queues and subscriptions, publishers that never wait",
  )
  .option("--json", "print one JSON object and nothing else", false)
  .option("--only <sections>", `only these, comma-separated: ${SECTIONS.join(", ")}`, parseSections)
  .option("--messages <n>", "how many wait at once", parseBacklog, 10_000_000)
  .addOption(dataDirectory())
  .addOption(recordFolder())
  .action(benchScale);

program
  .command("soak")
  .description("a mixed load for a long time: whether memory ends where it began")
  .option("--json", "print one JSON object and nothing else", false)
  .option("--minutes <n>", "how long", parseMinutes, 60)
  .option(
    "--rate <n>",
    "messages that each part of the load sends in a tenth of a second, about",
    parseRate,
    8,
  )
  .addOption(dataDirectory())
  .addOption(recordFolder())
  .action(benchSoak);

function parseSections(text: string): Section[] {
  return text.split(",").map((name) => {
    const section = SECTIONS.find((known) => known === name.trim());
    if (section === undefined) throw new InvalidArgumentError(`There is no section "${name}".`);
    return section;
  });
}

function parseBacklog(text: string): number {
  const messages = Number(text);
  if (!(Number.isInteger(messages) && messages >= 1_000 && messages % 1_000 === 0)) {
    throw new InvalidArgumentError("It must be a whole number of thousands.");
  }
  return messages;
}

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!(minutes > 0 && minutes <= 10_000)) throw new InvalidArgumentError("It must be between 0 and 10,000.");
  return minutes;
}

function parseRate(text: string): number {
  const rate = Number(text);
  if (!(Number.isInteger(rate) && rate >= 4 && rate <= 1_000)) {
    throw new InvalidArgumentError("It must be a whole number between 4 and 1,000.");
  }
  return rate;
}

function parseMessages(text: string): number {
  const messages = Number(text);
  if (!(Number.isInteger(messages) && messages >= 1 && messages <= 1_000_000)) {
    throw new InvalidArgumentError("It must be a whole number between 1 and 1,000,000.");
  }
  return messages;
}

function parseEngines(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  for (const name of names) {
    if (!engineNames.includes(name)) throw new InvalidArgumentError(`There is no engine "${name}".`);
  }
  return names;
}

function parseServers(text: string): string[] {
  return parseNames(text, amqpServers);
}

function parseNatsServers(text: string): string[] {
  return parseNames(text, natsServers);
}

function parseNames(text: string, known: readonly string[]): string[] {
  const names = text.split(",").map((name) => name.trim());
  for (const name of names)
    if (!known.includes(name)) throw new InvalidArgumentError(`There is no server "${name}".`);
  return names;
}

function parseSizes(text: string): number[] {
  const sizes = text.split(",").map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size >= 16 && size <= 1024 * 1024)) return sizes;
  throw new InvalidArgumentError("They must be whole numbers between 16 and 1,048,576.");
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 600)) throw new InvalidArgumentError("It must be between 0 and 600.");
  return seconds;
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 99)) {
    throw new InvalidArgumentError("It must be a whole number between 1 and 99.");
  }
  return rounds;
}

if (process.argv.length === 2) program.help();
try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
