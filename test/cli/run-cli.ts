// Runs the real command as its users do: in a process of its own, on a directory of its own.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** Standard input; without it, it is empty. */
  readonly input?: string | Buffer;
  /** Leaves standard input open after `input`. */
  readonly keepsOpen?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The largest file that the command may write, in the blocks of `ulimit -f`. */
  readonly fileBlocksMax?: number;
}

/** A folder that is removed after the test. */
export async function scratch(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "omnibus-cli-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Starts a command line; its environment says nothing of where the tests run. */
export function startCli(args: readonly string[], options: CliOptions = {}): ChildProcessWithoutNullStreams {
  const { PATH, HOME, TMPDIR, SystemRoot } = process.env;
  const base = Object.entries({ PATH, HOME, TMPDIR, SystemRoot }).filter(([, value]) => value !== undefined);
  const limit = options.fileBlocksMax;
  const command = [process.execPath, MAIN, ...args];
  const limited = ["/bin/sh", "-c", `ulimit -f ${limit} && exec "$@"`, "sh", ...command];
  const [program = "", ...parameters] = limit === undefined ? command : limited;
  const child = spawn(program, parameters, {
    cwd: options.cwd ?? tmpdir(),
    env: { ...Object.fromEntries(base), ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {});
  if (options.keepsOpen === true) child.stdin.write(options.input ?? "");
  else child.stdin.end(options.input ?? "");
  return child;
}

/** Waits for the end of a command. */
export function finish(child: ChildProcessWithoutNullStreams): Promise<CliResult> {
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

export function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return finish(startCli(args, options));
}

/** The JSON Lines that a command printed. */
export function jsonLines<T = Record<string, unknown>>(text: string): T[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
