import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Options } from "amqplib";
import { openBus } from "../../../src/index.js";
import { openServer } from "../../../src/server/open-server.js";
import { Client } from "./client.js";
import { serve } from "./serving.js";

const quorum = { "x-queue-type": "quorum" };

test("a queue is declared, found again, counted and deleted", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel, ...helper } = await client.confirming();
  const declared = await channel.assertQueue("orders");
  assert.deepEqual(declared, { queue: "orders", messageCount: 0, consumerCount: 0 });
  channel.sendToQueue("orders", Buffer.from("a"));
  channel.sendToQueue("orders", Buffer.from("b"));
  await channel.waitForConfirms();
  await channel.consume("orders", () => undefined, { consumerTag: "c" });
  await channel.cancel("c");
  assert.deepEqual(await channel.assertQueue("orders"), {
    queue: "orders",
    messageCount: 0,
    consumerCount: 0,
  });
  assert.deepEqual(await channel.deleteQueue("orders"), { messageCount: 0 });
  assert.deepEqual(await channel.deleteQueue("orders"), { messageCount: 0 });
  await assert.rejects(channel.checkQueue("orders"));
  assert.equal(await helper.closed, "404 no queue 'orders' in vhost '/'");
});

test("what is declared again has to be the same, and what differs is named", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertQueue("q", { durable: true, arguments: { "x-message-ttl": 60_000, "x-unknown": 1 } });
  await channel.assertQueue("plain");
  const differently: [string, Options.AssertQueue, string][] = [
    [
      "plain",
      { durable: false },
      "'durable' for queue 'plain' in vhost '/': received 'false' but current is 'true'",
    ],
    [
      "plain",
      { autoDelete: true },
      "'auto_delete' for queue 'plain' in vhost '/': received 'true' but current is 'false'",
    ],
    [
      "plain",
      { messageTtl: 1000 },
      "'x-message-ttl' for queue 'plain' in vhost '/': received the value '1000' of type 'short' but current is none",
    ],
    [
      "plain",
      { deadLetterExchange: "x" },
      "'x-dead-letter-exchange' for queue 'plain' in vhost '/': received the value 'x' of type 'longstr' but current is none",
    ],
    [
      "plain",
      { arguments: quorum },
      "'x-queue-type' for queue 'plain' in vhost '/': received the value 'quorum' of type 'longstr' but current is none",
    ],
    [
      "q",
      { messageTtl: 61_000 },
      "'x-message-ttl' for queue 'q' in vhost '/': received '61000' but current is '60000'",
    ],
    [
      "q",
      {},
      "'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '60000' of type 'signedint'",
    ],
  ];
  for (const [queue, options, text] of differently)
    assert.equal(
      await client.failure((one) => one.assertQueue(queue, options)),
      `406 inequivalent arg ${text}`,
    );
  await channel.assertQueue("q", { arguments: { "x-message-ttl": 60_000, "x-unknown": 2 } });
  await channel.assertQueue("plain", { arguments: { "x-queue-type": "classic" } });
});

test("arguments that no queue has are refused in RabbitMQ's words", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const wrong: [Options.AssertQueue, string][] = [
    [
      { arguments: { "x-message-ttl": -1 } },
      "'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
    ],
    [
      { arguments: { "x-message-ttl": "1" } },
      `'x-message-ttl' for queue 'q' in vhost '/': "expected integer, got longstr"`,
    ],
    [{ arguments: { "x-expires": 0 } }, "'x-expires' for queue 'q' in vhost '/': {value_zero,0}"],
    [{ arguments: { "x-max-length": -1 } }, "'x-max-length' for queue 'q' in vhost '/': {value_negative,-1}"],
    [
      { arguments: { "x-max-priority": 256 } },
      "'x-max-priority' for queue 'q' in vhost '/': {max_value_exceeded,256}",
    ],
    [{ arguments: { "x-overflow": "foo" } }, "'x-overflow' for queue 'q' in vhost '/': invalid_overflow"],
    [{ arguments: { "x-overflow": 1 } }, "'x-overflow' for queue 'q' in vhost '/': {unacceptable_type,byte}"],
    [
      { arguments: { "x-dead-letter-routing-key": "k" } },
      "'x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined",
    ],
    [
      { arguments: { "x-single-active-consumer": "yes" } },
      "'x-single-active-consumer' for queue 'q' in vhost '/': {unacceptable_type,longstr}",
    ],
    [
      { arguments: { "x-queue-type": "foo" } },
      `'x-queue-type' for queue 'q' in vhost '/': "unsupported queue type 'foo'"`,
    ],
    [
      { arguments: { "x-delivery-limit": 3 } },
      "'x-delivery-limit' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
    ],
    [
      { arguments: { ...quorum, "x-max-priority": 3 } },
      "'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
    ],
  ];
  for (const [options, text] of wrong)
    assert.equal(await client.failure((one) => one.assertQueue("q", options)), `406 invalid arg ${text}`);
  const properties: [Options.AssertQueue, string][] = [
    [{ durable: false }, "non-durable"],
    [{ exclusive: true }, "exclusive-owner"],
    [{ autoDelete: true }, "auto-delete"],
  ];
  for (const [options, text] of properties)
    assert.equal(
      await client.failure((one) => one.assertQueue("q", { ...options, arguments: quorum })),
      `406 invalid property '${text}' for queue 'q' in vhost '/'`,
    );
  assert.equal(
    await client.failure((one) => one.assertQueue("q", { arguments: { "x-dead-letter-exchange": 1 } })),
    "406 invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
  );
});

