// A message can wait for its time, and can become worthless: then it is a dead letter, not silently gone.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { command, openBus } from "omnibus";

interface Reminder {
  readonly text: string;
}

const Remind = command<Reminder>("remind", { key: (reminder) => reminder.text });
const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-delays-")));

const sentAt = Date.now(); // delays are counted by the wall clock
await bus.send(Remind, { text: "later" }, { delay: "200ms" });
await bus.send(Remind, { text: "at a moment" }, { deliverAt: new Date(Date.now() + 100) });
await bus.send(Remind, { text: "soon" });
await bus.send(Remind, { text: "too late" }, { expiresIn: "1ms" });
// Nobody handles reminders yet. The last one expires all the same, although others stand before it.
while ((await bus.queue("remind").statistics()).deadLetters === 0) await sleep(10);

const heard: { text: string; afterMs: number }[] = [];
bus.handle(Remind, ({ text }) => {
  heard.push({ text, afterMs: Date.now() - sentAt });
});
while (heard.length < 3) await sleep(10);

for (const { text, afterMs } of heard) console.log(`${text}: after ${afterMs} ms`);
assert.deepEqual(
  heard.map(({ text }) => text),
  ["soon", "at a moment", "later"],
);
assert.ok(heard[2]!.afterMs >= 200);

const expired: string[] = [];
for await (const letter of bus.deadLetters.list({ reason: "expired" })) {
  expired.push(letter.message.json<Reminder>().text);
  console.log(`expired: ${letter.message.text()}`);
}
assert.deepEqual(expired, ["too late"]);
await bus.close();
