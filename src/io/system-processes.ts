// Which process this is, and whether another one that said so once still runs.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import type { Processes, ProcessIdentity } from "./io.js";

const COMMAND_LENGTH_MAX = 200;

class SystemProcesses implements Processes {
  private identity: ProcessIdentity | undefined;

  constructor() {
    this.identity = undefined;
  }

  get current(): ProcessIdentity {
    this.identity ??= {
      pid: process.pid,
      startedAt: startOf(process.pid) ?? "",
      host: os.hostname(),
      command: process.argv.join(" ").slice(0, COMMAND_LENGTH_MAX),
    };
    return this.identity;
  }

  /** A process of another host cannot be seen from here, so it is taken to run. */
  isRunning(identity: ProcessIdentity): boolean {
    if (identity.host !== this.current.host) return true;
    if (!isPresent(identity.pid)) return false;
    const startedAt = startOf(identity.pid);
    return startedAt === undefined || identity.startedAt === "" || startedAt === identity.startedAt;
  }
}

export const systemProcesses: Processes = new SystemProcesses();

function isPresent(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
  return !isZombie(pid);
}

/** A killed process keeps its number until its parent asks for its result, but it runs no more. */
function isZombie(pid: number): boolean {
  const state = statusFields(pid)?.[0];
  return state === "Z" || state === "X";
}

/** Tells this process from a later one with the same number. Undefined when the system does not say. */
function startOf(pid: number): string | undefined {
  const ticks = statusFields(pid)?.[19];
  if (ticks !== undefined) return `${bootId()}/${ticks}`;
  if (process.platform === "win32" || process.platform === "linux") return undefined;
  try {
    const text = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      timeout: 5000,
    });
    return text.trim() === "" ? undefined : text.trim();
  } catch {
    return undefined;
  }
}

/** The fields of /proc/<pid>/stat from the third, `state`, on: the second may hold spaces and parentheses. */
function statusFields(pid: number): string[] | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    return fs.readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "";
  }
}
