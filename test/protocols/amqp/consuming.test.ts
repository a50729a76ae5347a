import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, type TestChannel } from "./client.js";
import { RawClient } from "./raw-client.js";
import { serve } from "./serving.js";

/** A client with the queue `q`, and these messages in it. */
async function withMessages(t: Parameters<typeof serve>[0], contents: string, options = {}) {
  const { port, bus } = await serve(t);
  const client = await Client.connect(t, port);
  const helper = await client.confirming();
  await helper.channel.assertQueue("q", options);
  await send(helper, contents);
  return { port, bus, client, helper, channel: helper.channel };
}

async function send(helper: Awaited<ReturnType<Client["confirming"]>>, contents: string): Promise<void> {
  for (const content of contents) helper.channel.sendToQueue("q", Buffer.from(content));
  await helper.channel.waitForConfirms();
}

/** A round trip on the channel: what the server had to send before has come. */
async function settled({ channel }: TestChannel): Promise<void> {
  await channel.checkExchange("amq.direct");
}

test("messages are delivered in order, with tags that count up, and go when they are acked", async (t) => {
  const { client, helper } = await withMessages(t, "abc");
  const consuming = await client.channel();
  const messages = await consuming.consume("q");
  assert.deepEqual(await messages.take(3), ["a", "b", "c"]);
  assert.deepEqual(
    messages.all.map(({ fields }) => [fields.deliveryTag, fields.redelivered, fields.consumerTag]),
    [1, 2, 3].map((tag) => [tag, false, messages.tag]),
  );
  consuming.channel.ack(messages.all[0]!);
  consuming.channel.ack(messages.all[1]!, true);
  await settled(consuming);
  await consuming.channel.close();
  assert.deepEqual(await helper.drain("q"), ["c"]);
});

test("without acks a message is gone when it was delivered", async (t) => {
  const { client, helper } = await withMessages(t, "ab");
  const consuming = await client.channel();
  const messages = await consuming.consume("q", { noAck: true });
  await messages.take(2);
  await consuming.channel.close();
  assert.deepEqual(await helper.drain("q"), []);
});

test("what was not acked comes back in its place when its channel goes, marked as redelivered", async (t) => {
  const { client, helper } = await withMessages(t, "abcd");
  const consuming = await client.channel();
  await consuming.channel.prefetch(2);
  const messages = await consuming.consume("q");
  await messages.take(2);
  await consuming.channel.close();
  const again = await helper.consume("q", { noAck: true });
  assert.deepEqual(await again.take(4), ["a", "b", "c", "d"]);
  assert.deepEqual(
    again.all.map(({ fields }) => fields.redelivered),
    [true, true, false, false],
  );
});

test("messages are nacked and rejected, one or many, back to the queue or away", async (t) => {
  const { client, helper } = await withMessages(t, "abcde");
  const consuming = await client.channel();
  const messages = await consuming.consume("q");
  await messages.take(5);
  const [a, , c, d, e] = messages.all;
  consuming.channel.nack(a!, false, true);
  consuming.channel.nack(c!, true, false);
  consuming.channel.reject(d!, true);
  consuming.channel.reject(e!, false);
  // `a` and `d` come again to the same consumer.
  assert.deepEqual((await messages.take(2)).sort(), ["a", "d"]);
  assert.ok(messages.all.slice(5).every(({ fields }) => fields.redelivered));
  consuming.channel.ackAll();
  await settled(consuming);
  await consuming.channel.close();
  assert.deepEqual(await helper.drain("q"), []);
});

test("recovering gives everything back, the oldest first", async (t) => {
  const { client } = await withMessages(t, "abc");
  const consuming = await client.channel();
  const messages = await consuming.consume("q");
  await messages.take(3);
  await consuming.channel.recover();
  assert.deepEqual(await messages.take(3), ["a", "b", "c"]);
  assert.deepEqual(
    messages.all.map(({ fields }) => [fields.deliveryTag, fields.redelivered]),
    [1, 2, 3, 4, 5, 6].map((tag) => [tag, tag > 3]),
  );
});

