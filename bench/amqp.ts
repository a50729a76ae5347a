// `bench amqp`: Omnibus beside RabbitMQ, both driven by the same client program, in one run.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import picocolors from "picocolors";
import { askClient, buildClient } from "./go-client.js";
import { OmnibusServer } from "./omnibus-server.js";
import { RabbitmqServer, requireRabbitmq } from "./rabbitmq-server.js";
import { inWorkDirectory } from "./work-directory.js";

export const amqpServers = ["omnibus", "rabbitmq"] as const;
type ServerName = (typeof amqpServers)[number];

export interface AmqpOptions {
  readonly servers: readonly string[];
  readonly sizes: readonly number[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  /** Queues, each with a publisher and a consumer. */
  readonly pairs: number;
  /** Messages a second at which latencies are measured. */
  readonly rate: number;
  readonly directory: string;
  /** Where Node puts a profile of our server; undefined for none. */
  readonly profile: string | undefined;
  readonly json: boolean;
}

const KINDS = ["transient", "persistent"] as const;
type Kind = (typeof KINDS)[number];

/** What the client prints: see `clients/amqp`. */
interface Measured {
  readonly messagesPerSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly serverCpuMicrosPerMessage: number;
  readonly clientCpuMicrosPerMessage: number;
}

/** A row as `--json` prints it. */
interface AmqpRow {
  readonly server: ServerName;
  readonly kind: Kind;
  readonly bodyBytes: number;
  readonly messagesPerSecond: number;
  /** Of the server's processor time, all its threads together, at full speed. */
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
  /** At the fixed rate, from when a message was due to be sent to when it came. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

interface RunningServer {
  readonly name: ServerName;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

const DURABLE: Readonly<Record<Kind, string>> = {
  transient: "queues that are not durable, transient messages, no confirms, no acknowledgements",
  persistent:
    "durable queues, persistent messages, each confirmed and each acknowledged; both servers confirm what they have synced",
};

const colors = picocolors.createColors(process.stdout.isTTY === true && picocolors.isColorSupported);

/** With `json`, prints `{"pairs":1,"rate":0,"rows":[...]}`. */
export async function benchAmqp(options: AmqpOptions): Promise<void> {
  if (options.servers.includes("rabbitmq")) requireRabbitmq();
  const program = buildClient("amqp");
  const rows = await inWorkDirectory(options.directory, async (directory) => {
    const servers: RunningServer[] = [];
    try {
      for (const name of options.servers) servers.push(await start(name as ServerName, directory, options));
      return await measureAll(program, servers, options);
    } finally {
      for (const server of servers) await server.stop();
    }
  });
  const { pairs, rate, json } = options;
  process.stdout.write(`${json ? JSON.stringify({ pairs, rate, rows }) : report(options, rows)}\n`);
}

async function start(name: ServerName, parent: string, { profile }: AmqpOptions): Promise<RunningServer> {
  const directory = join(parent, name);
  mkdirSync(directory);
  if (name === "rabbitmq") return namedServer(name, await RabbitmqServer.start(directory));
  const server = await OmnibusServer.start(
    directory,
    profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`],
  );
  return { name, port: server.ports.amqp, pid: server.pid, stop: () => server.stop() };
}

function namedServer(name: ServerName, server: RabbitmqServer): RunningServer {
  return { name, port: server.port, pid: server.pid, stop: () => server.stop() };
}

/** The servers take turns, so that what else the machine does meets both. */
async function measureAll(
  program: string,
  servers: readonly RunningServer[],
  options: AmqpOptions,
): Promise<AmqpRow[]> {
  const rows: AmqpRow[] = [];
  for (const kind of KINDS)
    for (const bodyBytes of options.sizes) {
      const rounds: AmqpRow[][] = servers.map(() => []);
      for (let round = 0; round < options.rounds; round += 1)
        for (const [index, server] of servers.entries())
          rounds[index]!.push(await measure(program, server, kind, bodyBytes, options));
      for (const measured of rounds) rows.push(medianOf(measured));
    }
  return rows;
}

async function measure(
  program: string,
  { name, port, pid }: RunningServer,
  kind: Kind,
  bodyBytes: number,
  { seconds, warmUpSeconds, pairs, rate }: AmqpOptions,
): Promise<AmqpRow> {
  process.stderr.write(`${kind}, ${bodyBytes} bytes, ${name} ... `);
  const common = [
    ["-url", `amqp://guest:guest@127.0.0.1:${port}/`],
    ["-server-pid", String(pid)],
    ["-size", String(bodyBytes)],
    ["-pairs", String(pairs)],
    ["-warm-up", `${warmUpSeconds}s`],
    ["-measured", `${seconds}s`],
    ...(kind === "persistent" ? [["-persistent"]] : []),
  ].flat();
  const full = await askClient<Measured>(program, common);
  const paced = await askClient<Measured>(program, [...common, "-rate", String(rate)]);
  process.stderr.write(`${Math.round(full.messagesPerSecond)}/s\n`);
  return {
    server: name,
    kind,
    bodyBytes,
    messagesPerSecond: full.messagesPerSecond,
    serverCpuMicros: full.serverCpuMicrosPerMessage,
    clientCpuMicros: full.clientCpuMicrosPerMessage,
    p50Micros: paced.p50Micros,
    p99Micros: paced.p99Micros,
  };
}

/** The round with the median throughput. */
function medianOf(rounds: readonly AmqpRow[]): AmqpRow {
  const sorted = rounds.toSorted((a, b) => a.messagesPerSecond - b.messagesPerSecond);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function report({ pairs, rate }: AmqpOptions, rows: readonly AmqpRow[]): string {
  const queues = pairs === 1 ? "One queue" : `${pairs} queues`;
  const sections = KINDS.map((kind) => {
    const mine = rows.filter((row) => row.kind === kind);
    return `${colors.bold(kind)}: ${DURABLE[kind]}\n${table(mine, rate)}`;
  });
  return [`${queues}, a publisher and a consumer for each, on connections of their own.`, ...sections].join(
    "\n\n",
  );
}

function table(rows: readonly AmqpRow[], rate: number): string {
  const head = [
    "bytes",
    "server",
    "messages/s",
    "CPU µs/message",
    "client's",
    `p50 ms at ${rate}/s`,
    "p99 ms",
    "messages/s ×",
    "CPU ÷",
    "p99 ÷",
  ];
  const grid = new Table({
    head: head.map((title) => colors.dim(title)),
    colAligns: head.map((_title, column) => (column === 1 ? "left" : "right")),
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const row of rows) grid.push([...cells(row), ...ratios(row, rows)]);
  return grid.toString();
}

function cells(row: AmqpRow): string[] {
  return [
    String(row.bodyBytes),
    row.server === "omnibus" ? colors.bold(row.server) : row.server,
    Math.round(row.messagesPerSecond).toLocaleString("en-US"),
    row.serverCpuMicros.toFixed(1),
    row.clientCpuMicros.toFixed(1),
    (row.p50Micros / 1000).toFixed(2),
    (row.p99Micros / 1000).toFixed(2),
  ];
}

/** How many times the other server Omnibus is: more messages, less of the rest. */
function ratios(row: AmqpRow, rows: readonly AmqpRow[]): string[] {
  const other = rows.find(({ server, bodyBytes }) => server !== row.server && bodyBytes === row.bodyBytes);
  if (row.server !== "omnibus" || other === undefined) return ["", "", ""];
  return [
    ratio(row.messagesPerSecond / other.messagesPerSecond),
    ratio(other.serverCpuMicros / row.serverCpuMicros),
    ratio(other.p99Micros / row.p99Micros),
  ];
}

function ratio(value: number): string {
  const text = `${value.toFixed(value < 10 ? 1 : 0)} x`;
  return value >= 1 ? colors.green(text) : colors.red(text);
}
