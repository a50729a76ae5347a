// A nats-server: from the system's package, on a free loopback port, as it comes.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { freePort } from "./free-port.js";
import { type RunningServer, startServer } from "./running-server.js";

/** What to do about it when there is none, or false. */
export function missingNatsServer(): string | false {
  return (
    program() === undefined &&
    "nats-server was not found. Install it (Debian and Ubuntu: apt-get install nats-server; macOS: brew install nats-server)"
  );
}

/** `options` as on its command line. */
export async function startNatsServer(...options: string[]): Promise<RunningServer> {
  const port = await freePort();
  return await startServer({
    command: program() ?? "nats-server",
    arguments: ["--addr", "127.0.0.1", "--port", String(port), ...options],
    port,
    url: `nats://127.0.0.1:${port}`,
    output: "stderr",
    ready: /Server is ready/,
  });
}

/** Debian installs it where a user's path does not look. */
function program(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"];
  return folders.map((folder) => join(folder, "nats-server")).find((path) => existsSync(path));
}
