// A program as a user would write it, in a process of its own: what it does is its first argument, its data directory
// the second. It says "ready" when there is nothing left to do but wait; a SIGTERM asks it to end.

import { command, event, openBus } from "../../src/index.js";

const [does = "", directory = ""] = process.argv.slice(2);
const Work = command<number>("work");
const Placed = event<number>("order.placed");

const bus = await openBus(directory);
const abort = new AbortController();
process.once("SIGTERM", () => {
  abort.abort();
  void bus.close().then(() => process.stdout.write("closed\n"));
});

const programs: Record<string, () => Promise<void>> = {
  publishes: async () => {
    await bus.publish(Placed, 1);
    await bus.send(Work, 1);
    bus.subscribe("#");
  },
  handles: async () => {
    await bus.handle(Work, () => undefined).ready;
  },
  "handles, after it has received": async () => {
    await bus.handle(Work, () => undefined).ready;
    await bus.queue("other").receiveBatch({ max: 1, wait: "50ms" });
  },
  listens: async () => {
    await bus.on(Placed, { group: "g" }, () => undefined).ready;
  },
  receives: async () => {
    process.stdout.write("ready\n");
    for await (const delivery of bus.queue("work").receive({ signal: abort.signal })) await delivery.ack();
  },
  watches: async () => {
    process.stdout.write("ready\n");
    for await (const message of bus.subscribe("#", { signal: abort.signal }))
      process.stdout.write(message.text());
  },
  "waits for a batch": async () => {
    const batch = await bus.queue("work").receiveBatch({ max: 1, wait: "300ms" });
    process.stdout.write(`${batch.length} came\n`);
  },
  "closes its handler": async () => {
    const handling = bus.handle(Work, () => undefined);
    await handling.ready;
    await handling.close();
  },
  drains: async () => {
    bus.handle(Work, () => undefined);
    await bus.send(Work, 1);
    await bus.drain();
  },
  "fails to start a handler": async () => {
    const { ready } = bus.on(Placed, { group: "no/name" }, () => undefined);
    await ready.catch(() => undefined);
  },
};

await programs[does]!();
process.stdout.write("ready\n");
