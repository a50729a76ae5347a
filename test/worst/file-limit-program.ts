// A process whose files may not grow beyond a limit: the system refuses writes as it does on a full disk. Takes a directory,
// and says as JSON what became of it. Run with a low `ulimit -f`.

import { isBrokerError, openBus } from "../../src/index.js";

/** What a run of the program comes to. */
export interface Limited {
  readonly acknowledged: readonly string[];
  readonly refused: readonly { readonly code: string; readonly message: string }[];
}

const BODY_BYTES = 100_000;
const [directory = ""] = process.argv.slice(2);
const acknowledged: string[] = [];
const refused: { code: string; message: string }[] = [];
const bus = await openBus(directory);

/** Sends until it is refused, and once more: a little may fit where much does not. */
async function fill(queue: string): Promise<void> {
  for (let number = 0; refused.filter(({ message }) => message.includes(queue)).length < 2; number += 1) {
    const id = `${queue} ${number}`;
    try {
      await bus.queue(queue).send(`${id} ${"x".repeat(BODY_BYTES)}`);
      acknowledged.push(id);
    } catch (error) {
      refused.push({ code: isBrokerError(error) ? error.code : "none", message: String(error) });
    }
  }
}

for (const queue of ["first", "second"]) await fill(queue);
await bus.queue("first").send("first little");
acknowledged.push("first little");
await bus.close();
const result: Limited = { acknowledged, refused };
process.stdout.write(JSON.stringify(result));
