import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfirmChannel, Message, Options } from "amqplib";
import { Client } from "./client.js";
import { headerFrame, RawClient } from "./raw-client.js";
import { serve } from "./serving.js";

/** What became of a message, as its confirm says. */
function outcome(channel: ConfirmChannel, queue: string, content: string): Promise<"acked" | "nacked"> {
  return new Promise((resolve) =>
    channel.sendToQueue(queue, Buffer.from(content), {}, (error) =>
      resolve(error === null ? "acked" : "nacked"),
    ),
  );
}

test("every property comes out as it went in, whatever its type", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  await helper.channel.assertQueue("q");
  const properties: Options.Publish = {
    contentType: "text/plain",
    contentEncoding: "gzip",
    headers: {
      n: 1,
      text: "x",
      yes: true,
      nested: { list: [1, "2", null, { deep: 1.5 }] },
      big: 3_000_000_000,
    },
    priority: 5,
    correlationId: "c-1",
    replyTo: "answers",
    expiration: "60000",
    messageId: "m-1",
    timestamp: 123_456,
    type: "greeting",
    userId: "guest",
    appId: "tests",
  };
  // The same again and again, and another in between: what is remembered of one is not taken for another.
  for (const content of ["a", "b", "c"]) {
    helper.channel.sendToQueue("q", Buffer.from(content), { ...properties, deliveryMode: 2 });
    helper.channel.sendToQueue("q", Buffer.from(`${content}'`), { ...properties, messageId: `m-${content}` });
  }
  await helper.channel.waitForConfirms();
  for (const content of ["a", "a'", "b", "b'", "c", "c'"]) {
    const { properties: received, content: body } = await helper.get("q", { noAck: true });
    assert.equal(body.toString(), content);
    const defined = Object.fromEntries(Object.entries(received).filter(([, value]) => value !== undefined));
    const isPlain = content.length === 1;
    const own = isPlain ? { deliveryMode: 2 } : { messageId: `m-${content[0]}` };
    assert.deepEqual(defined, { ...properties, ...own });
  }
});

test("properties that are remembered are not taken for others of the same length", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  await helper.channel.assertQueue("q");
  const ids = "aaabbbabacca";
  for (const messageId of ids) helper.channel.sendToQueue("q", Buffer.from(messageId), { messageId });
  await helper.channel.waitForConfirms();
  for (const messageId of ids) {
    const { properties, content } = await helper.get("q", { noAck: true });
    assert.deepEqual([properties.messageId, content.toString()], [messageId, messageId]);
  }
});

test("bodies of any size arrive as they were, the empty one included", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  await helper.channel.assertQueue("q");
  const messages = await helper.consume("q", { noAck: true });
  for (const size of [0, 1, 131_063, 131_064, 131_065, 1_000_000]) {
    const body = Buffer.alloc(size, size);
    helper.channel.sendToQueue("q", body);
    assert.ok((await messages.next()).content.equals(body), `${size} bytes`);
  }
});

test("a message that leads nowhere comes back when it is mandatory, before it is confirmed", async (t) => {
  const { port } = await serve(t);
  const { channel } = await (await Client.connect(t, port)).confirming();
  const events: unknown[] = [];
  channel.on("return", ({ fields, properties, content }: Message) => {
    const { replyCode, replyText, exchange, routingKey } = fields as unknown as Record<string, unknown>;
    events.push([replyCode, replyText, exchange, routingKey, properties.messageId, content.toString()]);
  });
  const publish = (exchange: string, key: string, options: Options.Publish): void => {
    channel.publish(exchange, key, Buffer.from(key), options, (error) => events.push(error ?? `${key} ok`));
  };
  publish("", "nobody", { mandatory: true, messageId: "m" });
  publish("amq.direct", "no one", { mandatory: true });
  publish("amq.topic", "who", { mandatory: true });
  publish("amq.direct", "silent", {});
  await channel.waitForConfirms();
  const returned = events.filter((event) => Array.isArray(event));
  assert.deepEqual(returned, [
    [312, "NO_ROUTE", "", "nobody", "m", "nobody"],
    [312, "NO_ROUTE", "amq.direct", "no one", undefined, "no one"],
    [312, "NO_ROUTE", "amq.topic", "who", undefined, "who"],
  ]);
  for (const [event, confirm] of [
    [returned[0], "nobody ok"],
    [returned[1], "no one ok"],
    [returned[2], "who ok"],
  ] as const)
    assert.ok(events.indexOf(event) < events.indexOf(confirm), confirm);
  assert.ok(events.includes("silent ok"));
});

