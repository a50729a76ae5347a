// One message through AMQP, NATS and TypeScript: who publishes and who gets it speak different protocols.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import type { Message } from "amqplib";
import fc from "fast-check";
import { command, event, memory, openBus, reply } from "../../src/index.js";
import type { ServerLog } from "../../src/network/host.js";
import { openServer } from "../../src/server/open-server.js";
import { Client } from "./amqp/client.js";

interface Order {
  readonly id: string;
}

const OrderPlaced = event<Order>("order.placed");
const Quote = command<Order, Order, { price: number }, { price: number }>("quote");

const ignore = (): void => undefined;
const silent: ServerLog = { debug: ignore, info: ignore, warn: ignore, error: ignore };

async function open(t: TestContext) {
  const bus = await openBus(memory());
  const server = await openServer(bus, { amqp: { port: 0 }, nats: { port: 0 }, http: "off", log: silent });
  t.after(async () => {
    await server.close(0);
    await bus.close();
  });
  const client = await Client.connect(t, server.addresses.amqp!.port);
  const amqp = Object.assign(await client.confirming(), { client });
  const nats = await connect({ port: server.addresses.nats!.port, reconnect: false });
  t.after(() => nats.close());
  return { bus, amqp, nats };
}

/** The first message of a subscription that is there when this returns. */
async function first(nats: NatsConnection, subject: string) {
  const subscription = nats.subscribe(subject, { max: 1 });
  await nats.flush();
  const message = (async () => {
    for await (const one of subscription) return one;
    throw new Error("nothing came");
  })();
  return { message };
}

/** What an AMQP client sees, without what is not said. */
function seen({ properties, content, fields }: Message) {
  const said = Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
  const { exchange, routingKey } = fields as { exchange: string; routingKey: string };
  return { exchange, routingKey, body: content.toString(), properties: said };
}

test("an AMQP publish reaches NATS, a handler of the event, and a queue bound with a pattern", async (t) => {
  const { bus, amqp, nats } = await open(t);
  const handled = new Promise<unknown[]>((resolve) => {
    const { ready } = bus.on(OrderPlaced, { group: "billing" }, (order, { message }) =>
      resolve([order, message.id, message.headers]),
    );
    void ready;
  });
  await bus.on(OrderPlaced, { group: "audit" }, () => undefined).ready;
  const { message } = await first(nats, "order.>");
  await amqp.channel.assertQueue("orders");
  await amqp.channel.bindQueue("orders", "amq.topic", "order.#");
  amqp.channel.publish("amq.topic", "order.placed", Buffer.from('{"id":"o-1"}'), {
    contentType: "application/json",
    messageId: "m-1",
    correlationId: "c-1",
    headers: { trace: "abc", tries: 3, urgent: true, nested: { a: 1 }, "omnibus-priority": "9" },
  });
  await amqp.channel.waitForConfirms();

  assert.deepEqual(await handled, [{ id: "o-1" }, "m-1", { trace: "abc", tries: "3", urgent: "true" }]);
  const onNats = await message;
  assert.deepEqual([onNats.subject, onNats.string()], ["order.placed", '{"id":"o-1"}']);
  const said = ["Content-Type", "Nats-Msg-Id", "Correlation-Id", "trace", "tries", "urgent"];
  assert.deepEqual(
    said.map((name) => onNats.headers?.get(name)),
    ["application/json", "m-1", "c-1", "abc", "3", "true"],
  );
  const onAmqp = seen(await amqp.next("orders"));
  assert.equal(onAmqp.exchange, "amq.topic");
  assert.deepEqual(onAmqp.properties["headers"], {
    trace: "abc",
    tries: 3,
    urgent: true,
    nested: { a: 1 },
    "omnibus-priority": "9",
  });
});

test("a NATS publish reaches an AMQP queue and a handler of the event, with its headers", async (t) => {
  const { bus, amqp, nats } = await open(t);
  const handled = new Promise<unknown>((resolve) => {
    void bus.on(OrderPlaced, { group: "billing" }, (order) => resolve(order)).ready;
  });
  await bus.on(OrderPlaced, { group: "audit" }, () => undefined).ready;
  await amqp.channel.assertQueue("orders");
  await amqp.channel.bindQueue("orders", "amq.topic", "order.#");
  const said = headers();
  said.set("trace", "abc");
  said.set("Content-Type", "application/json");
  said.set("Nats-Msg-Id", "m-2");
  said.set("Correlation-Id", "c-2");
  nats.publish("order.placed", '{"id":"o-2"}', { headers: said });
  assert.deepEqual(seen(await amqp.next("orders")), {
    exchange: "amq.topic",
    routingKey: "order.placed",
    body: '{"id":"o-2"}',
    properties: {
      contentType: "application/json",
      messageId: "m-2",
      correlationId: "c-2",
      deliveryMode: 2,
      headers: { trace: "abc" },
    },
  });
  assert.deepEqual(await handled, { id: "o-2" });
});

