// A nats-server for the benchmark: from the system's package, on a free loopback port, as it comes.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { freePort } from "./free-port.js";

const START_MS = 10_000;
const STOP_MS = 5_000;
const HOW_TO_INSTALL =
  "nats-server was not found. Install it (Debian and Ubuntu: apt-get install nats-server; macOS: brew install nats-server), or leave it out with --servers omnibus";

/** Throws what to do about it when there is no nats-server. */
export function requireNatsServer(): string {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"];
  const found = folders.map((folder) => join(folder, "nats-server")).find((path) => existsSync(path));
  if (found === undefined) throw new Error(HOW_TO_INSTALL);
  return found;
}

export class NatsServer {
  readonly port: number;
  readonly pid: number;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.pid = child.pid!;
    this.#process = child;
  }

  /** Resolves when it takes connections. The caller stops it. */
  static async start(): Promise<NatsServer> {
    const port = await freePort();
    const child = spawn(requireNatsServer(), ["--addr", "127.0.0.1", "--port", String(port)], {
      stdio: "ignore",
    });
    const endWithUs = () => child.kill("SIGKILL");
    process.once("exit", endWithUs);
    child.once("exit", () => process.removeListener("exit", endWithUs));
    const untilMs = performance.now() + START_MS;
    while (!(await takesConnections(port))) {
      if (child.exitCode !== null) throw new Error(`nats-server ended at once with code ${child.exitCode}`);
      if (performance.now() > untilMs)
        throw new Error(`nats-server was not ready after ${START_MS / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return new NatsServer(port, child);
  }

  /** Asks it to end, and makes it end when it does not. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    const force = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    await exited;
    clearTimeout(force);
  }
}

async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