test("an answer to what nothing waits for closes the channel", async (t) => {
  const { client } = await withMessages(t, "ab");
  const unknown = (tag: number): string => `406 unknown delivery tag ${tag}`;
  const message = (deliveryTag: number) => ({ fields: { deliveryTag } }) as Parameters<typeof ack>[0];
  const { ack } = (await client.channel()).channel;
  assert.equal(await client.failure((one) => one.ack(message(7))), unknown(7));
  assert.equal(await client.failure((one) => one.ack(message(7), true)), unknown(7));
  assert.equal(await client.failure((one) => one.nack(message(7))), unknown(7));
  for (const isMultiple of [false, true]) {
    const twice = await client.channel();
    const first = await twice.get("q");
    twice.channel.ack(first);
    twice.channel.ack(first, isMultiple);
    assert.equal(await twice.closed, unknown(1));
  }
  const nothing = await client.channel();
  nothing.channel.ackAll();
  nothing.channel.nackAll();
  await settled(nothing);
});

test("a consumer has no more than its prefetch, and gets more for each answer", async (t) => {
  const { client } = await withMessages(t, "abcdef");
  const consuming = await client.channel();
  await consuming.channel.prefetch(2);
  const two = await consuming.consume("q");
  await consuming.channel.prefetch(1);
  const one = await consuming.consume("q");
  await two.take(2);
  await one.take(1);
  await settled(consuming);
  assert.deepEqual([two.all.length, one.all.length], [2, 1]);
  consuming.channel.ack(one.all[0]!);
  await one.take(1);
  consuming.channel.ack(two.all[1]!, true);
  await two.take(2);
  await settled(consuming);
  assert.equal(two.all.length + one.all.length, 6);
});

test("a prefetch of the channel is shared by all its consumers", async (t) => {
  const { client } = await withMessages(t, "abcdefgh");
  const consuming = await client.channel();
  await consuming.channel.prefetch(3, true);
  const consumptions = [await consuming.consume("q"), await consuming.consume("q")];
  const count = (): number => consumptions.reduce((sum, { all }) => sum + all.length, 0);
  const wait = async (wanted: number): Promise<void> => {
    while (count() < wanted) await settled(consuming);
    await settled(consuming);
    assert.equal(count(), wanted);
  };
  await wait(3);
  consuming.channel.ack((consumptions[0]!.all[0] ?? consumptions[1]!.all[0])!);
  await wait(4);
  consuming.channel.ackAll();
  await wait(7);
});

