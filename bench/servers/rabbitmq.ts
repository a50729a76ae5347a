// A RabbitMQ node: from the system's package, on free loopback ports, with its data, its cookie and its port mapper of its
// own. Everything else is as it comes.

import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endChild, endWithUs } from "../child.js";
import { freePort } from "./free-port.js";
import { type RunningServer, startServer } from "./running-server.js";

/** What the command on the path runs once it has changed the user. */
const PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const MAPPER_STOP_MS = 1_000;

/** What to do about it when there is none, or false. */
export function missingRabbitMq(): string | false {
  return (
    !existsSync(PROGRAM) &&
    "RabbitMQ was not found. Install it (Debian and Ubuntu: apt-get install rabbitmq-server)"
  );
}

/** `directory` is empty, and the node's alone. */
export async function startRabbitMq(directory: string): Promise<RunningServer> {
  const [port, distributionPort, mapperPort] = [await freePort(), await freePort(), await freePort()];
  const environment = environmentOf(directory, port, distributionPort, mapperPort);
  const mapper = endWithUs(spawn("epmd", { stdio: "ignore", env: environment }));
  const endMapper = () => endChild(mapper, MAPPER_STOP_MS);
  try {
    const node = await startServer({
      command: PROGRAM,
      arguments: [],
      environment,
      port,
      url: `amqp://guest:guest@127.0.0.1:${port}`,
      output: "stdout",
      ready: /Server startup complete/,
    });
    const stop = async (): Promise<void> => {
      await node.stop();
      await endMapper();
    };
    return { ...node, stop };
  } catch (error) {
    await endMapper();
    throw error;
  }
}

function environmentOf(
  directory: string,
  port: number,
  distributionPort: number,
  mapperPort: number,
): NodeJS.ProcessEnv {
  writeFileSync(join(directory, "enabled_plugins"), "[].\n");
  const { PATH, LANG } = process.env;
  return {
    PATH,
    LANG,
    HOME: directory,
    // Has the script become the node, which is then our child.
    RUNNING_UNDER_SYSTEMD: "true",
    ERL_EPMD_PORT: String(mapperPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `omnibus-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(directory, "data"),
    RABBITMQ_LOG_BASE: join(directory, "log"),
    RABBITMQ_LOGS: "-",
    RABBITMQ_CONFIG_FILE: join(directory, "none"),
    RABBITMQ_CONF_ENV_FILE: join(directory, "none"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
    RABBITMQ_PID_FILE: join(directory, "pid"),
  };
}
