// A group is paused and resumed, moved back to handle yesterday's events again, and given up at last.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { event, openBus } from "omnibus";

const Reading = event<{ celsius: number }>("reading.taken");

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-replay-")));
let sum = 0;
let count = 0;
let factor = 10; // A bug: it should be 1.
bus.on(Reading, { group: "average" }, ({ celsius }) => {
  sum += celsius * factor;
  count += 1;
});
for (const celsius of [20, 21, 22]) await bus.publish(Reading, { celsius });
while (count < 3) await sleep(5);
console.log(`average ${sum / count}: that is too hot`);

// Stop the group while it is mended. What is published meanwhile waits for it, and for no other group.
const average = bus.topic("reading").group("average");
await average.pause();
await bus.publish(Reading, { celsius: 25 });
console.log(`paused with ${(await average.statistics()).lag} reading to handle`);

factor = 1;
sum = 0;
count = 0;
await average.seek("beginning");
await average.resume();
while (count < 4) await sleep(5);
console.log(`average ${sum / count} after a replay`);
assert.equal(sum / count, 22);

// A queue for one answer, which needs nobody to tidy up after it.
const answer = bus.queue("answers-1", { expiresAfter: "10m", exclusive: true });
await answer.send("42");
const [delivery] = await answer.receiveBatch({ max: 1, wait: "1s" });
console.log(`the answer is ${delivery?.message.text()}`);
await delivery?.ack();

assert.equal(await average.delete(), true);
assert.deepEqual(bus.statistics().topics[0]?.groups, []);
await bus.close();
