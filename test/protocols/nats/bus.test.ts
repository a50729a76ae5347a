// NATS and TypeScript on one bus: what one publishes, the other gets, with headers and replies.

import assert from "node:assert/strict";
import { test } from "node:test";
import { headers } from "@nats-io/transport-node";
import { event, reply } from "../../../src/index.js";
import { connectLine, World } from "./world.js";

interface Order {
  readonly id: string;
}

const OrderPlaced = event<Order>("order.placed");
const OffersWanted = event<Order, Order, { readonly price: number }>("offers.wanted");

test("a message that NATS publishes comes to the groups of its event, with its headers", async (t) => {
  const world = await World.open(t);
  let handle: (seen: readonly unknown[]) => void = () => undefined;
  const handled = new Promise<readonly unknown[]>((resolve) => {
    handle = resolve;
  });
  const handling = world.bus.on(OrderPlaced, { group: "billing" }, (order, { message }) =>
    handle([order, message.headers["x-trace"], message.id]),
  );
  await handling.ready;
  const client = await world.client();
  const sent = headers();
  sent.set("x-trace", "abc");
  sent.set("Nats-Msg-Id", "o-1");
  sent.set("omnibus-priority", "7");
  client.publish("order.placed", JSON.stringify({ id: "o-1" }), { headers: sent });
  assert.deepEqual(await handled, [{ id: "o-1" }, "abc", "o-1"]);
});

test("an event comes to NATS when it is committed, with what it says of itself", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  const subscription = client.subscribe("order.>");
  await client.flush();
  await world.bus.publish(OrderPlaced, { id: "o-2" }, { id: "m-1", headers: { "x-trace": "abc" } });
  for await (const message of subscription) {
    assert.equal(message.subject, "order.placed");
    assert.deepEqual(message.json(), { id: "o-2" });
    assert.equal(message.headers?.get("Content-Type"), "application/json");
    assert.equal(message.headers?.get("Nats-Msg-Id"), "m-1");
    assert.equal(message.headers?.get("x-trace"), "abc");
    break;
  }
});

test("a live message comes to NATS, and counts as taken", async (t) => {
  const world = await World.open(t);
  const client = await world.client();
  const subscription = client.subscribe("order.placed");
  await client.flush();
  assert.equal(await world.bus.publishLive(OrderPlaced, { id: "o-3" }), 1);
  for await (const message of subscription) {
    assert.deepEqual(message.json(), { id: "o-3" });
    break;
  }
});

test("a live subscription sees what NATS publishes, also what is stored nowhere", async (t) => {
  const world = await World.open(t);
  const live = world.bus.subscribe("#");
  const client = await world.client();
  client.publish("some.where", "hello", { reply: "answer.here" });
  for await (const message of live) {
    assert.equal(message.subject, "some.where");
    assert.equal(message.text(), "hello");
    assert.equal(message.isStored, false);
    break;
  }
});

test("a request of NATS is answered by the handler of an event", async (t) => {
  const world = await World.open(t);
  const handling = world.bus.on(OffersWanted, { group: "north" }, ({ id }) => reply({ price: id.length }));
  await handling.ready;
  const client = await world.client();
  const answer = await client.request("offers.wanted", JSON.stringify({ id: "four" }), { timeout: 5_000 });
  assert.deepEqual(answer.json(), { price: 4 });
  assert.equal(answer.headers?.get("Content-Type"), "application/json");
});

test("a request whose handler gives up is answered as services of NATS say so", async (t) => {
  const world = await World.open(t);
  const handling = world.bus.on(OffersWanted, { group: "north", retry: { attempts: 1 } }, () => {
    throw new Error("no\r\nprices");
  });
  await handling.ready;
  const client = await world.client();
  const answer = await client.request("offers.wanted", JSON.stringify({ id: "four" }), { timeout: 5_000 });
  assert.equal(answer.headers?.get("Nats-Service-Error-Code"), "500");
  assert.match(answer.headers?.get("Nats-Service-Error") ?? "", /no {2}prices/);
});

test("a service of NATS answers what TypeScript asks", async (t) => {
  const world = await World.open(t);
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  t.after(() => end());
  await world.bus.on(OffersWanted, { group: "silent" }, () => ended).ready;
  const service = await world.client();
  service.subscribe("offers.wanted", {
    callback: (_error, message) => void message.respond(JSON.stringify({ price: 12 })),
  });
  await service.flush();
  const { replies } = await world.bus.gather(OffersWanted, { id: "o" }, { first: 1, timeout: "10s" });
  assert.deepEqual(
    replies.map(({ value }) => value),
    [{ price: 12 }],
  );
});

test("header blocks that cannot be built again come out of the store as they went in", async (t) => {
  const world = await World.open(t);
  await world.bus.topic("odd", { bind: ["odd.#"] }).declare();
  const client = await world.raw();
  const block = "NATS/1.0 100 Hm\r\nb:1\r\na:  2 \r\nomnibus-id: forged\r\nB: 3\r\n\r\n";
  const size = block.length;
  assert.equal(await client.ask(connectLine({ headers: true }), "SUB odd.> 1\r\n"), "");
  client.send(`HPUB odd.one re ${size} ${size + 2}\r\n${block}hi\r\n`);
  assert.equal(await client.until("hi\r\n"), `HMSG odd.one 1 re ${size} ${size + 2}\r\n${block}hi\r\n`);
});

test("a client that wants no echo does not get its own messages from the store either", async (t) => {
  const world = await World.open(t);
  await world.bus.topic("kept", { bind: ["kept.#"] }).declare();
  const [quiet, other] = [await world.raw(), await world.raw()];
  assert.equal(await quiet.ask(connectLine({ echo: false }), "SUB kept.* 1\r\n"), "");
  assert.equal(await other.ask(connectLine(), "SUB kept.* 1\r\n"), "");
  quiet.send("PUB kept.a 1\r\nx\r\n");
  assert.equal(await other.until("x\r\n"), "MSG kept.a 1 1\r\nx\r\n");
  other.send("PUB kept.b 1\r\ny\r\n");
  assert.equal(await quiet.until("y\r\n"), "MSG kept.b 1 1\r\ny\r\n");
});

test("messages that somebody keeps are whole, however much was read with them, and whoever else got them", async (t) => {
  const world = await World.open(t);
  const live = world.bus.subscribe("kept.*", { buffer: 10_000 });
  await world.bus.queue("stored", { bind: ["stored.#"] }).declare();
  const [publisher, subscriber] = [await world.raw(), await world.raw()];
  assert.equal(await publisher.ask(connectLine()), "");
  assert.equal(await subscriber.ask(connectLine(), "SUB kept.* 1\r\nSUB free.* 2\r\n"), "");
  const body = (number: number): string => String(number).padStart(100, "x");
  let session = "";
  for (let number = 0; number < 2_000; number += 1)
    for (const subject of ["kept.a", "free.a", "stored.a"])
      session += `PUB ${subject} 100\r\n${body(number)}\r\n`;
  // A control line that is written otherwise, among what somebody keeps.
  session += "PUB  free.a  1\r\nx\r\n";
  assert.equal(await publisher.ask(session), "");
  let seen = 0;
  for await (const message of live) {
    assert.equal(message.text(), body(seen));
    seen += 1;
    if (seen === 2_000) break;
  }
  await subscriber.until("MSG free.a 2 1\r\nx\r\n");
  let stored = 0;
  for await (const delivery of world.bus.queue("stored").receive()) {
    assert.equal(delivery.message.text(), body(stored));
    await delivery.ack();
    stored += 1;
    if (stored === 2_000) break;
  }
});
