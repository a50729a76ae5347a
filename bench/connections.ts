// `bench connections`: what the server pays for each connection that is idle and for each queue, and how long a confirmed
// publish takes while they are there. Each kind has a server of its own.

import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import amqp, { type ChannelModel, type ConfirmChannel } from "amqplib";
import { type OmnibusServer, startOmnibus } from "./servers/omnibus.js";
import { count, table } from "./table.js";
import { inWorkDirectory } from "./work-directory.js";

export interface ConnectionsOptions {
  /** Connections, or queues. */
  readonly count: number;
  /** Confirmed one after the other, for latencies. */
  readonly publishes: number;
  readonly directory: string;
  readonly json: boolean;
}

interface Latencies {
  readonly p50Micros: number;
  readonly p99Micros: number;
}

interface ConnectionsRow {
  readonly kind: string;
  readonly count: number;
  /** Of the server's resident memory. */
  readonly bytesEach: number;
  readonly madePerSecond: number;
  /** Of a persistent publish to a durable queue until it is confirmed, without the others and with them. */
  readonly alone: Latencies;
  readonly among: Latencies;
}

/** Something that there are many of. */
interface Kind {
  readonly name: string;
  /** Makes one more; what it returns ends it. */
  make(server: OmnibusServer, index: number): Promise<() => unknown>;
}

/** Made at the same time. */
const AT_ONCE = 50;
/** Made before memory is measured: what the first of a kind needs once is not the price of each. */
const WARM_UP = 200;
const SETTLE_MS = 3_000;
const BODY = Buffer.alloc(128, "m");

/** With `json`, prints `{"rows":[...]}`. */
export async function benchConnections({
  count,
  publishes,
  directory,
  json,
}: ConnectionsOptions): Promise<void> {
  const rows = await inWorkDirectory(directory, async (parent) => {
    const measured: ConnectionsRow[] = [];
    for (const [index, kind] of KINDS.entries()) {
      process.stderr.write(`${kind.name} ...\n`);
      measured.push(await measure(join(parent, String(index)), kind, count, publishes));
    }
    return measured;
  });
  process.stdout.write(`${json ? JSON.stringify({ rows }) : report(rows)}\n`);
}

async function measure(
  directory: string,
  kind: Kind,
  count: number,
  publishes: number,
): Promise<ConnectionsRow> {
  mkdirSync(directory);
  const configuration = join(directory, "omnibus.yaml");
  writeFileSync(configuration, "{ limits: { connectionsMax: 1000000 }, shutdown: { wait: 0s } }\n");
  const server = await startOmnibus(join(directory, "data"), { serve: ["--config", configuration] });
  const ends: (() => unknown)[] = [];
  try {
    const probe = await Probe.open(server);
    await makeAll(kind, server, WARM_UP, ends);
    await probe.latencies(publishes);
    const alone = await probe.latencies(publishes);
    await settled();
    const before = residentBytes(server.pid);
    const begunAt = performance.now();
    await makeAll(kind, server, WARM_UP + count, ends);
    const seconds = (performance.now() - begunAt) / 1000;
    await settled();
    const bytesEach = (residentBytes(server.pid) - before) / count;
    const among = await probe.latencies(publishes);
    await probe.close();
    return { kind: kind.name, count, bytesEach, madePerSecond: count / seconds, alone, among };
  } finally {
    await Promise.allSettled(ends.map((end) => end()));
    await server.stop();
  }
}

/** Until there are so many, which `ends` tells. */
async function makeAll(
  kind: Kind,
  server: OmnibusServer,
  total: number,
  ends: (() => unknown)[],
): Promise<void> {
  let next = ends.length;
  const worker = async (): Promise<void> => {
    while (next < total) ends.push(await kind.make(server, next++));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** What was needed to make them is collected, or written. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** As Linux counts it. */
function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

/** A client that publishes one message at a time. */
class Probe {
  readonly #connection: ChannelModel;
  readonly #channel: ConfirmChannel;

  private constructor(connection: ChannelModel, channel: ConfirmChannel) {
    this.#connection = connection;
    this.#channel = channel;
  }

  static async open(server: OmnibusServer): Promise<Probe> {
    const connection = await amqp.connect(urlOf(server));
    connection.on("error", () => undefined);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue("probe", { durable: true });
    return new Probe(connection, channel);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async latencies(publishes: number): Promise<Latencies> {
    const micros: number[] = [];
    for (let sent = 0; sent < publishes; sent += 1) {
      const begunAt = performance.now();
      this.#channel.sendToQueue("probe", BODY, { persistent: true });
      await this.#channel.waitForConfirms();
      micros.push((performance.now() - begunAt) * 1000);
    }
    await this.#channel.purgeQueue("probe");
    micros.sort((a, b) => a - b);
    const at = (share: number): number => micros[Math.floor(share * micros.length)]!;
    return { p50Micros: at(0.5), p99Micros: at(0.99) };
  }
}

function urlOf({ url }: OmnibusServer): string {
  return `${url}?heartbeat=0`;
}

const declaring = new WeakMap<OmnibusServer, Promise<ConfirmChannel>>();

/** One channel that declares all queues. */
function declarer(server: OmnibusServer): Promise<ConfirmChannel> {
  let channel = declaring.get(server);
  if (channel === undefined) {
    channel = amqp.connect(urlOf(server)).then((connection) => {
      connection.on("error", () => undefined);
      return connection.createConfirmChannel();
    });
    declaring.set(server, channel);
  }
  return channel;
}

const KINDS: readonly Kind[] = [
  {
    name: "AMQP connections, each with a channel",
    make: async (server) => {
      const connection = await amqp.connect(urlOf(server));
      connection.on("error", () => undefined);
      await connection.createChannel();
      return () => connection.close();
    },
  },
  {
    name: "NATS connections, each with a subscription",
    make: async ({ natsPort }, index) => {
      const socket = createConnection(natsPort, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(`CONNECT {"verbose":false}\r\nSUB idle.${index} 1\r\nPING\r\n`);
      let seen = "";
      while (!seen.includes("PONG")) seen += String((await once(socket, "data"))[0]);
      return () => socket.destroy();
    },
  },
  {
    name: "durable queues, empty",
    make: async (server, index) => {
      const channel = await declarer(server);
      await channel.assertQueue(`idle-${index}`, { durable: true });
      return () => undefined;
    },
  },
];

function report(rows: readonly ConnectionsRow[]): string {
  const head = ["", "count", "KB each", "made/s", "p50 ms alone", "p99 ms", "p50 ms among them", "p99 ms"];
  const cells = rows.map(({ kind, count: made, bytesEach, madePerSecond, alone, among }) => [
    kind,
    count(made),
    (bytesEach / 1000).toFixed(1),
    count(madePerSecond),
    ...[alone, among].flatMap(({ p50Micros, p99Micros }) =>
      [p50Micros, p99Micros].map((micros) => (micros / 1000).toFixed(2)),
    ),
  ]);
  return `${table(head, cells)}\nA persistent message of ${BODY.length} bytes, published and confirmed, one at a time.`;
}
