// `bench amqp`: Omnibus beside RabbitMQ, both driven by the same client program, in one run.

import { askClient, buildClient } from "./go-client.js";
import {
  type Columns,
  type Contender,
  chosen,
  measureInTurns,
  type RoundsOptions,
  report,
  type Shape,
} from "./server-rounds.js";
import { startOmnibus } from "./servers/omnibus.js";
import { missingRabbitMq, startRabbitMq } from "./servers/rabbitmq.js";
import type { RunningServer } from "./servers/running-server.js";

const CONTENDERS: readonly Contender[] = [
  { name: "omnibus", missing: () => false, start: startOmnibus },
  { name: "rabbitmq", missing: missingRabbitMq, start: startRabbitMq },
];
export const amqpServers = CONTENDERS.map(({ name }) => name);

export interface AmqpOptions extends RoundsOptions {
  /** Queues, each with a publisher and a consumer. */
  readonly pairs: number;
}

interface Kind extends Shape {
  readonly arguments: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    name: "transient",
    words: "queues that are not durable, transient messages, no confirms, no acknowledgements",
    arguments: [],
  },
  {
    name: "persistent",
    words:
      "durable queues, persistent messages, each confirmed and each acknowledged; both servers confirm what they have synced",
    arguments: ["-persistent"],
  },
];

/** What the client prints: see `clients/amqp`. */
interface Answer {
  readonly messagesPerSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly serverCpuMicrosPerMessage: number;
  readonly clientCpuMicrosPerMessage: number;
}

interface Measured {
  readonly messagesPerSecond: number;
  /** Of the server's processor time, all its threads together, at full speed. */
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
  /** At the fixed rate, from when a message was due to be sent to when it came. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** With `json`, prints `{"pairs":1,"rate":0,"rows":[...]}`. */
export async function benchAmqp(options: AmqpOptions): Promise<void> {
  const { pairs, rate, json } = options;
  const contenders = chosen(CONTENDERS, options.servers);
  const program = buildClient("amqp");
  const rows = await measureInTurns(contenders, KINDS, options, (server, kind, bodyBytes) =>
    measure(program, server, kind, bodyBytes, options),
  );
  const queues = pairs === 1 ? "One queue" : `${pairs} queues`;
  const heading = `${queues}, a publisher and a consumer for each, on connections of their own.`;
  const text = json
    ? JSON.stringify({ pairs, rate, rows })
    : `${heading}\n\n${report(KINDS, rows, () => columns(rate))}`;
  process.stdout.write(`${text}\n`);
}

async function measure(
  program: string,
  { url, pid }: RunningServer,
  kind: Kind,
  bodyBytes: number,
  { seconds, warmUpSeconds, pairs, rate }: AmqpOptions,
): Promise<Measured> {
  const common = [
    ...kind.arguments,
    ...["-url", `${url}/`],
    ...["-server-pid", String(pid)],
    ...["-size", String(bodyBytes)],
    ...["-pairs", String(pairs)],
    ...["-warm-up", `${warmUpSeconds}s`],
    ...["-measured", `${seconds}s`],
  ];
  const full = await askClient<Answer>(program, common);
  const paced = await askClient<Answer>(program, [...common, "-rate", String(rate)]);
  return {
    messagesPerSecond: full.messagesPerSecond,
    serverCpuMicros: full.serverCpuMicrosPerMessage,
    clientCpuMicros: full.clientCpuMicrosPerMessage,
    p50Micros: paced.p50Micros,
    p99Micros: paced.p99Micros,
  };
}

function columns(rate: number): Columns<Measured> {
  return {
    numbers: {
      "CPU µs/message": (row) => row.serverCpuMicros.toFixed(1),
      "client's": (row) => row.clientCpuMicros.toFixed(1),
      [`p50 ms at ${rate}/s`]: (row) => (row.p50Micros / 1000).toFixed(2),
      "p99 ms": (row) => (row.p99Micros / 1000).toFixed(2),
    },
    ratios: {
      "CPU ÷": (ours, other) => other.serverCpuMicros / ours.serverCpuMicros,
      "p99 ÷": (ours, other) => other.p99Micros / ours.p99Micros,
    },
  };
}
