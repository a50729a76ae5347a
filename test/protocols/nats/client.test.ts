// What an unmodified client of NATS does with the server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { World } from "./world.js";

/** The next `count` messages. */
async function take(subscription: Subscription, count: number): Promise<Msg[]> {
  const messages: Msg[] = [];
  for await (const message of subscription) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

/** Resolves when the server has done all that the client said. */
const settle = (client: NatsConnection): Promise<void> => client.flush();

test("a message comes to a subscription of another client, with its body and subject", async (t) => {
  const world = await World.open(t);
  const [publisher, subscriber] = [await world.client(), await world.client()];
  const subscription = subscriber.subscribe("order.placed");
  await settle(subscriber);
  publisher.publish("order.placed", "first");
  publisher.publish("order.placed", new Uint8Array([0, 255, 13, 10]));
  const [first, second] = await take(subscription, 2);
  assert.equal(first!.subject, "order.placed");
  assert.equal(first!.string(), "first");
  assert.deepEqual([...second!.data], [0, 255, 13, 10]);
});

test("a star is one token, a greater-than sign one or more", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  const seen: string[] = [];
  for (const pattern of ["a.*", "a.>", "*.b", ">"]) {
    client.subscribe(pattern, { callback: (_error, { subject }) => void seen.push(`${pattern} ${subject}`) });
  }
  for (const subject of ["a", "a.b", "a.b.c"]) client.publish(subject);
  await settle(client);
  assert.deepEqual(
    seen.sort(),
    ["*.b a.b", "> a", "> a.b", "> a.b.c", "a.* a.b", "a.> a.b", "a.> a.b.c"].sort(),
  );
});

test("of a queue group one gets each message, and all of them together get every one", async (t) => {
  const world = await World.open(t);
  const publisher = await world.client();
  const counts = [0, 0, 0];
  const workers = [await world.client(), await world.client(), await world.client()];
  for (const [index, worker] of workers.entries()) {
    const callback = (): void => {
      counts[index]! += 1;
    };
    worker.subscribe("work.>", { queue: "workers", callback });
    await settle(worker);
  }
  for (let sent = 0; sent < 300; sent += 1) publisher.publish(`work.${sent % 7}`);
  await settle(publisher);
  for (const worker of workers) await settle(worker);
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    300,
  );
  for (const count of counts) assert.ok(count >= 50, `${counts}`);
});

test("a request is answered by whoever replies", async (t) => {
  const world = await World.open(t);
  const [service, asker] = [await world.client(), await world.client()];
  service.subscribe("square", {
    callback: (_error, message) => void message.respond(String(Number(message.string()) ** 2)),
  });
  await settle(service);
  const answers = await Promise.all(
    [1, 2, 3].map((n) => asker.request("square", String(n), { timeout: 5_000 })),
  );
  assert.deepEqual(
    answers.map((answer) => answer.string()),
    ["1", "4", "9"],
  );
  const alone = await asker.request("square", "12", { noMux: true, timeout: 5_000 });
  assert.equal(alone.string(), "144");
});

test("a request that nobody is there to answer fails at once", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  await assert.rejects(client.request("nobody.there", "", { timeout: 60_000 }), /no responders/i);
  await assert.rejects(
    client.request("nobody.there", "", { timeout: 60_000, noMux: true }),
    /no responders/i,
  );
});

test("headers come as they were sent, names and order and repeated ones included", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  const subscription = client.subscribe("with.headers");
  const sent = headers();
  sent.append("X-Trace", "1");
  sent.append("X-Trace", "2");
  sent.set("Content-Type", "text/plain");
  client.publish("with.headers", "body", { headers: sent, reply: "answers.here" });
  const [message] = await take(subscription, 1);
  assert.deepEqual(message!.headers?.values("X-Trace"), ["1", "2"]);
  assert.equal(message!.headers?.get("Content-Type"), "text/plain");
  assert.equal(message!.reply, "answers.here");
  assert.equal(message!.string(), "body");
});

test("a subscription with a maximum ends after so many", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  const subscription = client.subscribe("few", { max: 3 });
  for (let sent = 0; sent < 10; sent += 1) client.publish("few", String(sent));
  const messages: string[] = [];
  for await (const message of subscription) messages.push(message.string());
  assert.deepEqual(messages, ["0", "1", "2"]);
  await settle(client);
  assert.equal(world.server.addresses.nats?.port, world.port);
});

test("a client that does not want its own messages does not get them", async (t) => {
  const world = await World.open(t);
  const [quiet, other] = [await world.client({ noEcho: true }), await world.client()];
  const seen: string[] = [];
  quiet.subscribe("echo", { callback: (_error, message) => void seen.push(message.string()) });
  await settle(quiet);
  quiet.publish("echo", "its own");
  await settle(quiet);
  other.publish("echo", "another's");
  await settle(other);
  await settle(quiet);
  assert.deepEqual(seen, ["another's"]);
});

test("draining hands over what has come, and then ends", async (t) => {
  const world = await World.open(t);
  const [publisher, subscriber] = [await world.client(), await world.client()];
  const seen: string[] = [];
  const subscription = subscriber.subscribe("drained", {
    callback: (_error, message) => void seen.push(message.string()),
  });
  await settle(subscriber);
  for (let sent = 0; sent < 100; sent += 1) publisher.publish("drained", String(sent));
  await settle(publisher);
  await subscription.drain();
  publisher.publish("drained", "too late");
  await settle(publisher);
  await settle(subscriber);
  assert.equal(seen.length, 100);
  await subscriber.drain();
  assert.ok(subscriber.isClosed());
});

test("a client with its own pace gets large messages whole", async (t) => {
  const world = await World.open(t);
  const [publisher, subscriber] = [await world.client(), await world.client()];
  const subscription = subscriber.subscribe("large");
  await settle(subscriber);
  const sizes = [0, 1, 4095, 16_383, 16_384, 65_536, 1_000_000, 5_000_000];
  for (const [index, size] of sizes.entries()) publisher.publish("large", new Uint8Array(size).fill(index));
  const messages = await take(subscription, sizes.length);
  for (const [index, message] of messages.entries()) {
    assert.equal(message.data.length, sizes[index]);
    assert.ok(message.data.every((byte) => byte === index));
  }
});

test("what the server says of itself is what clients look for", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  const info = client.info!;
  assert.equal(info.headers, true);
  assert.equal(info.max_payload, 16 * 1024 * 1024);
  assert.equal(info.jetstream, false);
  assert.equal(info.proto, 1);
  assert.equal(info.auth_required, undefined);
  assert.ok((await client.rtt()) >= 0);
});
