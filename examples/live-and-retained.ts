// A dashboard: it begins with the last value of every sensor, sees what is published from then on, and cursors that are
// stored nowhere.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { event, openBus } from "omnibus";

const Kitchen = event<number>("sensor.kitchen.temperature");
const Cellar = event<number>("sensor.cellar.temperature");
const CursorMoved = event<{ x: number; y: number }>("cursor.moved");

const directory = await mkdtemp(join(tmpdir(), "omnibus-live-"));
const before = await openBus(directory);
await before.publish(Kitchen, 20, { retain: true });
await before.publish(Kitchen, 21, { retain: true });
await before.publish(Cellar, 12, { retain: true });
await before.close();

const bus = await openBus(directory);
const dashboard = bus.subscribe("sensor.#", { retained: true });
const cursors = bus.subscribe("cursor.*", { whenFull: "wait", buffer: 10 });

const seen: string[] = [];
for await (const message of dashboard) {
  seen.push(`${message.isRetained ? "so far" : "now"}: ${message.subject} ${message.json()}`);
  if (seen.length === 2) await bus.publish(Kitchen, 22, { retain: true });
  if (seen.length === 3) break;
}
for (const line of seen) console.log(line);
assert.deepEqual(seen, [
  "so far: sensor.kitchen.temperature 21",
  "so far: sensor.cellar.temperature 12",
  "now: sensor.kitchen.temperature 22",
]);

const takenBy = await bus.publishLive(CursorMoved, { x: 3, y: 4 });
console.log(`${takenBy} subscription took the cursor`);
for await (const message of cursors) {
  console.log(message.subject, message.json(), message.isStored ? "stored" : "stored nowhere");
  break;
}

console.log(`${await bus.clearRetained("sensor.#")} subjects are cleared`);
await bus.close();
