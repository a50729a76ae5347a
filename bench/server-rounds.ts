// How servers are compared: all of them started for the run, measured in turns, and reported beside each other.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { OmnibusOptions } from "./servers/omnibus.js";
import type { RunningServer } from "./servers/running-server.js";
import { colors, count, ratio, table } from "./table.js";
import { inWorkDirectory } from "./work-directory.js";

const OURS = "omnibus";

export interface RoundsOptions {
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

export interface Contender {
  readonly name: string;
  /** What to do about it when it is not installed, or false. */
  missing(): string | false;
  /** `directory` is empty. The options are for ours. */
  start(directory: string, options: OmnibusOptions): Promise<RunningServer>;
}

/** What is done with messages. */
export interface Shape {
  readonly name: string;
  readonly words: string;
}

interface Numbers {
  readonly messagesPerSecond: number;
}

/** A row as `--json` prints it. */
export type ServerRow<Measured> = Measured & {
  readonly server: string;
  readonly shape: string;
  readonly bodyBytes: number;
};

/** Throws what to do about it when a server is not installed. */
export function chosen(contenders: readonly Contender[], names: readonly string[]): readonly Contender[] {
  const wanted = contenders.filter(({ name }) => names.includes(name));
  for (const contender of wanted) {
    const missing = contender.missing();
    if (missing !== false) throw new Error(`${missing}, or leave it out with --servers ${OURS}`);
  }
  return wanted;
}

/** Each number of a row is its own median over the rounds. */
export async function measureInTurns<OneShape extends Shape, Measured extends Numbers>(
  contenders: readonly Contender[],
  shapes: readonly OneShape[],
  options: RoundsOptions,
  measure: (server: RunningServer, shape: OneShape, bodyBytes: number) => Promise<Measured>,
): Promise<ServerRow<Measured>[]> {
  return await withServers(contenders, options, async (servers) => {
    const rows: ServerRow<Measured>[] = [];
    for (const shape of shapes)
      for (const bodyBytes of options.sizes) {
        const title = `${shape.name}, ${bodyBytes} bytes`;
        const measureOne = (server: RunningServer) => measure(server, shape, bodyBytes);
        const measured = await takeTurns(servers, options.rounds, title, measureOne);
        for (const [server, numbers] of measured)
          rows.push({ server, shape: shape.name, bodyBytes, ...mediansOf(numbers) });
      }
    return rows;
  });
}

/** Round by round, so that what else the machine does meets all servers. */
async function takeTurns<Measured extends Numbers>(
  servers: ReadonlyMap<string, RunningServer>,
  rounds: number,
  title: string,
  measure: (server: RunningServer) => Promise<Measured>,
): Promise<ReadonlyMap<string, readonly Measured[]>> {
  const measured = new Map([...servers.keys()].map((name): [string, Measured[]] => [name, []]));
  for (let round = 0; round < rounds; round += 1)
    for (const [name, server] of servers) {
      process.stderr.write(`${title}, ${name} ... `);
      const numbers = await measure(server);
      process.stderr.write(`${Math.round(numbers.messagesPerSecond)}/s\n`);
      measured.get(name)!.push(numbers);
    }
  return measured;
}

async function withServers<Result>(
  contenders: readonly Contender[],
  { directory: parent, profile }: RoundsOptions,
  action: (servers: ReadonlyMap<string, RunningServer>) => Promise<Result>,
): Promise<Result> {
  const node = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  return await inWorkDirectory(parent, async (work) => {
    const servers = new Map<string, RunningServer>();
    try {
      for (const { name, start } of contenders) {
        const directory = join(work, name);
        mkdirSync(directory);
        servers.set(name, await start(directory, { node }));
      }
      return await action(servers);
    } finally {
      for (const server of servers.values()) await server.stop();
    }
  });
}

function mediansOf<Measured extends object>(rounds: readonly Measured[]): Measured {
  const names = Object.keys(rounds[0]!) as (keyof Measured)[];
  const medianOf = (name: keyof Measured) =>
    rounds.map((round) => Number(round[name])).sort((a, b) => a - b)[rounds.length >> 1];
  return Object.fromEntries(names.map((name) => [name, medianOf(name)])) as Measured;
}

export interface Columns<Measured> {
  /** Beside bytes, server and messages a second. */
  readonly numbers: Readonly<Record<string, (row: Measured) => string>>;
  /** How many times better ours is, beside more messages a second. */
  readonly ratios: Readonly<Record<string, (ours: Measured, other: Measured) => number>>;
}

/** A section for each shape. */
export function report<OneShape extends Shape, Measured extends Numbers>(
  shapes: readonly OneShape[],
  rows: readonly ServerRow<Measured>[],
  columnsOf: (shape: OneShape) => Columns<Measured>,
): string {
  const sections = shapes.map((shape) => {
    const mine = rows.filter((row) => row.shape === shape.name);
    return `${colors.bold(shape.name)}: ${shape.words}\n${section(mine, columnsOf(shape))}`;
  });
  return sections.join("\n\n");
}

function section<Measured extends Numbers>(
  rows: readonly ServerRow<Measured>[],
  { numbers, ratios }: Columns<Measured>,
): string {
  const head = [
    "bytes",
    "server",
    "messages/s",
    ...Object.keys(numbers),
    "messages/s ×",
    ...Object.keys(ratios),
  ];
  const cells = rows.map((row) => {
    const other = rows.find(({ server, bodyBytes }) => server !== row.server && bodyBytes === row.bodyBytes);
    const isOurs = row.server === OURS;
    const compared = [
      (a: Measured, b: Measured) => a.messagesPerSecond / b.messagesPerSecond,
      ...Object.values(ratios),
    ];
    return [
      String(row.bodyBytes),
      isOurs ? colors.bold(row.server) : row.server,
      count(row.messagesPerSecond),
      ...Object.values(numbers).map((text) => text(row)),
      ...compared.map((of) => (isOurs && other !== undefined ? ratio(of(row, other)) : "")),
    ];
  });
  return table(head, cells, (column) => column === 1);
}