test("what is not there, is reserved or is nobody's is refused as RabbitMQ does", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const missing = "404 no queue 'nope' in vhost '/'";
  assert.equal(await client.failure((one) => one.checkQueue("nope")), missing);
  assert.equal(await client.failure((one) => one.purgeQueue("nope")), missing);
  assert.equal(await client.failure((one) => one.consume("nope", () => undefined)), missing);
  assert.equal(await client.failure((one) => one.get("nope")), missing);
  assert.equal(await client.failure((one) => one.bindQueue("nope", "amq.direct", "k")), missing);
  assert.equal(
    await client.failure((one) => one.assertQueue("amq.mine")),
    "403 queue name 'amq.mine' contains reserved prefix 'amq.*'",
  );
  assert.equal(await client.failure((one) => one.checkQueue("")), "404 no previously declared queue");
});

test("an empty name asks the server for one, and then stands for the queue that was declared last", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  assert.match(queue, /^amq\.gen-[A-Za-z0-9_-]{22}$/);
  assert.equal((await channel.checkQueue("")).queue, queue);
  await channel.bindQueue("", "amq.direct", "");
  channel.publish("amq.direct", queue, Buffer.from("by its name"));
  assert.equal((await (await client.channel()).next(queue)).content.toString(), "by its name");
  assert.deepEqual(await channel.assertQueue(queue, { exclusive: true }), {
    queue,
    messageCount: 0,
    consumerCount: 0,
  });
});

test("an exclusive queue is for its connection alone, and goes with it", async (t) => {
  const { port } = await serve(t);
  const owner = await Client.connect(t, port);
  const { channel } = await owner.channel();
  await channel.assertQueue("mine", { exclusive: true });
  const other = await Client.connect(t, port);
  const locked =
    "405 cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
  assert.equal(await other.failure((one) => one.assertQueue("mine", { exclusive: true })), locked);
  assert.equal(await other.failure((one) => one.checkQueue("mine")), locked);
  assert.equal(await other.failure((one) => one.consume("mine", () => undefined)), locked);
  assert.equal(await other.failure((one) => one.get("mine")), locked);
  assert.equal(await other.failure((one) => one.bindQueue("mine", "amq.direct", "k")), locked);
  assert.equal(await other.failure((one) => one.purgeQueue("mine")), locked);
  assert.equal(await other.failure((one) => one.deleteQueue("mine")), locked);
  assert.equal(await owner.failure((one) => one.assertQueue("mine")), locked);
  // Whoever knows its name may send to it.
  const { channel: sending } = await other.confirming();
  sending.sendToQueue("mine", Buffer.from("hello"));
  await sending.waitForConfirms();
  assert.equal((await (await owner.channel()).next("mine")).content.toString(), "hello");
  await owner.close();
  let text = locked;
  while (text === locked) text = await other.failure((one) => one.checkQueue("mine"));
  assert.equal(text, "404 no queue 'mine' in vhost '/'");
});

test("an auto-delete queue goes with its last consumer, and one that expires when nobody uses it", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertQueue("passing", { autoDelete: true });
  await channel.assertQueue("idle", { expires: 20 });
  const { consumerTag } = await channel.consume("passing", () => undefined);
  await channel.cancel(consumerTag);
  for (const queue of ["passing", "idle"])
    assert.equal(
      await client.failure(async (one) => {
        // The passive declaration is no use: it is gone at last.
        for (;;) await one.checkQueue(queue);
      }),
      `404 no queue '${queue}' in vhost '/'`,
    );
});

test("a queue is deleted if it is unused, or empty, as was asked", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.confirming();
  await channel.assertQueue("q");
  await channel.consume("q", () => undefined, { consumerTag: "c" });
  assert.equal(
    await client.failure((one) => one.deleteQueue("q", { ifUnused: true })),
    "406 queue 'q' in vhost '/' in use",
  );
  await channel.cancel("c");
  channel.sendToQueue("q", Buffer.from("a"));
  await channel.waitForConfirms();
  assert.equal(
    await client.failure((one) => one.deleteQueue("q", { ifEmpty: true })),
    "406 queue 'q' in vhost '/' not empty",
  );
  // What is being worked on is neither use nor content.
  await (await client.channel()).get("q");
  assert.deepEqual(await channel.deleteQueue("q", { ifUnused: true, ifEmpty: true }), { messageCount: 0 });
});

