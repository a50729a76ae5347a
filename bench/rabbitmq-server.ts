// A RabbitMQ node for the benchmark: from the system's package, on free loopback ports, with its data, its cookie and its
// port mapper of its own. Everything else is as it comes.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "./free-port.js";

const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_MS = 60_000;
const STOP_MS = 20_000;
const HOW_TO_INSTALL =
  "RabbitMQ was not found. Install it (Debian and Ubuntu: apt-get install rabbitmq-server), or leave it out with --servers omnibus";

/** Throws what to do about it when there is no RabbitMQ. */
export function requireRabbitmq(): void {
  if (!existsSync(SERVER)) throw new Error(HOW_TO_INSTALL);
}

export class RabbitmqServer {
  readonly port: number;
  readonly #directory: string;
  readonly #node: ChildProcess;
  readonly #mapper: ChildProcess;

  private constructor(port: number, directory: string, node: ChildProcess, mapper: ChildProcess) {
    this.port = port;
    this.#directory = directory;
    this.#node = node;
    this.#mapper = mapper;
  }

  /** Resolves when the node takes connections. The caller stops it. */
  static async start(directory: string): Promise<RabbitmqServer> {
    const [port, distributionPort, mapperPort] = [await freePort(), await freePort(), await freePort()];
    const mapper = ended(spawn("epmd", ["-port", String(mapperPort)], { stdio: "ignore" }));
    const node = ended(
      spawn(SERVER, [], {
        stdio: "ignore",
        env: environment(directory, port, distributionPort, mapperPort),
      }),
    );
    const server = new RabbitmqServer(port, directory, node, mapper);
    try {
      await untilReady(node, port);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Of the process that does the work: a script waits for it. */
  get pid(): number {
    return Number(readFileSync(join(this.#directory, "pid"), "utf8"));
  }

  /** Asks the node to end, and makes it end when it does not. */
  async stop(): Promise<void> {
    await stop(this.#node, existsSync(join(this.#directory, "pid")) ? this.pid : undefined);
    await stop(this.#mapper);
  }
}

function environment(
  directory: string,
  port: number,
  distributionPort: number,
  mapperPort: number,
): NodeJS.ProcessEnv {
  const home = join(directory, "home");
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, ".erlang.cookie"), `BENCH${port}`, { mode: 0o600 });
  writeFileSync(join(directory, "enabled_plugins"), "[].\n");
  const { PATH, LANG } = process.env;
  return {
    PATH,
    LANG,
    HOME: home,
    ERL_EPMD_PORT: String(mapperPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(directory, "data"),
    RABBITMQ_LOG_BASE: join(directory, "log"),
    RABBITMQ_CONFIG_FILE: join(directory, "none"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
    RABBITMQ_CONF_ENV_FILE: join(directory, "none"),
    RABBITMQ_PID_FILE: join(directory, "pid"),
  };
}

/** Ends with this process. */
function ended(child: ChildProcess): ChildProcess {
  const endWithUs = () => child.kill("SIGKILL");
  process.once("exit", endWithUs);
  child.once("exit", () => process.removeListener("exit", endWithUs));
  child.once("error", () => undefined);
  return child;
}

/** `worker` is the process to ask, when it is another. */
async function stop(child: ChildProcess, worker = child.pid): Promise<void> {
  if (worker === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  process.kill(worker, "SIGTERM");
  const force = setTimeout(() => {
    process.kill(worker, "SIGKILL");
    child.kill("SIGKILL");
  }, STOP_MS);
  await exited;
  clearTimeout(force);
}

/** Until it answers the beginning of a connection. */
async function untilReady(node: ChildProcess, port: number): Promise<void> {
  const giveUpMs = Date.now() + START_MS;
  while (Date.now() < giveUpMs) {
    if (node.exitCode !== null || node.signalCode !== null) throw new Error("RabbitMQ ended at once");
    if (await answers(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`RabbitMQ was not ready after ${START_MS / 1000} s`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const answer = (isReady: boolean) => {
      resolve(isReady);
      socket.destroy();
    };
    socket.once("connect", () => socket.write(Buffer.from("AMQP\x00\x00\x09\x01", "latin1")));
    socket.once("data", () => answer(true));
    socket.once("error", () => answer(false));
    socket.once("close", () => answer(false));
  });
}
