// Payloads are checked by any Standard Schema (zod here; valibot and arktype work alike): the input type where it is
// published, the output type in the handler. What others publish wrongly never reaches a handler.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { event, isBrokerError, openBus } from "omnibus";
import { z } from "zod";

const Signup = z.object({
  email: z.email(),
  plan: z.enum(["free", "team"]).default("free"),
  at: z.iso.datetime().transform((text) => new Date(text)),
});
const SignedUp = event("user.signed-up", { schema: Signup, key: (user) => user.email });

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-schema-")));
const users: string[] = [];
const handling = bus.on(SignedUp, { group: "crm" }, (user) => {
  users.push(`${user.email} (${user.plan}) in ${user.at.getUTCFullYear()}`); // a Date here, a string at publish
});
await handling.ready;

await bus.publish(SignedUp, { email: "ada@example.org", at: "1843-09-01T00:00:00Z" });

const refusal = await bus
  .publish(SignedUp, { email: "not an address", at: "2026-01-01T00:00:00Z" })
  .catch((error) => error);
assert.ok(isBrokerError(refusal, "INVALID_PAYLOAD"));
console.log(`refused: ${refusal.message}`);

// Another program knows no schema. Its message is stored, and dead-lettered when it is read, with the reason.
await bus.topic("user").publish('{"email":42}', { subject: "user.signed-up" });
while ((await bus.topic("user").statistics()).groups[0]?.deadLetters !== 1) await sleep(10);
for await (const letter of bus.deadLetters.list({ source: "user/crm" })) {
  console.log(`dead: ${letter.message.text()}: ${letter.error}`);
  assert.equal(letter.reason, "invalid-payload");
}

console.log(`signed up: ${users.join(", ")}`);
assert.deepEqual(users, ["ada@example.org (free) in 1843"]);
await bus.close();
