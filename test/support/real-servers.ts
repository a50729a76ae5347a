// The servers whose clients Omnibus serves, started as themselves on free loopback ports, in a folder of their own.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./fetched.js";
import { missingCommands, unavailable } from "./requires.js";

const START_MS = 60_000;
const STOP_MS = 15_000;
/** Of what a server said that did not start. */
const LINES_SHOWN = 20;
/** Debian's own wrapper changes the user; this is what it runs. */
const RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server";

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Why there is no RabbitMQ, or false. */
export function missingRabbitMq(): string | false {
  return !existsSync(RABBITMQ) && unavailable("rabbitmq-server is not installed");
}

/** Why there is no nats-server, or false. */
export function missingNatsServer(): string | false {
  return missingCommands("nats-server");
}

/** A node of its own, with a port mapper of its own that ends with it. */
export async function startRabbitMq(): Promise<RunningServer> {
  const [port, distributionPort, mapperPort] = [await freePort(), await freePort(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), "omnibus-rabbitmq-"));
  writeFileSync(join(folder, "rabbitmq.conf"), "");
  writeFileSync(join(folder, "enabled_plugins"), "[].\n");
  const mapper = spawn("epmd", ["-port", String(mapperPort), "-address", "127.0.0.1"], { stdio: "ignore" });
  const mapperEnded = once(mapper, "exit");
  const stopMapper = async (): Promise<void> => {
    mapper.kill("SIGKILL");
    await mapperEnded;
  };
  const child = spawn(RABBITMQ, [], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: {
      PATH: process.env["PATH"],
      HOME: folder,
      ERL_EPMD_PORT: String(mapperPort),
      RABBITMQ_NODENAME: `omnibus-${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_CONF_ENV_FILE: join(folder, "rabbitmq-env.conf"),
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
      RABBITMQ_MNESIA_BASE: join(folder, "data"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_LOGS: "-",
      RABBITMQ_PID_FILE: join(folder, "pid"),
    },
  });
  try {
    const url = `amqp://guest:guest@127.0.0.1:${port}`;
    const server = await running(child, url, port, folder, /Server startup complete/);
    const stop = async (): Promise<void> => {
      await server.stop();
      await stopMapper();
    };
    return { ...server, stop };
  } catch (error) {
    await stopMapper();
    throw error;
  }
}

/** Extra `options` as on its command line. */
export async function startNatsServer(...options: string[]): Promise<RunningServer> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "omnibus-nats-server-"));
  const listen = ["-a", "127.0.0.1", "-p", String(port)];
  const child = spawn("nats-server", [...listen, ...options], {
    stdio: ["ignore", "inherit", "pipe"],
    detached: true,
  });
  return await running(child, `nats://127.0.0.1:${port}`, port, folder, /Server is ready/);
}

export interface OmnibusServer extends RunningServer {
  readonly natsUrl: string;
  /** Ends it as a power cut would, for the process: no handler runs. The data directory stays. */
  kill(): Promise<void>;
}

/** `omnibus serve` as a user starts it, on a data directory of its own unless one is given; `url` is that of AMQP. */
export async function startOmnibus(options: { readonly data?: string } = {}): Promise<OmnibusServer> {
  const [amqpPort, natsPort] = [await freePort(), await freePort()];
  const own = options.data === undefined ? mkdtempSync(join(tmpdir(), "omnibus-serve-")) : undefined;
  const program = join(root, "dist/src/cli/main.js");
  const listen = ["--amqp", `127.0.0.1:${amqpPort}`, "--nats", `127.0.0.1:${natsPort}`, "--http", "off"];
  const data = options.data ?? own!;
  const child = spawn(process.execPath, [program, "serve", "--data", data, ...listen], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  const url = `amqp://guest:guest@127.0.0.1:${amqpPort}`;
  const server = await running(child, url, amqpPort, own, /\bready\b/);
  const kill = async (): Promise<void> => {
    const ended = once(child, "exit");
    endGroup(child, "SIGKILL");
    await ended;
  };
  return { ...server, natsUrl: `nats://127.0.0.1:${natsPort}`, kill };
}

/** Resolves when a line of the output says so; then the rest of the output is read and dropped. */
async function running(
  child: ChildProcess,
  url: string,
  port: number,
  /** Removed when it has been stopped. */
  folder: string | undefined,
  ready: RegExp,
): Promise<RunningServer> {
  const endWithUs = (): void => void endGroup(child, "SIGKILL");
  process.once("exit", endWithUs);
  const stop = async (): Promise<void> => {
    process.removeListener("exit", endWithUs);
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      endGroup(child, "SIGTERM");
      const force = setTimeout(() => endGroup(child, "SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(force);
    }
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  const said: string[] = [];
  const lines = createInterface({ input: (child.stdout ?? child.stderr)! });
  const isReady = new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not ready in time:\n${said.join("\n")}`)), START_MS);
    lines.on("line", (line) => {
      if (said.push(line) > LINES_SHOWN) said.shift();
      if (!ready.test(line)) return;
      clearTimeout(late);
      resolve();
    });
    child.once("exit", () => {
      clearTimeout(late);
      reject(new Error(`ended while starting:\n${said.join("\n")}`));
    });
  });
  try {
    await isReady;
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, port, pid: child.pid!, stop };
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has ended by itself.
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