test("a queue that is full refuses with a nack, and what it has is still there", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("q", { maxLength: 1, arguments: { "x-overflow": "reject-publish" } });
  await channel.assertQueue("open");
  assert.equal(await outcome(channel, "q", "a"), "acked");
  const answers = await Promise.all([
    outcome(channel, "open", "1"),
    outcome(channel, "q", "b"),
    outcome(channel, "q", "c"),
    outcome(channel, "open", "2"),
  ]);
  assert.deepEqual(answers, ["acked", "nacked", "nacked", "acked"]);
  assert.deepEqual(await helper.drain("q"), ["a"]);
  assert.deepEqual(await helper.drain("open"), ["1", "2"]);
});

test("messages of queues that last and of queues that do not are confirmed, each once", async (t) => {
  const { port } = await serve(t);
  const { channel } = await (await Client.connect(t, port)).confirming();
  await channel.assertQueue("lasting");
  await channel.assertQueue("passing", { durable: false });
  for (const queue of ["lasting", "passing"]) await channel.bindQueue(queue, "amq.fanout", "");
  let confirmed = 0;
  for (let number = 0; number < 3_000; number += 1) {
    const [exchange, key] = [
      ["", "lasting"],
      ["", "passing"],
      ["amq.fanout", ""],
      ["", "nobody"],
    ][number % 4]!;
    channel.publish(exchange!, key!, Buffer.from("x"), {}, (error) => {
      assert.equal(error, null);
      confirmed += 1;
    });
  }
  await channel.waitForConfirms();
  assert.equal(confirmed, 3_000);
});

test("carbon copies reach every queue that they name once, and nobody sees the blind ones", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  for (const queue of ["a", "b", "c"]) await channel.assertQueue(queue);
  channel.publish("", "a", Buffer.from("x"), { CC: ["b", "a"], BCC: ["c"], headers: { n: 1 } });
  await channel.waitForConfirms();
  for (const queue of ["a", "b", "c"]) {
    const { fields, properties } = await helper.get(queue, { noAck: true });
    assert.deepEqual(properties.headers, { CC: ["b", "a"], n: 1 });
    assert.equal(fields.routingKey, "a");
    assert.deepEqual(await helper.drain(queue), []);
  }
  for (const [queue, key] of [
    ["a", "1"],
    ["a", "2"],
    ["b", "2"],
  ] as const)
    await channel.bindQueue(queue, "amq.direct", key);
  channel.publish("amq.direct", "1", Buffer.from("y"), { CC: ["2"] });
  await channel.waitForConfirms();
  assert.deepEqual(await helper.drain("a"), ["y"]);
  assert.deepEqual(await helper.drain("b"), ["y"]);
});

test("what a message may not say closes the channel, in RabbitMQ's words", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  for (const [options, text] of [
    [{ userId: "other" }, "user_id property set to 'other' but authenticated user was 'guest'"],
    [{ expiration: "abc" }, "invalid expiration 'abc': no_integer"],
    [{ expiration: "-1" }, "invalid expiration '-1': {value_negative,-1}"],
    [{ expiration: "1.5" }, `invalid expiration '1.5': {leftover_string,".5"}`],
    [{ headers: { CC: "x" } }, 'invalid message: {unacceptable_type_in_header,"CC",longstr}'],
    [{ headers: { BCC: 2 } }, 'invalid message: {unacceptable_type_in_header,"BCC",byte}'],
  ] as [Options.Publish, string][])
    assert.equal(
      await client.failure((one) => one.publish("amq.direct", "k", Buffer.from("a"), options)),
      `406 ${text}`,
    );
});

test("immediate publishing closes the connection, as RabbitMQ does", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel();
  const address = { ticket: 0, exchange: "", routingKey: "q" };
  client.send(1, "basic.publish", { ...address, mandatory: false, immediate: true });
  client.socket.write(headerFrame(1, 0));
  const { replyCode, replyText } = await client.expect("connection.close");
  assert.deepEqual([replyCode, replyText], [540, "NOT_IMPLEMENTED - immediate=true"]);
  client.send(0, "connection.close-ok", {});
  await client.ended();
});

test("a message expires by its own time or by that of its queue, whichever is first", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("dead");
  await channel.assertQueue("q", { messageTtl: 30, deadLetterExchange: "", deadLetterRoutingKey: "dead" });
  const dead = await helper.consume("dead", { noAck: true });
  channel.sendToQueue("q", Buffer.from("long"), { expiration: "60000" });
  channel.sendToQueue("q", Buffer.from("short"), { expiration: "5" });
  assert.deepEqual((await dead.take(2)).sort(), ["long", "short"]);
});
