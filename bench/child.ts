// Child processes of benchmarks and tests: how they are ended, and that none outlives the process that started it.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Has the child end when this process exits. A signal that nobody handles is no exit. */
export function endWithUs<Child extends ChildProcess>(child: Child): Child {
  const kill = () => child.kill("SIGKILL");
  // Before listeners that remove the folder in which it works.
  process.prependOnceListener("exit", kill);
  child.once("close", () => process.removeListener("exit", kill));
  return child;
}

/** Asks the child to end, and makes it end when it has not after `patienceMs`. Resolves when it has ended. */
export async function endChild(child: ChildProcess, patienceMs: number): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), patienceMs);
  await exited;
  clearTimeout(force);
}
