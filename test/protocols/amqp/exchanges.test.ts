import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "amqplib";
import { Client } from "./client.js";
import { serve } from "./serving.js";

test("each type of exchange leads messages where RabbitMQ's does", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  for (const queue of ["direct", "fanout", "one word", "any", "all", "some", "there"])
    await channel.assertQueue(queue);
  await channel.bindQueue("direct", "amq.direct", "k");
  await channel.bindQueue("fanout", "amq.fanout", "whatever");
  await channel.bindQueue("one word", "amq.topic", "order.*.eu");
  await channel.bindQueue("any", "amq.topic", "order.#");
  await channel.bindQueue("all", "amq.headers", "", { "x-match": "all", region: "eu", n: 1 });
  await channel.bindQueue("some", "amq.match", "", { "x-match": "any", region: "eu", n: 1, "x-ignored": 1 });
  await channel.bindQueue("there", "amq.headers", "", { region: undefined });
  const publish = (exchange: string, key: string, headers = {}): void => {
    channel.publish(exchange, key, Buffer.from(`${key}${JSON.stringify(headers)}`), { headers });
  };
  for (const key of ["k", "K"]) publish("amq.direct", key);
  publish("amq.fanout", "f");
  for (const key of ["order.1.eu", "order", "order.1", "orders.1.eu", "order..eu", ""])
    publish("amq.topic", key);
  for (const headers of [{ region: "eu", n: 1 }, { region: "eu" }, { n: 1 }, { n: 2 }])
    for (const exchange of ["amq.headers", "amq.match"]) publish(exchange, "", headers);
  await channel.waitForConfirms();
  assert.deepEqual(await helper.drain("direct"), ["k{}"]);
  assert.deepEqual(await helper.drain("fanout"), ["f{}"]);
  assert.deepEqual(await helper.drain("one word"), ["order.1.eu{}", "order..eu{}"]);
  assert.deepEqual(await helper.drain("any"), ["order.1.eu{}", "order{}", "order.1{}", "order..eu{}"]);
  assert.deepEqual(await helper.drain("all"), ['{"region":"eu","n":1}']);
  assert.deepEqual(await helper.drain("some"), ['{"region":"eu","n":1}', '{"region":"eu"}', '{"n":1}']);
});

test("a consistent-hash exchange gives each routing key to one queue, in proportion to the weights", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const helper = await client.confirming();
  const { channel } = helper;
  await channel.assertExchange("hash", "x-consistent-hash");
  for (const [queue, weight] of [
    ["light", "1"],
    ["heavy", "3"],
  ] as const) {
    await channel.assertQueue(queue);
    await channel.bindQueue(queue, "hash", weight);
  }
  for (let round = 0; round < 2; round += 1)
    for (let key = 0; key < 200; key += 1) channel.publish("hash", `key ${key}`, Buffer.from(`${key}`));
  await channel.waitForConfirms();
  const light = await helper.drain("light");
  const heavy = await helper.drain("heavy");
  assert.equal(light.length + heavy.length, 400);
  assert.ok(light.length > 60 && light.length < 140, `${light.length} of 400`);
  assert.ok(light.every((key) => !heavy.includes(key)));
  assert.equal(
    await client.failure((one) => one.bindQueue("light", "hash", "a")),
    '406 The binding key must be an integer: <<"a">>',
  );
  assert.equal(
    await client.failure((one) => one.bindQueue("light", "hash", "0")),
    "406 The binding key must be greater than 0",
  );
});

test("a delayed exchange holds messages back for as long as they ask", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const helper = await client.confirming();
  const { channel } = helper;
  await channel.assertExchange("later", "x-delayed-message", { arguments: { "x-delayed-type": "direct" } });
  await channel.assertQueue("q");
  await channel.bindQueue("q", "later", "k");
  const messages = await helper.consume("q", { noAck: true });
  const sentMs = performance.now();
  channel.publish("later", "k", Buffer.from("late"), { headers: { "x-delay": 60 } });
  channel.publish("later", "k", Buffer.from("now"));
  assert.deepEqual(await messages.take(2), ["now", "late"]);
  assert.ok(performance.now() - sentMs >= 59);
  assert.equal(
    await client.failure((one) => one.assertExchange("worse", "x-delayed-message")),
    "406 Invalid argument, 'x-delayed-type' must be an existing exchange type",
  );
});

test("what nothing is bound for goes to the alternate, which may be declared later", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertExchange("first", "direct", { alternateExchange: "rest" });
  await channel.assertExchange("rest", "fanout");
  await channel.assertQueue("q");
  await channel.bindQueue("q", "rest", "");
  channel.publish("first", "nobody", Buffer.from("a"), { mandatory: true });
  await channel.waitForConfirms();
  const { fields } = await helper.get("q");
  assert.deepEqual([fields.exchange, fields.routingKey], ["first", "nobody"]);
});

