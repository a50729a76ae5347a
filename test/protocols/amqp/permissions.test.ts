import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel, ConfirmChannel } from "amqplib";
import { event, reply } from "../../../src/index.js";
import { hashPassword } from "../../../src/server/index.js";
import { Client, type TestChannel } from "./client.js";
import { serve } from "./serving.js";

interface Question {
  readonly id: string;
}

const Asked = event<Question, Question, Question>("asked");

test("a user does what its permissions say, on the broker's names and subjects, and is refused the rest", async (t) => {
  const password = await hashPassword("secret");
  const { port } = await serve(t, {
    users: [
      { name: "admin", password },
      {
        name: "anna",
        password,
        permissions: {
          publish: ["order.#"],
          subscribe: ["order.placed"],
          configure: ["anna*"],
          read: ["anna*", "amq.direct"],
          write: ["anna*", "amq.direct"],
        },
      },
    ],
  });
  const admin = await (await Client.connect(t, port, "admin:secret")).channel();
  await admin.channel.assertQueue("other");
  await admin.channel.assertExchange("others", "fanout");
  const anna = await Client.connect(t, port, "anna:secret");
  const { channel } = await anna.confirming();
  await channel.assertQueue("anna s");
  await channel.bindQueue("anna s", "amq.direct", "k");
  await channel.bindQueue("anna s", "amq.topic", "order.placed");
  channel.publish("amq.topic", "order.placed", Buffer.from("a"));
  channel.sendToQueue("anna s", Buffer.from("b"));
  await channel.waitForConfirms();
  await channel.consume("anna s", () => undefined);

  const body = Buffer.from("x");
  const refused = (what: string): string => `403 access to ${what} in vhost '/' refused for user 'anna'`;
  for (const [action, what] of [
    [(one) => one.assertQueue("other"), "queue 'other'"],
    [(one) => one.assertExchange("new", "direct"), "exchange 'new'"],
    [(one) => one.deleteQueue("other"), "queue 'other'"],
    [(one) => one.deleteExchange("others"), "exchange 'others'"],
    [(one) => one.purgeQueue("other"), "queue 'other'"],
    [(one) => one.consume("other", () => undefined), "queue 'other'"],
    [(one) => one.get("other"), "queue 'other'"],
    [(one) => one.sendToQueue("other", body), "queue 'other'"],
    [(one) => one.publish("others", "k", body), "exchange 'others'"],
    [(one) => one.publish("amq.topic", "salary", body), "exchange 'amq.topic'"],
    [(one) => one.bindQueue("anna s", "amq.topic", "#"), "exchange 'amq.topic'"],
    [(one) => one.bindQueue("anna s", "others", ""), "exchange 'others'"],
    [(one) => one.bindQueue("other", "amq.direct", "k"), "queue 'other'"],
    [(one) => one.bindExchange("others", "amq.direct", "k"), "exchange 'others'"],
    [(one) => one.assertQueue("anna2", { deadLetterExchange: "others" }), "exchange 'others'"],
    [
      (one) => one.assertQueue("anna2", { deadLetterExchange: "", deadLetterRoutingKey: "other" }),
      "queue 'other'",
    ],
    [(one) => one.assertExchange("anna2", "direct", { alternateExchange: "others" }), "exchange 'others'"],
    [(one) => one.sendToQueue("amq.rabbitmq.reply-to.salary", body), "queue 'amq.rabbitmq.reply-to.salary'"],
    [(one) => one.sendToQueue("anna s", body, { CC: ["other"] }), "queue 'other'"],
    [(one) => one.sendToQueue("anna s", body, { BCC: ["other"] }), "queue 'other'"],
    [(one) => one.publish("amq.topic", "order.placed", body, { CC: "salary" }), "exchange 'amq.topic'"],
    [(one) => one.publish("amq.topic", "order.placed", body, { BCC: "salary" }), "exchange 'amq.topic'"],
  ] as [(one: Channel) => unknown, string][])
    assert.equal(await anna.failure(action), refused(what));
});

