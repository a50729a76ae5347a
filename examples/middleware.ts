// Middleware: every message says whose it is, and a tenant that did not pay is refused before anything is stored.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { command, memory, openBus } from "omnibus";

const PrintLabel = command<{ parcel: string }>("label.print");
const tenants = new AsyncLocalStorage<string>();

await using bus = await openBus(memory());
bus.use({
  publish({ messages, destination }, next) {
    const tenant = tenants.getStore() ?? "nobody";
    if (tenant === "acme") throw new Error(`${tenant} may not send to ${destination}: an invoice is open`);
    for (const { headers } of messages) headers["tenant"] = tenant;
    return next();
  },
  // The handler, and whatever it sends, runs for the tenant of its message.
  handle({ messages }, next) {
    return tenants.run(messages[0]?.message.headers["tenant"] ?? "nobody", next);
  },
});
const logged = new Promise<string>((log) => {
  bus.use({
    async handle({ name, messages }, next) {
      const [result] = await next();
      log(`${name} for ${messages[0]?.message.headers["tenant"]}: ${result?.status}`);
    },
  });
});

bus.handle(PrintLabel, ({ parcel }) => console.log(`${parcel} for ${tenants.getStore()}`));

await tenants.run("globex", () => bus.send(PrintLabel, { parcel: "p-1" }));
await assert.rejects(
  tenants.run("acme", () => bus.send(PrintLabel, { parcel: "p-2" })),
  /an invoice is open/,
);
assert.equal(await logged, "label.print for globex: fulfilled");