test("exchanges are bound to exchanges, the bus included, and unbound", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertExchange("source", "topic");
  await channel.assertExchange("target", "fanout");
  await channel.assertQueue("q");
  await channel.bindQueue("q", "target", "");
  await channel.bindExchange("target", "source", "a.#");
  await channel.bindExchange("source", "amq.topic", "#");
  channel.publish("source", "a.b", Buffer.from("1"));
  channel.publish("source", "b", Buffer.from("not"));
  channel.publish("amq.topic", "a", Buffer.from("2"));
  await channel.waitForConfirms();
  await channel.unbindExchange("target", "source", "a.#");
  await channel.unbindExchange("target", "source", "never.bound");
  channel.publish("source", "a.b", Buffer.from("3"));
  await channel.waitForConfirms();
  assert.deepEqual(await helper.drain("q"), ["1", "2"]);
});

test("bindings with other keys or arguments are others, and each is undone by itself", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("q");
  await channel.bindQueue("q", "amq.fanout", "one");
  await channel.bindQueue("q", "amq.fanout", "two");
  await channel.unbindQueue("q", "amq.fanout", "one");
  channel.publish("amq.fanout", "", Buffer.from("once"));
  await channel.waitForConfirms();
  await channel.unbindQueue("q", "amq.fanout", "two");
  channel.publish("amq.fanout", "", Buffer.from("no more"));
  await channel.waitForConfirms();
  assert.deepEqual(await helper.drain("q"), ["once"]);
});

test("an auto-delete exchange goes with its last binding", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertExchange("passing", "topic", { autoDelete: true });
  await channel.assertQueue("q");
  await channel.bindQueue("q", "passing", "k");
  await channel.unbindQueue("q", "passing", "k");
  assert.equal(
    await client.failure((one) => one.checkExchange("passing")),
    "404 no exchange 'passing' in vhost '/'",
  );
});

test("what is declared again has to be the same, and what differs is named", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertExchange("x", "direct");
  await channel.assertExchange("x", "direct");
  await channel.assertExchange("amq.direct", "direct");
  const differently: [string, Options.AssertExchange, string][] = [
    ["fanout", {}, "'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'"],
    [
      "direct",
      { durable: false },
      "'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'",
    ],
    [
      "direct",
      { autoDelete: true },
      "'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
    ],
    [
      "direct",
      { internal: true },
      "'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
    ],
    [
      "direct",
      { alternateExchange: "y" },
      "'alternate-exchange' for exchange 'x' in vhost '/': received the value 'y' of type 'longstr' but current is none",
    ],
  ];
  for (const [type, options, text] of differently)
    assert.equal(
      await client.failure((one) => one.assertExchange("x", type, options)),
      `406 inequivalent arg ${text}`,
    );
});

test("what is not there, is the server's own or is in use is refused as RabbitMQ does", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertQueue("q");
  await channel.assertExchange("inner", "direct", { internal: true });
  await channel.bindQueue("q", "inner", "k");
  const notDefault = "403 operation not permitted on the default exchange";
  const missing = "404 no exchange 'nope' in vhost '/'";
  for (const [action, text] of [
    [(one) => one.checkExchange("nope"), missing],
    [(one) => one.bindQueue("q", "nope", "k"), missing],
    [(one) => one.bindExchange("amq.direct", "nope", "k"), missing],
    [(one) => one.bindExchange("nope", "amq.direct", "k"), missing],
    [(one) => one.publish("nope", "k", Buffer.from("a")), missing],
    [(one) => one.assertExchange("", "direct"), notDefault],
    [(one) => one.deleteExchange(""), notDefault],
    [(one) => one.bindQueue("q", "", "k"), notDefault],
    [(one) => one.unbindQueue("q", "", "k"), notDefault],
    [
      (one) => one.assertExchange("amq.mine", "direct"),
      "403 exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    ],
    [
      (one) => one.deleteExchange("amq.direct"),
      "403 deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ],
    [
      (one) => one.publish("inner", "k", Buffer.from("a")),
      "403 cannot publish to internal exchange 'inner' in vhost '/'",
    ],
    [(one) => one.deleteExchange("inner", { ifUnused: true }), "406 exchange 'inner' in vhost '/' in use"],
    [
      (one) => one.bindQueue("q", "amq.headers", "", { "x-match": "foo" }),
      '406 Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
    ],
  ] as [(one: typeof channel) => unknown, string][])
    assert.equal(await client.failure(action), text);
  await channel.deleteExchange("nope");
  await channel.unbindQueue("q", "nope", "k");
  await channel.deleteExchange("inner");
});

test("a type of exchange that there is not closes the connection", async (t) => {
  const { port } = await serve(t);
  for (const [type, text] of [
    ["foo", "COMMAND_INVALID - invalid exchange type 'foo'"],
    ["x-foo", "COMMAND_INVALID - unknown exchange type 'x-foo'"],
  ] as const) {
    const client = await Client.connect(t, port);
    const { channel } = await client.channel();
    await assert.rejects(channel.assertExchange("x", type));
    assert.match(await client.closed, new RegExp(text));
  }
});