test("nobody has an answer put into a queue that they may not write to, however they spell it", async (t) => {
  const password = await hashPassword("secret");
  const { port, bus } = await serve(t, {
    users: [
      { name: "admin", password },
      { name: "anna", password, permissions: { publish: ["asked"] } },
    ],
  });
  await bus.on(Asked, { group: "all", concurrency: 1 }, ({ id }) => reply({ id })).ready;
  const ask = (one: TestChannel<ConfirmChannel>, id: string, replyTo: string): Promise<void> => {
    one.channel.publish("amq.topic", "asked", Buffer.from(JSON.stringify({ id })), { replyTo });
    return one.channel.waitForConfirms();
  };
  const admin = await (await Client.connect(t, port, "admin:secret")).confirming();
  await admin.channel.assertQueue("salaries");
  const anna = await (await Client.connect(t, port, "anna:secret")).confirming();
  await ask(anna, "plain", "salaries");
  for (const spelling of ["_queue%2Esalaries", "_queue.salaries", "%5C_queue.salaries", "_queue.%5Csalaries"])
    await ask(anna, spelling, `amq.rabbitmq.reply-to.${spelling}`);
  await ask(admin, "admin's", "salaries");
  assert.deepEqual(JSON.parse((await admin.next("salaries")).content.toString()), { id: "admin's" });
});

test("what names a queue by its subject is confirmed when the queue has it, and refused when it has not", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.confirming();
  await channel.assertQueue("small", { arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } });
  const answerAt = "amq.rabbitmq.reply-to._queue%2Esmall";
  channel.sendToQueue(answerAt, Buffer.from("first"));
  await channel.waitForConfirms();
  assert.equal((await channel.checkQueue("small")).messageCount, 1);
  channel.sendToQueue(answerAt, Buffer.from("one too many"));
  await assert.rejects(channel.waitForConfirms());
  const refused =
    "403 routing key '_queue.small' names a queue: publish to the default exchange with 'small'";
  const body = Buffer.from("x");
  assert.equal(await client.failure((one) => one.publish("amq.topic", "_queue.small", body)), refused);
  assert.equal(
    await client.failure((one) => one.publish("amq.topic", "a", body, { CC: "_queue.small" })),
    refused,
  );
  assert.equal(await client.failure((one) => one.publish("amq.fanout", "_queue.small", body)), refused);
});

test("a reply_to that would end a line of another protocol is no subject", async (t) => {
  const { port, bus } = await serve(t);
  await bus.on(Asked, { group: "all" }, ({ id }) => reply({ id })).ready;
  const client = await Client.connect(t, port);
  const body = Buffer.from(JSON.stringify({ id: "x" }));
  assert.match(
    await client.failure((one) =>
      one.publish("amq.topic", "asked", body, { replyTo: "amq.rabbitmq.reply-to.x%0D%0AMSG" }),
    ),
    /^406 The subject .* holds a control character/,
  );
});

test("the default exchange is nobody's alternate, and a user without subjects gets nowhere by it", async (t) => {
  const password = await hashPassword("secret");
  const { port } = await serve(t, {
    users: [{ name: "anna", password, permissions: { configure: ["*"], read: ["*"], write: ["*"] } }],
  });
  const anna = await Client.connect(t, port, "anna:secret");
  assert.equal(
    await anna.failure((one) => one.assertExchange("mine", "direct", { alternateExchange: "" })),
    "403 operation not permitted on the default exchange",
  );
});

test("exchanges are told from what every object of JavaScript has", async (t) => {
  const { port } = await serve(t);
  const { channel } = await (await Client.connect(t, port)).channel();
  await channel.assertExchange("constructor", "direct");
  await channel.deleteExchange("constructor");
  await channel.assertExchange("constructor", "fanout");
});
