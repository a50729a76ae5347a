// `bench nats`: Omnibus beside nats-server, both driven by the same client program, in one run.

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
import { missingNatsServer, startNatsServer } from "./servers/nats-server.js";
import { startOmnibus } from "./servers/omnibus.js";
import type { RunningServer } from "./servers/running-server.js";

const CONTENDERS: readonly Contender[] = [
  {
    name: "omnibus",
    missing: () => false,
    start: async (directory, options) => {
      const server = await startOmnibus(directory, options);
      return { ...server, port: server.natsPort, url: server.natsUrl };
    },
  },
  { name: "nats-server", missing: missingNatsServer, start: () => startNatsServer() },
];
export const natsServers = CONTENDERS.map(({ name }) => name);

interface NatsShape extends Shape {
  readonly arguments: readonly string[];
  /** Of the rate, at which latencies are measured; 0 for not at all. */
  readonly rateShare: number;
}

const SHAPES: readonly NatsShape[] = [
  {
    name: "publish",
    words: "publish only: nobody subscribes; counted when the server has answered a PING that came after",
    arguments: ["-mode", "publish"],
    rateShare: 0,
  },
  {
    name: "one to one",
    words: "one publisher, one subscriber",
    arguments: ["-mode", "deliver"],
    rateShare: 1,
  },
  {
    name: "one to four",
    words: "one publisher, four subscribers; what all of them get is counted",
    arguments: ["-mode", "deliver", "-subscribers", "4"],
    rateShare: 0.25,
  },
  {
    name: "request",
    words: "requests and their answers, 64 on their way at full speed",
    arguments: ["-mode", "request"],
    rateShare: 0.2,
  },
];

/** What the client prints: see `clients/nats`. */
interface Answer {
  readonly messages: number;
  readonly perSecond: number;
  readonly cpuSeconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

interface Measured {
  readonly messagesPerSecond: number;
  /** Of the server's processor time, all its threads together, at full speed. */
  readonly serverCpuNanos: number;
  /** Of the server's processor time, at the fixed rate. */
  readonly pacedCpuNanos: number;
  /** At the fixed rate. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** With `json`, prints `{"rate":0,"rows":[...]}`. */
export async function benchNats(options: RoundsOptions): Promise<void> {
  const { rate, json } = options;
  const contenders = chosen(CONTENDERS, options.servers);
  const program = buildClient("nats");
  const rows = await measureInTurns(contenders, SHAPES, options, (server, shape, bodyBytes) =>
    measure(program, server, shape, bodyBytes, options),
  );
  const text = json
    ? JSON.stringify({ rate, rows })
    : report(SHAPES, rows, (shape) => columns(pacedRate(shape, rate)));
  process.stdout.write(`${text}\n`);
}

async function measure(
  program: string,
  { port, pid }: RunningServer,
  shape: NatsShape,
  bodyBytes: number,
  { seconds, warmUpSeconds, rate }: RoundsOptions,
): Promise<Measured> {
  const common = [
    ...shape.arguments,
    ...["-address", `127.0.0.1:${port}`],
    ...["-pid", String(pid)],
    ...["-size", String(bodyBytes)],
    ...["-warm-up", `${warmUpSeconds}s`],
    ...["-duration", `${seconds}s`],
  ];
  const full = await askClient<Answer>(program, common);
  const paced =
    shape.rateShare === 0
      ? undefined
      : await askClient<Answer>(program, [...common, "-rate", String(pacedRate(shape, rate))]);
  return {
    messagesPerSecond: full.perSecond,
    serverCpuNanos: nanosOf(full),
    pacedCpuNanos: paced === undefined ? 0 : nanosOf(paced),
    p50Micros: paced?.p50Us ?? 0,
    p99Micros: paced?.p99Us ?? 0,
  };
}

function pacedRate({ rateShare }: NatsShape, rate: number): number {
  return Math.round(rate * rateShare);
}

function nanosOf({ cpuSeconds, messages }: Answer): number {
  return (1e9 * cpuSeconds) / Math.max(1, messages);
}

/** Those of latencies are left out when there is no rate to measure them at. */
function columns(rate: number): Columns<Measured> {
  const full: Columns<Measured> = {
    numbers: { "CPU ns/message": (row) => row.serverCpuNanos.toFixed(0) },
    ratios: { "CPU ÷": (ours, other) => other.serverCpuNanos / ours.serverCpuNanos },
  };
  if (rate === 0) return full;
  return {
    numbers: {
      ...full.numbers,
      [`p50 µs at ${rate}/s`]: (row) => row.p50Micros.toFixed(0),
      "p99 µs": (row) => row.p99Micros.toFixed(0),
      "CPU ns then": (row) => row.pacedCpuNanos.toFixed(0),
    },
    ratios: { ...full.ratios, "p99 ÷": (ours, other) => other.p99Micros / ours.p99Micros },
  };
}
