// A Redis server for one row of the benchmark: from the system's `redis-server`, on a free loopback port, with an
// append-only file in the row's own directory.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { freePort } from "./free-port.js";

export type AppendFsync = "always" | "everysec";

const START_MS = 10_000;
const STOP_MS = 5_000;
const HOW_TO_INSTALL =
  "redis-server was not found, and BullMQ needs it. Install it (Debian and Ubuntu: apt-get install redis-server; " +
  "macOS: brew install redis), or leave BullMQ out with --engines omnibus,sqlite";

/** Throws what to do about it when there is no `redis-server` on the path. */
export function requireRedis(): void {
  if (spawnSync("redis-server", ["--version"]).error !== undefined) throw new Error(HOW_TO_INSTALL);
}

export class RedisServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#process = child;
  }

  /** Resolves when the server takes connections. The caller stops it. */
  static async start(directory: string, appendFsync: AppendFsync): Promise<RedisServer> {
    const port = await freePort();
    const child = spawn("redis-server", settings(port, directory, appendFsync), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const endWithUs = () => child.kill("SIGKILL");
    process.once("exit", endWithUs);
    child.once("exit", () => process.removeListener("exit", endWithUs));
    await untilReady(child);
    return new RedisServer(port, child);
  }

  /** Asks the server to end, and makes it end when it does not. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    const force = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    await exited;
    clearTimeout(force);
  }
}

/** Snapshots and rewrites of the append-only file are off: they would only slow the server down in a short run. */
function settings(port: number, directory: string, appendFsync: AppendFsync): string[] {
  const listen = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no"];
  const durability = ["--appendonly", "yes", "--appendfsync", appendFsync, "--save", ""];
  return [...listen, ...durability, "--auto-aof-rewrite-percentage", "0", "--maxmemory-policy", "noeviction"];
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    const give = (reason: string) => {
      child.kill("SIGKILL");
      reject(new Error(`${reason}\n${output}`.trim()));
    };
    const timer = setTimeout(() => give(`redis-server was not ready after ${START_MS / 1000} s`), START_MS);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      give(`redis-server ended at once with code ${code}`);
    });
    child.stdout?.on("data", (chunk: Buffer) => {
      if (output.length < 10_000) output += chunk.toString();
      if (!output.includes("Ready to accept connections")) return;
      clearTimeout(timer);
      resolve();
    });
  });
}
