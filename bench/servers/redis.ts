// A Redis server: the system's `redis-server`, on a free loopback port, with an append-only file in a directory of its own.

import { spawnSync } from "node:child_process";
import { freePort } from "./free-port.js";
import { type RunningServer, startServer } from "./running-server.js";

export type AppendFsync = "always" | "everysec";

/** What to do about it when there is none, or false. */
export function missingRedis(): string | false {
  return (
    spawnSync("redis-server", ["--version"]).error !== undefined &&
    "redis-server was not found, and BullMQ needs it. Install it (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis)"
  );
}

export async function startRedis(directory: string, appendFsync: AppendFsync): Promise<RunningServer> {
  const port = await freePort();
  return await startServer({
    command: "redis-server",
    arguments: settings(port, directory, appendFsync),
    port,
    url: `redis://127.0.0.1:${port}`,
    output: "stdout",
    ready: /Ready to accept connections/,
  });
}

/** Snapshots and rewrites of the append-only file are off: they would only slow the server down in a short run. */
function settings(port: number, directory: string, appendFsync: AppendFsync): string[] {
  const listen = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no"];
  const durability = ["--appendonly", "yes", "--appendfsync", appendFsync, "--save", ""];
  return [...listen, ...durability, "--auto-aof-rewrite-percentage", "0", "--maxmemory-policy", "noeviction"];
}