test("an event of TypeScript reaches an AMQP queue, and what looks on at it on NATS", async (t) => {
  const { bus, amqp, nats } = await open(t);
  await amqp.channel.assertQueue("orders");
  await amqp.channel.bindQueue("orders", "amq.topic", "*.placed");
  const { message } = await first(nats, "order.placed");
  await bus.publish(OrderPlaced, { id: "o-3" }, { id: "m-3", headers: { trace: "abc" } });
  assert.deepEqual(seen(await amqp.next("orders")), {
    exchange: "amq.topic",
    routingKey: "order.placed",
    body: '{"id":"o-3"}',
    properties: {
      contentType: "application/json",
      messageId: "m-3",
      deliveryMode: 2,
      headers: { trace: "abc" },
    },
  });
  assert.equal((await message).string(), '{"id":"o-3"}');
});

test("a handler of TypeScript answers an AMQP client, by direct reply and into a queue", async (t) => {
  const { bus, amqp } = await open(t);
  await bus.handle(Quote, ({ id }) => reply({ price: id.length })).ready;
  const direct = await amqp.consume("amq.rabbitmq.reply-to", { noAck: true });
  const ask = (replyTo: string, correlationId: string): void => {
    const options = { replyTo, correlationId, contentType: "application/json" };
    amqp.channel.sendToQueue("quote", Buffer.from('{"id":"four"}'), options);
  };
  ask("amq.rabbitmq.reply-to", "c-4");
  const answer = seen(await direct.next());
  assert.equal(answer.body, '{"price":4}');
  assert.equal(answer.properties["correlationId"], "c-4");
  assert.equal(answer.properties["contentType"], "application/json");
  await amqp.channel.assertQueue("answers");
  ask("answers", "c-5");
  const stored = seen(await amqp.next("answers"));
  assert.deepEqual([stored.body, stored.properties["correlationId"]], ['{"price":4}', "c-5"]);
  assert.deepEqual([stored.exchange, stored.routingKey], ["", "answers"]);
});

test("an AMQP client answers a request of TypeScript", async (t) => {
  const { bus, amqp } = await open(t);
  await amqp.channel.assertQueue("quote");
  await amqp.channel.consume(
    "quote",
    (message) => {
      const { replyTo, correlationId } = message!.properties;
      const { id } = JSON.parse(message!.content.toString()) as Order;
      const answer = Buffer.from(JSON.stringify({ price: id.length }));
      amqp.channel.sendToQueue(replyTo, answer, { correlationId, contentType: "application/json" });
    },
    { noAck: true },
  );
  assert.deepEqual(await bus.request(Quote, { id: "three" }, { timeout: "10s" }), { price: 5 });
});

test("a NATS service answers an AMQP client, though it gives no correlation id back", async (t) => {
  const { amqp, nats } = await open(t);
  nats.subscribe("quote.wanted", { callback: (_error, message) => void message.respond("42") });
  await nats.flush();
  const direct = await amqp.consume("amq.rabbitmq.reply-to", { noAck: true });
  for (const correlationId of ["c-6", "c/7 ?"])
    amqp.channel.publish("amq.topic", "quote.wanted", Buffer.from("?"), {
      replyTo: "amq.rabbitmq.reply-to",
      correlationId,
    });
  for (const correlationId of ["c-6", "c/7 ?"]) {
    const { body, properties } = seen(await direct.next());
    assert.deepEqual([body, properties["correlationId"]], ["42", correlationId]);
  }
  await amqp.channel.assertQueue("answers");
  amqp.channel.publish("amq.topic", "quote.wanted", Buffer.from("?"), { replyTo: "answers" });
  const { body, exchange, routingKey } = seen(await amqp.next("answers"));
  assert.deepEqual([body, exchange, routingKey], ["42", "", "answers"]);
});

