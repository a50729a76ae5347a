// `omnibus serve`: the broker for clients of other protocols, in a process of its own.

import { Command } from "commander";
import { type Bus, embedded, isBrokerError, openBus } from "../../index.js";
import type { Configuration, OverrideKey } from "../../server/configuration.js";
import type { JsonLog } from "../../server/json-log.js";
import type { LogFields, ServerLog } from "../../server/log.js";
import type { Server } from "../../server/server.js";
import { announce, announcementJson } from "../announcement.js";
import { type CommonOptions, DATA_DEFAULT } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { withExamples } from "../help.js";
import type { World } from "../world.js";

interface ServeOptions extends CommonOptions {
  readonly config?: string;
  readonly amqp?: string;
  readonly nats?: string;
  readonly natsWebsocket?: string;
  readonly http?: string;
  readonly durability?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

const STANDARD_ERROR = 2;
/** Who else has the standard ports. */
const RIVALS: ReadonlyMap<number, string> = new Map([
  [5672, " (RabbitMQ?)"],
  [4222, " (nats-server?)"],
]);

export function serveCommand(world: World): Command {
  const command = new Command("serve")
    .option("--amqp <host:port>", "where AMQP 0-9-1 is spoken, or off (default: 127.0.0.1:5672)")
    .option("--nats <host:port>", "where NATS is spoken, or off (default: 127.0.0.1:4222)")
    .option("--nats-websocket <host:port>", "where NATS is spoken over WebSocket (default: off)")
    .option("--http <host:port>", "where health and metrics are, or off (default: 127.0.0.1:8222)")
    .option("--config <file>", "the configuration (default: ./omnibus.yaml when it is there)")
    .option(
      "--durability <level>",
      "of what is declared without one: synced, written or memory (default: synced)",
    )
    .option("--log-level <level>", "debug, info, warn or error (default: info)")
    .option("--log-format <format>", "json, text, or auto: text on a terminal (default: auto)")
    .summary("run the broker for clients of RabbitMQ and NATS")
    .description(
      "Opens the data directory and lets clients of AMQP 0-9-1 and NATS work on it, until it is interrupted. Listens on\n" +
        "this machine alone unless it is told otherwise; beyond that it wants users. Flags come before environment\n" +
        "variables (OMNIBUS_AMQP, ...), those before the configuration file. SIGHUP has users, limits and certificates\n" +
        "read again. All of it: docs/server.md",
    );
  withExamples(command, [
    ["omnibus serve", "on ./omnibus-data and the standard ports"],
    ["omnibus serve --data /var/lib/omnibus --amqp 127.0.0.1:5673 --nats off", "another port, and no NATS"],
    ["omnibus serve --config /etc/omnibus/omnibus.yaml", "with users, TLS and limits from a file"],
  ]);
  return command.action(() => serve(world, command));
}

async function serve(world: World, command: Command): Promise<void> {
  const options = command.optsWithGlobals<ServeOptions>();
  const { readConfiguration } = await import("../../server/configuration.js");
  const read = (): Promise<Configuration> =>
    readConfiguration({
      files: world.io.files,
      environment: world.environment,
      file: options.config,
      flags: flagsOf(options, command.parent?.getOptionValueSource("data") === "cli"),
    });
  world.endsByItself = true;
  const configuration = await read();
  const log = await openLog(world, configuration);
  const { data: directory, durability } = configuration;
  const onError = (error: unknown, where: string): void =>
    log.error({ error, where }, "an error nobody waits for");
  const bus = await openBus(embedded({ directory, durability, io: world.io }), { onError });
  try {
    await run(world, options, bus, { configuration, log, read });
  } finally {
    await bus.close();
    log.flush();
  }
}

interface Running {
  readonly configuration: Configuration;
  readonly log: ServerLog;
  readonly read: () => Promise<Configuration>;
}

async function run(world: World, options: ServeOptions, bus: Bus, running: Running): Promise<void> {
  const { configuration, log, read } = running;
  const { openServer } = await import("../../server/open-server.js");
  const { listeners, reloadable, shutdownWaitMs } = configuration;
  const server = await openServer(bus, { ...listeners, ...reloadable, log }).catch((error: unknown) => {
    throw withRemedy(error);
  });
  const announcement = {
    data: configuration.data,
    durability: configuration.durability,
    addresses: server.addresses,
    hasUsers: (reloadable.users ?? []).length > 0,
    program: world.environment["npm_lifecycle_event"] === undefined ? "omnibus" : "npx omnibus",
    dataOption: configuration.data === DATA_DEFAULT ? "" : ` --data ${quoted(configuration.data)}`,
  };
  log.info({ data: configuration.data, file: configuration.file, ...urls(server) }, "the server is open");
  if (options.json === true) await world.json(announcementJson(announcement));
  else await announce(world, announcement);
  let reloading = Promise.resolve();
  world.onHangUp(() => {
    reloading = reloading.then(() => reload(server, read, running));
  });
  await interruption(world.signal);
  log.info({ connections: server.connectionCount, waitMs: shutdownWaitMs }, "the server is being closed");
  await server.close(shutdownWaitMs);
  await bus.close();
  log.info({}, "the bus is closed, and everything is stored");
}

/** Never rejects: what is wrong goes to the log, and the server goes on with what it had. */
async function reload(server: Server, read: Running["read"], { configuration, log }: Running): Promise<void> {
  try {
    const next = await read();
    const cut = server.reload(next.reloadable);
    log.info(
      { file: next.file, users: next.reloadable.users?.length, cut },
      "the configuration was read again",
    );
    for (const key of changedForRestart(configuration, next))
      log.warn({ key }, "this was changed in the configuration as well, and needs a restart");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error({ reason }, "the configuration was not read again, and the one before goes on");
  }
}

/** What a reload leaves as it is, and is not what it was. */
function changedForRestart(before: Configuration, after: Configuration): string[] {
  const keys = ["data", "durability", "listeners", "log", "shutdownWaitMs"] as const;
  const changed: string[] = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  const getsTls = before.reloadable.tls === undefined && after.reloadable.tls !== undefined;
  return getsTls ? [...changed, "tls"] : changed;
}

function flagsOf(options: ServeOptions, hasData: boolean): Partial<Record<OverrideKey, string>> {
  const flags: Partial<Record<OverrideKey, string | undefined>> = {
    data: hasData ? options.data : undefined,
    durability: options.durability,
    "listen.amqp": options.amqp,
    "listen.nats": options.nats,
    "listen.natsWebSocket": options.natsWebsocket,
    "listen.http": options.http,
    "log.level": options.logLevel,
    "log.format": options.logFormat,
  };
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}

async function openLog(world: World, { log }: Configuration): Promise<JsonLog> {
  const isText = log.format === "text" || (log.format === "auto" && world.stderr.isTTY === true);
  if (!isText) return (await import("../../server/json-log.js")).jsonLog(log.level, STANDARD_ERROR);
  const { fieldsText, lineLog } = await import("../../server/log.js");
  const { red, yellow, dim } = world.errorColours;
  const paints = { debug: dim, info: (text: string) => text, warn: yellow, error: red };
  const write = (level: keyof typeof paints, fields: LogFields, text: string): void => {
    const time = new Date(world.io.clock.nowMs()).toISOString().slice(11, 23);
    world.note(`${dim(time)} ${paints[level](level.padEnd(5))} ${text}${dim(fieldsText(fields))}`);
  };
  return { ...lineLog(log.level, write), flush: () => undefined };
}

/** The flag that helps when a port is taken. */
function withRemedy(error: unknown): unknown {
  if (!isBrokerError(error, "LISTEN_FAILED")) return error;
  const { listener, host, port } = error.context;
  const flag = listener === "natsWebSocket" ? "--nats-websocket" : `--${listener}`;
  const rival = RIVALS.get(Number(port)) ?? "";
  const hint = `stop what has the port${rival}, or take another one: \`omnibus serve ${flag} ${host}:${Number(port) + 1}\`, or none: \`${flag} off\``;
  return new CommandFailure(EXIT.tryAgain, error.message, hint, error);
}

function urls(server: Server): LogFields {
  return Object.fromEntries(
    Object.entries(server.addresses).map(([name, { host, port }]) => [name, `${host}:${port}`]),
  );
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function interruption(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
