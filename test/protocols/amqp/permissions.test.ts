import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel } from "amqplib";
import { hashPassword } from "../../../src/server/index.js";
import { Client } from "./client.js";
import { serve } from "./serving.js";

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
  ] as [(one: Channel) => unknown, string][])
    assert.equal(await anna.failure(action), refused(what));
});
