// Messages that are sent again and again: by the clock, whoever runs, and never twice for one time.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { command, openBus } from "omnibus";

const Measure = command<{ sensor: string }>("measure");
const MakeReport = command<{ kind: string }>("report.make");
const directory = await mkdtemp(join(tmpdir(), "omnibus-schedules-"));

let bus = await openBus(directory);
await bus.schedule("measuring", { every: "100ms" }, Measure, { sensor: "roof" }, { missed: "all" });
await bus.schedule("reports", { cron: "0 6 * * 1-5", timeZone: "Europe/Berlin" }, MakeReport, {
  kind: "daily",
});
for (const { name, nextAt } of bus.schedules.list()) console.log(`${name}: next at ${nextAt?.toISOString()}`);
await sleep(250);
await bus.close();
await sleep(250); // nobody has the directory open

bus = await openBus(directory);
const ids: string[] = [];
bus.handle(Measure, (_measure, ctx) => {
  ids.push(ctx.message.id);
});
while (ids.length < 6) await sleep(20);
await bus.schedules.remove("measuring");
await bus.close();

console.log(ids.join("\n"));
const times = ids.map((id) => Date.parse(id.slice("measuring@".length)));
for (const [index, time] of times.slice(1).entries()) assert.equal(time - times[index]!, 100);
