// A process that runs out of open files, and gets some back. Takes a directory, and says as JSON what became of it.
// Run with a low `ulimit -n`: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/ulimit.html

import { closeSync, openSync } from "node:fs";
import { isBrokerError, openBus } from "../../src/index.js";

/** What a run of the program comes to. */
export interface Crowded {
  readonly acknowledged: readonly string[];
  readonly refused: readonly { readonly step: string; readonly code: string; readonly message: string }[];
  readonly reported: readonly string[];
}

/** More queues than there are files to open for them. */
const QUEUES = 40;
/** Files that are left to the bus when it is crowded. */
const SPARE_FILES = 20;

const [directory = ""] = process.argv.slice(2);
const acknowledged: string[] = [];
const refused: { step: string; code: string; message: string }[] = [];
const reported: string[] = [];
const hoard: number[] = [];

async function attempt(step: string, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const code = isBrokerError(error) ? error.code : "none";
    refused.push({ step, code, message: String(error) });
  }
}

function takeAllFiles(): void {
  try {
    for (;;) hoard.push(openSync("/dev/null", "r"));
  } catch {
    // There are no more: that is what was wanted.
  }
}

function giveBack(count: number): void {
  for (const descriptor of hoard.splice(0, count)) closeSync(descriptor);
}

takeAllFiles();
await attempt("open", async () => await (await openBus(directory)).close());
giveBack(hoard.length);

const bus = await openBus(directory, {
  onError: (error, where) => reported.push(`${where}: ${String(error)}`),
});

async function sendToAll(step: string): Promise<void> {
  for (let number = 0; number < QUEUES; number += 1) {
    const body = `${number} ${step}`;
    await attempt(step, async () => {
      await bus.queue(`q${number}`).send(body);
      acknowledged.push(body);
    });
  }
}

await bus.queue("q0").declare();
takeAllFiles();
await sendToAll("none left");
giveBack(SPARE_FILES);
await sendToAll("few left");
giveBack(hoard.length);
await sendToAll("many left");
await bus.close();
const result: Crowded = { acknowledged, refused, reported };
process.stdout.write(JSON.stringify(result));
