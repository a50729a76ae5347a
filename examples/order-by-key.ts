// Lanes: messages with one key are handled one at a time and in order, while other keys go on beside them, even when
// one of them fails and is tried again.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { event, openBus } from "omnibus";

interface Movement {
  readonly account: string;
  readonly number: number;
}

const Moved = event<Movement>("account.moved", { key: (movement) => movement.account });
const accounts = ["alice", "bob", "carol"];
const handled = new Map<string, number[]>(accounts.map((account) => [account, []]));
let atOnce = 0;
let mostAtOnce = 0;

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-lanes-")));
const handling = bus.on(
  Moved,
  { group: "balances", orderBy: "key", onRetry: "block", concurrency: 8, retry: { delay: "5ms" } },
  async ({ account, number }, ctx) => {
    atOnce += 1;
    mostAtOnce = Math.max(mostAtOnce, atOnce);
    await sleep(Math.random() * 4);
    atOnce -= 1;
    if (account === "bob" && number === 3 && ctx.attempt === 1) throw new Error("bob's bank is closed");
    handled.get(account)?.push(number);
  },
);
await handling.ready;

const movements = Array.from({ length: 20 }, (_, number) =>
  accounts.map((account) => ({ account, number })),
).flat();
await bus.publishMany(Moved, movements);
while ([...handled.values()].flat().length < movements.length) await sleep(10);

for (const [account, numbers] of handled) console.log(`${account}: ${numbers.join(" ")}`);
console.log(`up to ${mostAtOnce} accounts at once`);
const inOrder = Array.from({ length: 20 }, (_, number) => number);
for (const numbers of handled.values()) assert.deepEqual(numbers, inOrder);
assert.ok(mostAtOnce > 1 && mostAtOnce <= accounts.length);
await bus.close();
