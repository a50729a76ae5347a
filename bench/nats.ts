// `bench nats`: Omnibus beside nats-server, both driven by the same client program, in one run.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import picocolors from "picocolors";
import { askClient, buildClient } from "./go-client.js";
import { NatsServer, requireNatsServer } from "./nats-server.js";
import { OmnibusServer } from "./omnibus-server.js";
import { inWorkDirectory } from "./work-directory.js";

export const natsServers = ["omnibus", "nats-server"] as const;
type ServerName = (typeof natsServers)[number];

export interface NatsBenchOptions {
  readonly servers: readonly string[];
  readonly sizes: readonly number[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  /** Messages a second at which latencies are measured. */
  readonly rate: number;
  readonly directory: string;
  /** Where Node puts a profile of our server; undefined for none. */
  readonly profile: string | undefined;
  readonly json: boolean;
}

/** What is done with messages. */
interface Shape {
  readonly name: string;
  readonly words: string;
  readonly arguments: readonly string[];
  /** Of the rate, at which latencies are measured; 0 for not at all. */
  readonly rateShare: number;
}

const SHAPES: readonly Shape[] = [
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
interface Measured {
  readonly messages: number;
  readonly perSecond: number;
  readonly cpuSeconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** A row as `--json` prints it. */
interface NatsRow {
  readonly server: ServerName;
  readonly shape: string;
  readonly bodyBytes: number;
  readonly messagesPerSecond: number;
  /** Of the server's processor time, all its threads together, at full speed. */
  readonly serverCpuNanos: number;
  /** Of the server's processor time, at the fixed rate. */
  readonly pacedCpuNanos: number;
  /** At the fixed rate. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

interface RunningServer {
  readonly name: ServerName;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

const colors = picocolors.createColors(process.stdout.isTTY === true && picocolors.isColorSupported);

/** With `json`, prints `{"rate":0,"rows":[...]}`. */
export async function benchNats(options: NatsBenchOptions): Promise<void> {
  if (options.servers.includes("nats-server")) requireNatsServer();
  const program = buildClient("nats");
  const rows = await inWorkDirectory(options.directory, async (directory) => {
    const servers: RunningServer[] = [];
    try {
      for (const name of options.servers) servers.push(await start(name as ServerName, directory, options));
      return await measureAll(program, servers, options);
    } finally {
      for (const server of servers) await server.stop();
    }
  });
  const { rate, json } = options;
  process.stdout.write(`${json ? JSON.stringify({ rate, rows }) : report(options, rows)}\n`);
}

async function start(
  name: ServerName,
  parent: string,
  { profile }: NatsBenchOptions,
): Promise<RunningServer> {
  if (name === "nats-server") {
    const server = await NatsServer.start();
    return { name, port: server.port, pid: server.pid, stop: () => server.stop() };
  }
  const directory = join(parent, name);
  mkdirSync(directory);
  const profiling = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  const server = await OmnibusServer.start(directory, profiling);
  return { name, port: server.ports.nats, pid: server.pid, stop: () => server.stop() };
}

/** The servers take turns, so that what else the machine does meets both. */
async function measureAll(
  program: string,
  servers: readonly RunningServer[],
  options: NatsBenchOptions,
): Promise<NatsRow[]> {
  const rows: NatsRow[] = [];
  for (const shape of SHAPES)
    for (const bodyBytes of options.sizes) {
      const rounds: NatsRow[][] = servers.map(() => []);
      for (let round = 0; round < options.rounds; round += 1)
        for (const [index, server] of servers.entries())
          rounds[index]!.push(await measure(program, server, shape, bodyBytes, options));
      for (const measured of rounds) rows.push(medianOf(measured));
    }
  return rows;
}

async function measure(
  program: string,
  { name, port, pid }: RunningServer,
  shape: Shape,
  bodyBytes: number,
  { seconds, warmUpSeconds, rate }: NatsBenchOptions,
): Promise<NatsRow> {
  process.stderr.write(`${shape.name}, ${bodyBytes} bytes, ${name} ... `);
  const common = [
    ...shape.arguments,
    ...["-address", `127.0.0.1:${port}`],
    ...["-pid", String(pid)],
    ...["-size", String(bodyBytes)],
    ...["-warm-up", `${warmUpSeconds}s`],
    ...["-duration", `${seconds}s`],
  ];
  const full = await askClient<Measured>(program, common);
  const pacedRate = String(Math.round(rate * shape.rateShare));
  const paced =
    shape.rateShare === 0 ? undefined : await askClient<Measured>(program, [...common, "-rate", pacedRate]);
  process.stderr.write(`${Math.round(full.perSecond)}/s\n`);
  return {
    server: name,
    shape: shape.name,
    bodyBytes,
    messagesPerSecond: full.perSecond,
    serverCpuNanos: nanosOf(full),
    pacedCpuNanos: paced === undefined ? 0 : nanosOf(paced),
    p50Micros: paced?.p50Us ?? 0,
    p99Micros: paced?.p99Us ?? 0,
  };
}

function nanosOf({ cpuSeconds, messages }: Measured): number {
  return (1e9 * cpuSeconds) / Math.max(1, messages);
}

/** Each number's own median. */
function medianOf(rounds: readonly NatsRow[]): NatsRow {
  const median = (pick: (row: NatsRow) => number): number => {
    const sorted = rounds.map(pick).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  return {
    ...rounds[0]!,
    messagesPerSecond: median((row) => row.messagesPerSecond),
    serverCpuNanos: median((row) => row.serverCpuNanos),
    pacedCpuNanos: median((row) => row.pacedCpuNanos),
    p50Micros: median((row) => row.p50Micros),
    p99Micros: median((row) => row.p99Micros),
  };
}

function report({ rate }: NatsBenchOptions, rows: readonly NatsRow[]): string {
  return SHAPES.map((shape) => {
    const mine = rows.filter((row) => row.shape === shape.name);
    return `${colors.bold(shape.name)}: ${shape.words}\n${table(mine, Math.round(rate * shape.rateShare))}`;
  }).join("\n\n");
}

function table(rows: readonly NatsRow[], rate: number): string {
  const paced = rate === 0 ? [] : [`p50 µs at ${rate}/s`, "p99 µs", "CPU ns then"];
  const head = ["bytes", "server", "messages/s", "CPU ns/message", ...paced, "messages/s ×", "CPU ÷"];
  if (rate > 0) head.push("p99 ÷");
  const grid = new Table({
    head: head.map((title) => colors.dim(title)),
    colAligns: head.map((_title, column) => (column === 1 ? "left" : "right")),
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const row of rows) grid.push([...cells(row, rate > 0), ...ratios(row, rows, rate > 0)]);
  return grid.toString();
}

function cells(row: NatsRow, isPaced: boolean): string[] {
  const paced = [row.p50Micros, row.p99Micros, row.pacedCpuNanos].map((value) => value.toFixed(0));
  return [
    String(row.bodyBytes),
    row.server === "omnibus" ? colors.bold(row.server) : row.server,
    Math.round(row.messagesPerSecond).toLocaleString("en-US"),
    row.serverCpuNanos.toFixed(0),
    ...(isPaced ? paced : []),
  ];
}

/** How many times the other server Omnibus is: more messages, less of the rest. */
function ratios(row: NatsRow, rows: readonly NatsRow[], isPaced: boolean): string[] {
  const other = rows.find(({ server, bodyBytes }) => server !== row.server && bodyBytes === row.bodyBytes);
  if (row.server !== "omnibus" || other === undefined) return isPaced ? ["", "", ""] : ["", ""];
  return [
    ratio(row.messagesPerSecond / other.messagesPerSecond),
    ratio(other.serverCpuNanos / row.serverCpuNanos),
    ...(isPaced ? [ratio(other.p99Micros / row.p99Micros)] : []),
  ];
}

function ratio(value: number): string {
  const text = `${value.toFixed(value < 10 ? 1 : 0)} x`;
  return value >= 1 ? colors.green(text) : colors.red(text);
}