test("consumers of a higher priority come first, and equal ones take turns", async (t) => {
  const { helper, client } = await withMessages(t, "");
  const consuming = await client.channel();
  await consuming.channel.prefetch(1);
  const low = await consuming.consume("q");
  const high = await consuming.consume("q", { arguments: { "x-priority": 5 } });
  await send(helper, "ab");
  assert.deepEqual([await high.take(1), await low.take(1)], [["a"], ["b"]]);
  assert.equal(
    await client.failure((one) => one.consume("q", () => undefined, { arguments: { "x-priority": "a" } })),
    `406 invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
  );
});

test("messages of a higher priority are delivered first", async (t) => {
  const { helper, channel } = await withMessages(t, "", { maxPriority: 5 });
  for (const [content, priority] of [
    ["a", 0],
    ["b", 5],
    ["c", 3],
    ["d", 9],
    ["e", undefined],
  ] as const)
    channel.sendToQueue("q", Buffer.from(content), priority === undefined ? {} : { priority });
  await channel.waitForConfirms();
  assert.deepEqual(await helper.drain("q"), ["b", "d", "c", "a", "e"]);
});

test("a single active consumer gets everything until it is cancelled", async (t) => {
  const options = { arguments: { "x-single-active-consumer": true } };
  const { helper, client } = await withMessages(t, "ab", options);
  const consuming = await client.channel();
  const first = await consuming.consume("q", { noAck: true });
  const second = await consuming.consume("q", { noAck: true });
  assert.deepEqual(await first.take(2), ["a", "b"]);
  await consuming.channel.cancel(first.tag);
  await send(helper, "c");
  assert.deepEqual(await second.take(1), ["c"]);
});

test("an exclusive consumer shares its queue with nobody", async (t) => {
  const { client, channel } = await withMessages(t, "");
  const inUse = "403 queue 'q' in vhost '/' in exclusive use";
  await channel.consume("q", () => undefined, { exclusive: true, consumerTag: "alone" });
  assert.equal(await client.failure((one) => one.consume("q", () => undefined)), inUse);
  await channel.cancel("alone");
  await channel.consume("q", () => undefined);
  assert.equal(await client.failure((one) => one.consume("q", () => undefined, { exclusive: true })), inUse);
});

test("a consumer tag is used once in a channel", async (t) => {
  const { client, channel } = await withMessages(t, "");
  await channel.consume("q", () => undefined, { consumerTag: "c" });
  assert.match((await channel.consume("q", () => undefined)).consumerTag, /^amq\.ctag-[A-Za-z0-9_-]{22}$/);
  await assert.rejects(channel.consume("q", () => undefined, { consumerTag: "c" }));
  assert.match(await client.closed, /530 .*NOT_ALLOWED - attempt to reuse consumer tag 'c'/);
});

test("a connection has no more consumers than it may", async (t) => {
  const { port } = await serve(t, { limits: { subscriptionsMax: 2 } });
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertQueue("q");
  await channel.consume("q", () => undefined, { consumerTag: "a" });
  await (await client.channel()).consume("q");
  await channel.cancel("a");
  await channel.consume("q", () => undefined);
  await assert.rejects(channel.consume("q", () => undefined));
  assert.match(await client.closed, /NOT_ALLOWED - reached maximum \(2\) of consumers per connection/);
});

test("a client that does not read is sent no more than may wait for it, and all of it when it reads on", async (t) => {
  const { port } = await serve(t, { limits: { pendingBytesMax: 1024 * 1024 } });
  const slow = await RawClient.open(port);
  await slow.openChannel();
  await slow.declareQueue("q");
  const consume = { ticket: 0, queue: "q", consumerTag: "c", noLocal: false, noAck: true, exclusive: false };
  slow.send(1, "basic.consume", { ...consume, noWait: false, arguments: new Map() });
  await slow.expect("basic.consume-ok");
  slow.socket.pause();
  const publishing = await (await Client.connect(t, port)).confirming();
  const count = 600;
  for (let number = 0; number < count; number += 1) publishing.channel.sendToQueue("q", Buffer.alloc(50_000));
  await publishing.channel.waitForConfirms();
  // What the system itself holds for the two ends of the socket comes on top.
  assert.ok((await publishing.count("q")) > count / 2);
  slow.socket.resume();
  for (let number = 0; number < count; number += 1) assert.equal((await slow.delivery()).length, 50_000);
  await slow.close();
});

test("consumers are told when their queue goes, and what they had is gone without a word", async (t) => {
  const { client, channel } = await withMessages(t, "a");
  const consuming = await client.channel();
  const messages = await consuming.consume("q");
  await messages.take(1);
  await channel.deleteQueue("q");
  await messages.cancelled;
  consuming.channel.ack(messages.all[0]!);
  await settled(consuming);
});

test("a client that cannot be told of a cancelled consumer is not", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel();
  await client.declareQueue("q");
  const consume = { ticket: 0, queue: "q", consumerTag: "c", noLocal: false, noAck: true, exclusive: false };
  client.send(1, "basic.consume", { ...consume, noWait: false, arguments: new Map() });
  await client.expect("basic.consume-ok");
  client.send(1, "queue.delete", { ticket: 0, queue: "q", ifUnused: false, ifEmpty: false, noWait: false });
  await client.expect("queue.delete-ok");
  client.send(1, "basic.qos", { prefetchSize: 0, prefetchCount: 1, global: false });
  await client.expect("basic.qos-ok");
  await client.close();
});

test("a cancelled consumer gets nothing more, and what it has may still be answered", async (t) => {
  const { helper, client } = await withMessages(t, "a");
  const consuming = await client.channel();
  const messages = await consuming.consume("q");
  await messages.take(1);
  await consuming.channel.cancel(messages.tag);
  await consuming.channel.cancel("never there");
  await send(helper, "b");
  await settled(consuming);
  consuming.channel.ack(messages.all[0]!);
  await settled(consuming);
  assert.deepEqual(messages.contents, ["a"]);
  await consuming.channel.close();
  assert.deepEqual(await helper.drain("q"), ["b"]);
});

test("a message is got on request, with how many are left, or the queue is said to be empty", async (t) => {
  const { helper, channel } = await withMessages(t, "abc");
  const first = await helper.get("q");
  assert.deepEqual(first.fields, {
    deliveryTag: 1,
    redelivered: false,
    exchange: "",
    routingKey: "q",
    messageCount: 2,
  });
  channel.nack(first);
  const again = await helper.get("q");
  assert.deepEqual([again.content.toString(), again.fields.redelivered], ["a", true]);
  channel.ack(again);
  assert.deepEqual(await helper.drain("q"), ["b", "c"]);
  assert.equal(await channel.get("q"), false);
});

test("a client that stops the flow of its channel gets nothing until it lets it go on", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel();
  await client.declareQueue("q");
  client.send(1, "channel.flow", { active: false });
  assert.equal((await client.expect("channel.flow-ok")).active, false);
  const consume = { ticket: 0, queue: "q", consumerTag: "c", noLocal: false, noAck: true, exclusive: false };
  client.send(1, "basic.consume", { ...consume, noWait: false, arguments: new Map() });
  await client.expect("basic.consume-ok");
  client.publish("", "q", Buffer.from("held back"));
  client.send(1, "basic.qos", { prefetchSize: 0, prefetchCount: 0, global: false });
  await client.expect("basic.qos-ok");
  client.send(1, "channel.flow", { active: true });
  await client.expect("channel.flow-ok");
  assert.equal((await client.delivery()).toString(), "held back");
  await client.close();
});

test("a prefetch in bytes and recovering without requeueing are not implemented, as in RabbitMQ", async (t) => {
  const { port } = await serve(t);
  for (const [send, text] of [
    [
      (one: RawClient) => one.send(1, "basic.qos", { prefetchSize: 10, prefetchCount: 0, global: false }),
      "NOT_IMPLEMENTED - prefetch_size!=0 (10)",
    ],
    [(one: RawClient) => one.send(1, "basic.recover", { requeue: false }), "NOT_IMPLEMENTED - requeue=false"],
  ] as const) {
    const client = await RawClient.open(port);
    await client.openChannel();
    send(client);
    const { replyCode, replyText } = await client.expect("connection.close");
    assert.deepEqual([replyCode, replyText], [540, text]);
    client.send(0, "connection.close-ok", {});
    await client.ended();
  }
});

test("a hundred thousand messages go through two consumers, each once", async (t) => {
  const { port } = await serve(t);
  const publishing = await (await Client.connect(t, port)).confirming();
  await publishing.channel.assertQueue("q", { durable: false });
  const seen = new Set<number>();
  const count = 100_000;
  const all = new Promise<void>((resolve) => {
    const take = async (noAck: boolean): Promise<void> => {
      const { channel } = await (await Client.connect(t, port)).channel();
      await channel.prefetch(200);
      await channel.consume(
        "q",
        (message) => {
          const number = message!.content.readUInt32BE();
          assert.ok(!seen.has(number));
          seen.add(number);
          if (!noAck && message!.fields.deliveryTag % 50 === 0) channel.ack(message!, true);
          if (seen.size === count) resolve();
        },
        { noAck },
      );
    };
    void take(true);
    void take(false);
  });
  const body = (number: number): Buffer => {
    const bytes = Buffer.alloc(100);
    bytes.writeUInt32BE(number);
    return bytes;
  };
  for (let number = 0; number < count; number += 1) {
    publishing.channel.sendToQueue("q", body(number));
    if (number % 1000 === 999) await publishing.channel.waitForConfirms();
  }
  await all;
});