test("an AMQP client answers a request of NATS", async (t) => {
  const { amqp, nats } = await open(t);
  await amqp.channel.assertQueue("quotes");
  await amqp.channel.bindQueue("quotes", "amq.topic", "quote.wanted");
  await amqp.channel.consume(
    "quotes",
    (message) => {
      const answer = Buffer.from(`${message!.content} is 42`);
      amqp.channel.sendToQueue(message!.properties.replyTo, answer, { headers: { currency: "EUR" } });
    },
    { noAck: true },
  );
  const answer = await nats.request("quote.wanted", "tea", { timeout: 10_000 });
  assert.equal(answer.string(), "tea is 42");
  assert.equal(answer.headers?.get("currency"), "EUR");
});

test("an AMQP publisher waits for room where a queue of TypeScript makes its publishers wait", async (t) => {
  const { bus, amqp } = await open(t);
  const queue = bus.queue("narrow", { countMax: 2, overflow: "wait" });
  await queue.send("0");
  for (const content of ["1", "2", "3"]) amqp.channel.sendToQueue("narrow", Buffer.from(content));
  const { channel } = await amqp.client.channel();
  while ((await channel.checkQueue("narrow")).messageCount < 2);
  for (const content of ["0", "1", "2", "3"]) {
    const [delivery] = await queue.receiveBatch({ max: 1, wait: "10s" });
    assert.equal(delivery!.message.text(), content);
    await delivery!.ack();
  }
  await amqp.channel.waitForConfirms();
});

test("a queue of TypeScript is declared on AMQP by what it has, and one of AMQP is used in TypeScript", async (t) => {
  const { bus, amqp } = await open(t);
  await bus.queue("theirs", { countMax: 5, priorities: 4, attemptsMax: 7 }).send("hello");
  const has = { "x-max-length": 5, "x-max-priority": 3 };
  assert.equal((await amqp.channel.assertQueue("theirs")).messageCount, 1);
  await amqp.channel.assertQueue("theirs", { durable: false, arguments: has });
  assert.equal(
    await amqp.client.failure((one) => one.assertQueue("theirs", { maxLength: 6 })),
    "406 inequivalent arg 'x-max-length' for queue 'theirs' in vhost '/': received '6' but current is '5'",
  );
  assert.equal(seen(await amqp.next("theirs")).body, "hello");
  await amqp.channel.assertQueue("ours", { messageTtl: 60_000 });
  amqp.channel.sendToQueue("ours", Buffer.from("hi"), { contentType: "text/plain" });
  await amqp.channel.waitForConfirms();
  const [delivery] = await bus.queue("ours").receiveBatch({ max: 1, wait: "10s" });
  assert.deepEqual([delivery!.message.value, delivery!.message.subject], ["hi", "ours"]);
  await delivery!.ack();
});

test("routing keys come out of NATS as subjects and of queues as they were, whatever words they have", async (t) => {
  const { amqp, nats } = await open(t);
  await amqp.channel.assertQueue("all");
  await amqp.channel.bindQueue("all", "amq.topic", "#");
  const onAmqp = await amqp.consume("all", { noAck: true });
  const word = fc.stringMatching(/^[a-zA-Z0-9_$\-:@/\\é]{1,8}$/);
  const key = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join("."));
  await fc.assert(
    fc.asyncProperty(key, key, async (sentByAmqp, sentByNats) => {
      const { message } = await first(nats, sentByAmqp);
      amqp.channel.publish("amq.topic", sentByAmqp, Buffer.from("a"));
      assert.equal((await message).subject, sentByAmqp);
      assert.equal((await onAmqp.next()).fields.routingKey, sentByAmqp);
      nats.publish(sentByNats, "n");
      assert.equal((await onAmqp.next()).fields.routingKey, sentByNats);
    }),
    { numRuns: 50 },
  );
});

test("what is published by AMQP wakes those who look on in TypeScript, stored or not", async (t) => {
  const { bus, amqp } = await open(t);
  const live = bus.subscribe("news.#");
  amqp.channel.publish("amq.topic", "news.today", Buffer.from("sunny"), { headers: { place: "Rome" } });
  for await (const message of live) {
    assert.deepEqual(
      [message.subject, message.text(), message.headers["place"]],
      ["news.today", "sunny", "Rome"],
    );
    break;
  }
});
