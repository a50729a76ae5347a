// `omnibus serve` as a user starts it, on free loopback ports and with the data directory that it is given.

import { join } from "node:path";
import { projectRoot } from "../peers.js";
import { freePort } from "./free-port.js";
import { type RunningServer, startServer } from "./running-server.js";

/** `url` and `port` are those of AMQP. */
export interface OmnibusServer extends RunningServer {
  readonly natsPort: number;
  readonly natsUrl: string;
}

export interface OmnibusOptions {
  /** Of Node, such as `--cpu-prof`. */
  readonly node?: readonly string[];
  /** Of `omnibus serve`. */
  readonly serve?: readonly string[];
}

export async function startOmnibus(
  directory: string,
  { node = [], serve = [] }: OmnibusOptions = {},
): Promise<OmnibusServer> {
  const [port, natsPort] = [await freePort(), await freePort()];
  const program = join(projectRoot, "dist/src/cli/main.js");
  const listen = ["--amqp", `127.0.0.1:${port}`, "--nats", `127.0.0.1:${natsPort}`, "--http", "off"];
  const server = await startServer({
    command: process.execPath,
    arguments: [...node, program, "serve", "--data", directory, ...listen, "--log-level", "error", ...serve],
    port,
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    output: "stdout",
    ready: /\bready\b/,
  });
  return { ...server, natsPort, natsUrl: `nats://127.0.0.1:${natsPort}` };
}
