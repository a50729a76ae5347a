import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "amqplib";
import { Client } from "./client.js";
import { serve } from "./serving.js";

/** The deaths of a message without their times, which are looked at here. */
function deathsOf({ properties }: Message): unknown[] {
  const deaths = (properties.headers?.["x-death"] ?? []) as unknown as Record<string, unknown>[];
  return deaths.map(({ time, ...death }) => {
    const { "!": type, value } = time as { "!": string; value: number };
    assert.equal(type, "timestamp");
    assert.ok(Math.abs(value * 1000 - Date.now()) < 60_000);
    return death;
  });
}

function firstDeathOf({ properties: { headers = {} } }: Message): unknown[] {
  return ["reason", "queue", "exchange"].map((what) => headers[`x-first-death-${what}`]);
}

test("a rejected message goes to the dead-letter exchange and says why, as RabbitMQ's does", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertExchange("dlx", "fanout");
  await channel.assertQueue("dead");
  await channel.bindQueue("dead", "dlx", "");
  await channel.assertQueue("q", { deadLetterExchange: "dlx" });
  const options = { headers: { n: 1, CC: ["copy"] }, expiration: "100000", persistent: true, messageId: "m" };
  channel.sendToQueue("q", Buffer.from("a"), options);
  await channel.waitForConfirms();
  channel.nack(await helper.get("q"), false, false);
  const dead = await helper.next("dead");
  assert.deepEqual([dead.fields.exchange, dead.fields.routingKey], ["dlx", "q"]);
  assert.equal(dead.content.toString(), "a");
  const { expiration, deliveryMode, messageId, headers } = dead.properties;
  assert.deepEqual([expiration, deliveryMode, messageId, headers!["n"]], [undefined, 2, "m", 1]);
  assert.deepEqual(deathsOf(dead), [
    {
      count: 1,
      reason: "rejected",
      queue: "q",
      exchange: "",
      "routing-keys": ["q", "copy"],
      "original-expiration": "100000",
    },
  ]);
  assert.deepEqual(firstDeathOf(dead), ["rejected", "q", ""]);
});

test("expired messages and those that are too many go to the queue that the dead-letter routing key names", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("dead");
  const deadLetter = { deadLetterExchange: "", deadLetterRoutingKey: "dead" };
  await channel.assertQueue("short", { messageTtl: 20, ...deadLetter });
  await channel.assertQueue("small", { maxLength: 1, ...deadLetter });
  await channel.assertQueue("light", { arguments: { "x-max-length-bytes": 3 }, ...deadLetter });
  const dead = await helper.consume("dead", { noAck: true });
  for (const [queue, reason, contents] of [
    ["short", "expired", ["aaa"]],
    ["small", "maxlen", ["bbb", "ccc"]],
    ["light", "maxlen", ["ddd", "eee"]],
  ] as const) {
    for (const content of contents) channel.sendToQueue(queue, Buffer.from(content));
    const letter = await dead.next();
    assert.equal(letter.content.toString(), contents[0]);
    assert.deepEqual([letter.fields.exchange, letter.fields.routingKey], ["", "dead"]);
    assert.deepEqual(deathsOf(letter), [{ count: 1, reason, queue, exchange: "", "routing-keys": [queue] }]);
  }
});

test("a message that goes round counts its deaths by queue and reason, the latest first", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("wait", {
    messageTtl: 10,
    deadLetterExchange: "",
    deadLetterRoutingKey: "work",
  });
  await channel.assertQueue("work", { deadLetterExchange: "", deadLetterRoutingKey: "wait" });
  channel.sendToQueue("work", Buffer.from("a"));
  const messages = await helper.consume("work");
  const counts: unknown[] = [];
  for (let round = 0; round < 25; round += 1) {
    const message = await messages.next();
    counts.push(
      (deathsOf(message) as { queue: string; reason: string; count: number }[]).map(
        ({ queue, reason, count }) => `${queue} ${reason} ${count}`,
      ),
    );
    if (round > 0) assert.deepEqual(firstDeathOf(message), ["rejected", "work", ""]);
    channel.nack(message, false, false);
  }
  assert.deepEqual(counts[0], []);
  assert.deepEqual(counts[1], ["wait expired 1", "work rejected 1"]);
  assert.deepEqual(counts[24], ["wait expired 24", "work rejected 24"]);
});

test("a message that expires in a circle with nobody who rejects it is dropped", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("a", { messageTtl: 5, deadLetterExchange: "", deadLetterRoutingKey: "b" });
  await channel.assertQueue("b", { messageTtl: 5, deadLetterExchange: "", deadLetterRoutingKey: "a" });
  channel.sendToQueue("a", Buffer.from("x"));
  await channel.waitForConfirms();
  while ((await helper.count("a")) + (await helper.count("b")) > 0);
});

test("a quorum queue counts tries, says how many failed, and dead-letters beyond its limit", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("dead");
  await channel.assertQueue("q", {
    deadLetterExchange: "",
    deadLetterRoutingKey: "dead",
    arguments: { "x-queue-type": "quorum", "x-delivery-limit": 2 },
  });
  channel.sendToQueue("q", Buffer.from("a"));
  const messages = await helper.consume("q");
  for (const failed of [undefined, 1, 2]) {
    const message = await messages.next();
    assert.equal(message.properties.headers?.["x-delivery-count"], failed);
    assert.equal(message.fields.redelivered, failed !== undefined);
    channel.nack(message);
  }
  const dead = await helper.next("dead");
  assert.deepEqual(deathsOf(dead), [
    { count: 1, reason: "delivery_limit", queue: "q", exchange: "", "routing-keys": ["q"] },
  ]);
});

test("a classic queue has no limit of tries", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  await helper.channel.assertQueue("q");
  helper.channel.sendToQueue("q", Buffer.from("a"));
  const messages = await helper.consume("q");
  for (let tries = 0; tries < 100; tries += 1) {
    const message = await messages.next();
    assert.equal(message.properties.headers?.["x-delivery-count"], undefined);
    helper.channel.nack(message);
  }
});

test("without a dead-letter exchange, or with one that leads nowhere, messages are dropped", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("none");
  await channel.assertQueue("nowhere", { deadLetterExchange: "not there" });
  for (const queue of ["none", "nowhere"]) {
    channel.sendToQueue(queue, Buffer.from("a"));
    await channel.waitForConfirms();
    channel.reject(await helper.get(queue), false);
    assert.equal(await helper.count(queue), 0);
    assert.equal((await channel.deleteQueue(queue, { ifEmpty: true })).messageCount, 0);
  }
});
