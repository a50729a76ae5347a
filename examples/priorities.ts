// Urgent messages overtake: a queue with three priorities, filled before anybody works on it.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { command, openBus } from "omnibus";

interface Job {
  readonly name: string;
}

const Convert = command<Job>("convert");
const directory = await mkdtemp(join(tmpdir(), "omnibus-priorities-"));

const first = await openBus(directory);
await first.queue("convert", { priorities: 3 }).declare();
await first.sendMany(Convert, [{ name: "archive 1" }, { name: "archive 2" }]);
await first.send(Convert, { name: "invoice" }, { priority: 1 });
await first.send(Convert, { name: "live picture" }, { priority: 2 });
console.log((await first.queue("convert").statistics()).unsettledByPriority);
await first.close();

// They are on disk, each at its level: another process would find them as this second bus does.
const bus = await openBus(directory);
const done: string[] = [];
bus.handle(Convert, { prefetch: 1 }, async ({ name }) => {
  console.log(name);
  // What comes while others wait does not wait behind them.
  if (done.length === 0) await bus.send(Convert, { name: "second picture" }, { priority: 9 });
  done.push(name);
});
while (done.length < 5) await sleep(10);
assert.deepEqual(done, ["live picture", "second picture", "invoice", "archive 1", "archive 2"]);
await bus.close();
