// One process at a time owns a data directory. Node has no file locks, so who owns it is written into a file that is
// made whole in one step.

import { BrokerError } from "../broker-error.js";
import type { Io, ProcessIdentity } from "../io/io.js";
import { isMissing, systemCode } from "./storage-errors.js";
import { removeIfThere, TEMPORARY_SUFFIX, writeFileWhole, writeFully } from "./write-file.js";

/**
 * `lock.<n>` holds the identity of a process as JSON, or `{"released":true}`. The highest `n` counts. It is taken by
 * making `n + 1`, which only one process can, and is never removed while it is the highest: otherwise a slow
 * process could make a number again that was taken and given back meanwhile.
 */
const NAME = /^lock\.(\d{1,15})$/;

export class DataDirectoryLock {
  private readonly io: Io;
  private readonly path: string;

  private constructor(io: Io, path: string) {
    this.io = io;
    this.path = path;
  }

  /** Takes the lock. DATA_DIRECTORY_LOCKED names the process that has it. */
  static async acquire(io: Io, directory: string): Promise<DataDirectoryLock> {
    for (;;) {
      const highest = (await numbersIn(io, directory)).at(-1);
      if (highest !== undefined) await requireFree(io, directory, highest);
      const next = (highest ?? 0) + 1;
      if (!(await make(io, directory, next))) continue;
      const numbers = await numbersIn(io, directory);
      if (numbers.at(-1) !== next) continue;
      for (const number of numbers)
        if (number < next) await removeIfThere(io.files, `${directory}/lock.${number}`);
      return new DataDirectoryLock(io, `${directory}/lock.${next}`);
    }
  }

  /** Lets the next process have it without asking whether this one runs. A full disk does not hinder that. */
  async release(): Promise<void> {
    const { files } = this.io;
    try {
      await writeFileWhole(files, this.path, Buffer.from('{"released":true}\n'));
    } catch {
      const file = await files.open(this.path, "write");
      await file.truncate(0).finally(() => file.close());
    }
  }
}

async function numbersIn(io: Io, directory: string): Promise<number[]> {
  const numbers: number[] = [];
  for (const name of await io.files.list(directory)) {
    const match = NAME.exec(name);
    if (match !== null) numbers.push(Number(match[1]));
  }
  return numbers.sort((a, b) => a - b);
}

async function requireFree(io: Io, directory: string, number: number): Promise<void> {
  const path = `${directory}/lock.${number}`;
  const holder = await readHolder(io, path);
  if (holder === undefined || !io.processes.isRunning(holder)) return;
  const { pid, command, host, startedAt } = holder;
  const isElsewhere = host !== io.processes.current.host;
  const advice = isElsewhere
    ? `It cannot be seen from here whether that process still runs; if you are sure that it does not, remove ${path}.`
    : "Stop that process, or open the directory for reading only.";
  throw new BrokerError(
    "DATA_DIRECTORY_LOCKED",
    `The data directory ${directory} is in use by process ${pid} on ${host} (${command}). ${advice}`,
    { directory, pid, command, host, startedAt, path },
  );
}

/** Who holds the lock; undefined when nobody does, or what is written cannot be read. */
async function readHolder(io: Io, path: string): Promise<ProcessIdentity | undefined> {
  let text: string;
  try {
    text = (await io.files.readFile(path)).toString();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const { pid, startedAt, host, command } = JSON.parse(text);
    const isIdentity = typeof pid === "number" && typeof startedAt === "string" && typeof host === "string";
    return isIdentity ? { pid, startedAt, host, command: String(command) } : undefined;
  } catch {
    return undefined;
  }
}

/** Makes the lock file of that number, whole, unless it is there. */
async function make(io: Io, directory: string, number: number): Promise<boolean> {
  const { files, random, processes } = io;
  const unique = `${processes.current.pid}-${random.uint32().toString(16)}`;
  const temporary = `${directory}/lock-${unique}${TEMPORARY_SUFFIX}`;
  const file = await files.open(temporary, "create");
  try {
    const identity = Buffer.from(`${JSON.stringify(processes.current)}\n`);
    await writeFully(file, identity, 0).finally(() => file.close());
    await files.link(temporary, `${directory}/lock.${number}`);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    await files.remove(temporary);
  }
}
