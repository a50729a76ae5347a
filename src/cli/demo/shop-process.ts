// The process of the shop: opens the data directory, serves, and ends when its standard input ends. It is started,
// killed and started again by the demo; see shop-child.ts for the other side.

import { isBrokerError, openBus } from "../../index.js";
import { systemIo } from "../../io/system-io.js";
import type { Report, ShopTask } from "./reports.js";
import { Shop } from "./shop.js";

const task = JSON.parse(process.argv[2] ?? "{}") as ShopTask;
const stop = new AbortController();

// Ctrl-C reaches every process of the terminal. The parent decides what becomes of the shop.
process.on("SIGINT", () => {});
process.stdin.on("end", () => stop.abort());
process.stdin.on("error", () => stop.abort());
process.stdin.resume();
process.stdout.on("error", () => stop.abort());

/** A pipe takes what is written at once, before the next line of this program runs. */
function report(report: Report): void {
  if (!stop.signal.aborted) process.stdout.write(`${JSON.stringify(report)}\n`);
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    if (stop.signal.aborted) resolve();
    else stop.signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

const beganMs = systemIo.clock.monotonicMs();
try {
  const bus = await openBus(task.directory);
  try {
    const shop = new Shop(bus, systemIo.clock, task, report, stop.signal);
    await shop.run(systemIo.clock.monotonicMs() - beganMs);
    await stopped();
  } finally {
    await bus.close();
  }
  process.exit(0);
} catch (error) {
  const code = isBrokerError(error) ? error.code : undefined;
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  report({ kind: "broken", code, message, stack });
  process.exit(1);
}
