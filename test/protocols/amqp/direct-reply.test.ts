import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "./client.js";
import { serve } from "./serving.js";

const DIRECT = "amq.rabbitmq.reply-to";

test("answers go straight to the channel that asked, each with its correlation id", async (t) => {
  const { port } = await serve(t);
  const service = await (await Client.connect(t, port)).channel();
  await service.channel.assertQueue("square", { durable: false });
  await service.channel.consume(
    "square",
    (message) => {
      const { replyTo, correlationId } = message!.properties;
      const answer = Buffer.from(String(Number(message!.content.toString()) ** 2));
      service.channel.sendToQueue(replyTo, answer, { correlationId, headers: { answered: true } });
    },
    { noAck: true },
  );
  const asking = await (await Client.connect(t, port)).channel();
  const answers = await asking.consume(DIRECT, { noAck: true });
  for (const number of [2, 3, 4])
    asking.channel.sendToQueue("square", Buffer.from(`${number}`), {
      replyTo: DIRECT,
      correlationId: `question ${number}.?`,
    });
  for (const [index, number] of [2, 3, 4].entries()) {
    const { content, properties, fields } = await answers.next();
    assert.equal(content.toString(), String(number ** 2));
    assert.equal(properties.correlationId, `question ${number}.?`);
    assert.deepEqual(properties.headers, { answered: true });
    assert.equal(fields.exchange, "");
    assert.match(fields.routingKey, /^amq\.rabbitmq\.reply-to\../);
    assert.equal(fields.deliveryTag, index + 1);
  }
});

test("an answer without a correlation id has that of its question", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).channel();
  const { channel } = helper;
  await channel.assertQueue("q");
  const questions = await helper.consume("q", { noAck: true });
  const answers = await helper.consume(DIRECT, { noAck: true });
  channel.sendToQueue("q", Buffer.from("?"), { replyTo: DIRECT, correlationId: "c/1" });
  const question = await questions.next();
  channel.sendToQueue(question.properties.replyTo, Buffer.from("!"));
  assert.equal((await answers.next()).properties.correlationId, "c/1");
});

test("the same question is asked by whoever consumes answers at the time", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const helper = await client.channel();
  const { channel } = helper;
  await channel.assertQueue("q");
  const questions = await helper.consume("q", { noAck: true });
  for (let round = 0; round < 3; round += 1) {
    const answers = await helper.consume(DIRECT, { noAck: true });
    for (let asked = 0; asked < 3; asked += 1) {
      channel.sendToQueue("q", Buffer.from("?"), { replyTo: DIRECT });
      channel.sendToQueue((await questions.next()).properties.replyTo, Buffer.from("!"));
      assert.equal((await answers.next()).content.toString(), "!");
    }
    await channel.cancel(answers.tag);
  }
  channel.sendToQueue("q", Buffer.from("?"), { replyTo: DIRECT });
  assert.equal(await helper.closed, "406 fast reply consumer does not exist");
});

test("an answer for somebody who has gone, or never was, leads nowhere", async (t) => {
  const { port } = await serve(t);
  const helper = await (await Client.connect(t, port)).confirming();
  const { channel } = helper;
  await channel.assertQueue("q");
  const asking = await (await Client.connect(t, port)).confirming();
  await asking.channel.consume(DIRECT, () => undefined, { noAck: true });
  asking.channel.sendToQueue("q", Buffer.from("?"), { replyTo: DIRECT });
  await asking.channel.waitForConfirms();
  const question = await helper.get("q", { noAck: true });
  await asking.channel.close();
  const returned = new Promise<string[]>((resolve) => {
    const keys: string[] = [];
    channel.on("return", ({ content }: { content: Buffer }) => {
      keys.push(content.toString());
      if (keys.length === 2) resolve(keys);
    });
  });
  channel.sendToQueue(question.properties.replyTo, Buffer.from("gone"), { mandatory: true });
  channel.sendToQueue(`${DIRECT}.bogus`, Buffer.from("bogus"), { mandatory: true });
  assert.deepEqual(await returned, ["gone", "bogus"]);
});

test("the pseudo-queue is used as RabbitMQ has it, or the channel is closed", async (t) => {
  const { port } = await serve(t);
  const client = await Client.connect(t, port);
  const { channel } = await client.channel();
  await channel.assertQueue("q");
  const options = { noAck: true };
  assert.equal(
    await client.failure((one) => one.consume(DIRECT, () => undefined)),
    "406 reply consumer cannot acknowledge",
  );
  assert.equal(
    await client.failure(async (one) => {
      await one.consume(DIRECT, () => undefined, options);
      await one.consume(DIRECT, () => undefined, options);
    }),
    "406 reply consumer already set",
  );
  assert.equal(
    await client.failure((one) => one.sendToQueue("q", Buffer.from("?"), { replyTo: DIRECT })),
    "406 fast reply consumer does not exist",
  );
  assert.deepEqual(await channel.checkQueue(DIRECT), { queue: DIRECT, messageCount: 0, consumerCount: 1 });
  const { consumerTag } = await channel.consume(DIRECT, () => undefined, options);
  await channel.cancel(consumerTag);
  await channel.consume(DIRECT, () => undefined, options);
});
