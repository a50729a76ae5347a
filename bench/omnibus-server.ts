// Omnibus as a server, for a benchmark: see `omnibus-process.ts`.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const STOP_MS = 10_000;
const serverProcess = fileURLToPath(new URL("./omnibus-process.js", import.meta.url));

/** Ports by protocol. */
export interface ServerPorts {
  readonly amqp: number;
  readonly nats: number;
}

export class OmnibusServer {
  readonly ports: ServerPorts;
  readonly pid: number;
  readonly #process: ChildProcess;

  private constructor(ports: ServerPorts, child: ChildProcess) {
    this.ports = ports;
    this.pid = child.pid!;
    this.#process = child;
  }

  /** Resolves when it takes connections. The caller stops it. `execArgv` is for Node, such as `--cpu-prof`. */
  static async start(directory: string, execArgv: readonly string[] = []): Promise<OmnibusServer> {
    const child = fork(serverProcess, [directory], {
      stdio: ["ignore", 2, 2, "ipc"],
      execArgv: [...execArgv],
    });
    const endWithUs = () => child.kill("SIGKILL");
    process.once("exit", endWithUs);
    child.once("exit", () => process.removeListener("exit", endWithUs));
    const answer = await Promise.race([once(child, "message"), once(child, "exit")]);
    if (child.exitCode !== null) throw new Error(`the server ended at once with code ${child.exitCode}`);
    return new OmnibusServer(answer[0] as ServerPorts, child);
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
