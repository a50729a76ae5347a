// The folder in which a benchmark works: gone when it ends, however it ends.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { endProcesses } from "./ask-process.js";

/** The exit code of a program that Ctrl-C ended. */
const ENDED = 130;

/** Runs `action` with a fresh folder below `parent`. Ctrl-C ends the processes that were asked something first. */
export async function inWorkDirectory<Result>(
  parent: string,
  action: (directory: string) => Promise<Result>,
): Promise<Result> {
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, "run-"));
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  const end = async () => {
    await endProcesses();
    process.exit(ENDED);
  };
  process.once("exit", remove);
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
  try {
    return await action(directory);
  } finally {
    remove();
    process.removeListener("exit", remove);
    process.removeListener("SIGINT", end);
    process.removeListener("SIGTERM", end);
  }
}
