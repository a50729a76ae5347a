// Asks a fresh process of this program one question, and ends those that have not answered when the program ends.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { endChild } from "./child.js";

const END_MS = 5000;

const running = new Set<ChildProcess>();
let isEnding = false;

/** Sends `request` to a process that runs `module`, and resolves with its one answer when it has ended. */
export async function askProcess<Answer>(
  module: URL,
  request: object,
  execArgv: readonly string[] = [],
): Promise<Answer> {
  if (isEnding) throw new Error("the benchmark was ended");
  // What an engine prints must not get into the report.
  const child = fork(module, { stdio: ["ignore", 2, 2, "ipc"], execArgv: [...execArgv] });
  running.add(child);
  let answer: Answer | undefined;
  child.once("message", (message) => {
    answer = message as Answer;
  });
  child.send(request);
  const [code, signal] = await once(child, "exit");
  running.delete(child);
  if (answer === undefined) throw new Error(`the measuring process ended with ${signal ?? `code ${code}`}`);
  return answer;
}

/** Ends every process that was asked, and what it started. Resolves when they have ended; no other is begun. */
export async function endProcesses(): Promise<void> {
  isEnding = true;
  await Promise.all([...running].map((child) => endChild(child, END_MS)));
}