test("what was fetched and is not answered is no consumer, and no message of the queue", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.confirming();
  await channel.assertQueue("q", { autoDelete: true, arguments: { "x-single-active-consumer": true } });
  for (const body of ["a", "b"]) channel.sendToQueue("q", Buffer.from(body));
  await channel.waitForConfirms();
  assert.ok((await channel.get("q")) !== false);
  const consumed = await new Promise<string>((resolve) => {
    void channel.consume("q", (message) => resolve(message!.content.toString()), { consumerTag: "c" });
  });
  assert.equal(consumed, "b");
  assert.deepEqual(await channel.checkQueue("q"), { queue: "q", messageCount: 0, consumerCount: 1 });
  await channel.cancel("c");
  const gone = await client.channel();
  await assert.rejects(gone.channel.checkQueue("q"), /no queue 'q'/);
});

test("a queue that refuses a message keeps it from no other", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.confirming();
  const refusing = { "x-max-length": 1, "x-overflow": "reject-publish" };
  await channel.assertQueue("full", { arguments: refusing });
  await channel.assertQueue("roomy");
  await channel.assertExchange("all", "fanout");
  for (const queue of ["full", "roomy"]) await channel.bindQueue(queue, "all", "");
  channel.publish("all", "", Buffer.from("a"));
  await channel.waitForConfirms();
  channel.publish("all", "", Buffer.from("b"));
  await assert.rejects(channel.waitForConfirms(), /nacked/);
  channel.publish("", "full", Buffer.from("c"), { CC: ["roomy"] });
  await assert.rejects(channel.waitForConfirms(), /nacked/);
  const counts = await Promise.all(["full", "roomy"].map((queue) => channel.checkQueue(queue)));
  assert.deepEqual(
    counts.map(({ messageCount }) => messageCount),
    [1, 3],
  );
});

test("purging removes what waits, and leaves what is being worked on", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const helper = await client.confirming();
  const { channel } = helper;
  await channel.assertQueue("q");
  for (const content of ["a", "b", "c"]) channel.sendToQueue("q", Buffer.from(content));
  await channel.waitForConfirms();
  const first = await helper.get("q");
  assert.deepEqual(await channel.purgeQueue("q"), { messageCount: 2 });
  channel.nack(first);
  assert.deepEqual(await helper.drain("q"), ["a"]);
});

test("durable queues outlive the server with what is in them, others do not", async (t) => {
  const path = await mkdtemp(join(tmpdir(), "omnibus-amqp-"));
  t.after(() => rm(path, { recursive: true }));
  const open = async () => {
    const bus = await openBus(path);
    const server = await openServer(bus, { amqp: { port: 0 }, nats: "off", http: "off" });
    const close = async (): Promise<void> => {
      await server.close();
      await bus.close();
    };
    return { port: server.addresses.amqp!.port, close };
  };
  const first = await open();
  const client = await Client.connect(t, first.port);
  const { channel } = await client.confirming();
  await channel.assertExchange("lasting", "direct", { alternateExchange: "elsewhere" });
  await channel.assertExchange("passing", "direct", { durable: false });
  await channel.assertQueue("lasting", { arguments: { "x-max-priority": 3 } });
  await channel.assertQueue("passing", { durable: false });
  await channel.bindQueue("lasting", "lasting", "k");
  channel.publish("lasting", "k", Buffer.from("kept"), { persistent: true, headers: { n: 1 } });
  await channel.waitForConfirms();
  await client.close();
  await first.close();

  const second = await open();
  const again = await Client.connect(t, second.port);
  const helper = await again.channel();
  await helper.channel.assertQueue("lasting", { arguments: { "x-max-priority": 3 } });
  await helper.channel.assertExchange("lasting", "direct", { alternateExchange: "elsewhere" });
  const kept = await helper.get("lasting");
  assert.equal(kept.content.toString(), "kept");
  assert.deepEqual(kept.properties.headers, { n: 1 });
  assert.equal(
    await again.failure((one) => one.checkQueue("passing")),
    "404 no queue 'passing' in vhost '/'",
  );
  assert.equal(
    await again.failure((one) => one.checkExchange("passing")),
    "404 no exchange 'passing' in vhost '/'",
  );
  await again.close();
  await second.close();
});

test("names of any characters are names of queues", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const helper = await client.confirming();
  for (const queue of ["my queue", "a/b", "100%", "ünïcode 😀", "-", "."]) {
    assert.equal((await helper.channel.assertQueue(queue)).queue, queue);
    helper.channel.sendToQueue(queue, Buffer.from(queue));
    await helper.channel.waitForConfirms();
    const { fields, content } = await helper.get(queue, { noAck: true });
    assert.deepEqual([fields.routingKey, content.toString()], [queue, queue]);
  }
});
