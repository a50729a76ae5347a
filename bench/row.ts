// A row of the report, and how one is measured: in a process of its own, so that no engine runs on the heap and the
// compiled code that another left behind.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { LoadResult } from "./load.js";
import type { Timing } from "./measured-window.js";

/** How many queues at once, and how many messages in flight over all of them. */
export interface Shape {
  readonly queues: number;
  readonly depth: number;
}

/** A row as `--json` prints it. */
export interface Row extends Shape, LoadResult {
  readonly engine: string;
  readonly durable: string;
}

/** What a row's process is asked to do. */
export interface RowRequest {
  readonly engine: string;
  readonly shape: Shape;
  readonly timing: Timing;
  readonly directory: string;
}

/** What it answers. */
export type RowAnswer = { readonly row: Row } | { readonly error: string };

const END_MS = 5000;

const rowProcess = new URL("./row-process.js", import.meta.url);

/** The rows' processes that run, so that the end of the benchmark can end them. */
const running = new Set<ChildProcess>();

/** Measures in a fresh process and a fresh directory below `directory`. Rejects with what the engine failed with. */
export async function measureRow(
  engine: string,
  shape: Shape,
  timing: Timing,
  directory: string,
): Promise<Row> {
  const ownDirectory = mkdtempSync(join(directory, `${engine}-`));
  try {
    const answer = await ask({ engine, shape, timing, directory: ownDirectory });
    if ("error" in answer) throw new Error(answer.error);
    return answer.row;
  } finally {
    rmSync(ownDirectory, { recursive: true, force: true });
  }
}

/** Ends every row that is being measured, and what it started. Resolves when they have ended. */
export async function endRows(): Promise<void> {
  await Promise.all([...running].map((child) => endProcess(child)));
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), END_MS);
  await exited;
  clearTimeout(force);
}

function ask(request: RowRequest): Promise<RowAnswer> {
  return new Promise((resolve, reject) => {
    // What an engine prints must not get into the report.
    const child = fork(rowProcess, { stdio: ["ignore", 2, 2, "ipc"] });
    running.add(child);
    let answer: RowAnswer | undefined;
    child.once("message", (message) => {
      answer = message as RowAnswer;
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      running.delete(child);
      if (answer !== undefined) resolve(answer);
      else reject(new Error(`${request.engine}: its process ended with ${signal ?? `code ${code}`}`));
    });
    child.send(request);
  });
}
