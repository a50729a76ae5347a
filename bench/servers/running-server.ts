// A server in a child process: how it is started, and what whoever started it can do with it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { endChild, endWithUs } from "../child.js";

const START_MS = 60_000;
const STOP_MS = 20_000;
/** Of what a server said that did not start. */
const LINES_SHOWN = 20;

interface Start {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly port: number;
  readonly url: string;
  /** Where it says that it is ready. What it says on the other one goes to our own standard error. */
  readonly output: "stdout" | "stderr";
  readonly ready: RegExp;
}

export interface RunningServer {
  /** On the loopback interface. */
  readonly port: number;
  readonly url: string;
  /** Of the process that does the work. */
  readonly pid: number;
  /** Asks it to end, and makes it end when it does not. */
  stop(): Promise<void>;
  /** Ends it as a power cut would, for the process: no handler runs. */
  kill(): Promise<void>;
}

/** Resolves when it is ready. The caller stops it; it ends with this process as well. */
export async function startServer({
  command,
  port,
  url,
  output,
  ready,
  ...start
}: Start): Promise<RunningServer> {
  const child = endWithUs(
    spawn(command, start.arguments, {
      stdio: ["ignore", output === "stdout" ? "pipe" : 2, output === "stderr" ? "pipe" : 2],
      env: start.environment ?? process.env,
    }),
  );
  try {
    await untilReady(child, command, ready);
  } catch (error) {
    await endChild(child, STOP_MS);
    throw error;
  }
  const kill = async (): Promise<void> => {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return { port, url, pid: child.pid!, stop: () => endChild(child, STOP_MS), kill };
}

/** Resolves when a line of the output says so; the rest of the output is read and dropped. */
async function untilReady(child: ChildProcess, command: string, ready: RegExp): Promise<void> {
  const said: string[] = [];
  let late: NodeJS.Timeout | undefined;
  const isReady = new Promise<void>((resolve, reject) => {
    const fail = (reason: string) => reject(new Error([`${command} ${reason}:`, ...said].join("\n")));
    createInterface({ input: (child.stdout ?? child.stderr)! }).on("line", (line) => {
      if (said.push(line) > LINES_SHOWN) said.shift();
      if (ready.test(line)) resolve();
    });
    child.once("error", reject);
    child.once("close", () => fail("ended before it was ready"));
    late = setTimeout(() => fail(`was not ready after ${START_MS / 1000} s`), START_MS);
  });
  await isReady.finally(() => clearTimeout(late));
}
