// The smallest program: a durable queue in a directory. What is sent survives the process; what is acknowledged is gone.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBus } from "omnibus";

const directory = await mkdtemp(join(tmpdir(), "omnibus-hello-"));

// One program sends, and ends. Each send resolves when the message is on disk.
const sender = await openBus(directory);
const receipt = await sender.queue("greetings").send("Hello, Ada");
await sender.queue("greetings").send("Hello, Grace");
console.log(`sent: offset ${receipt.offset} of ${receipt.destination}`);
await sender.close();

// Another one, later, receives.
const receiver = await openBus(directory);
const received: string[] = [];
for await (const delivery of receiver.queue("greetings").receive()) {
  received.push(delivery.message.text());
  console.log(`received: ${delivery.message.text()}, attempt ${delivery.attempt}`);
  await delivery.ack();
  if (received.length === 2) break;
}

const { waiting, inFlight } = await receiver.queue("greetings").statistics();
console.log(`left: ${waiting} waiting, ${inFlight} in flight`);
assert.deepEqual(received, ["Hello, Ada", "Hello, Grace"]);
assert.deepEqual({ waiting, inFlight }, { waiting: 0, inFlight: 0 });
await receiver.close();
