// What random sequences leave out: stories in which something happens by itself, or which need more than one consumer. Each
// returns what its client sees. Everything that is waited for is waited for with a consumer.

import type { ConfirmChannel, ConsumeMessage, Options } from "amqplib";
import type { Client, TestChannel } from "../../protocols/amqp/client.js";

export type Scenario = (client: Client) => Promise<unknown>;

const queue = (declared: Record<string, unknown> = {}): Options.AssertQueue => ({ arguments: declared });

/** What a consumer sees of a message; the time at which it died is nobody's but the server's. */
function shown({ fields, properties, content }: ConsumeMessage): unknown {
  const { exchange, routingKey, redelivered } = fields;
  const headers = Object.entries(properties.headers ?? {}).map(([name, value]) => [
    name,
    name === "x-death" ? withoutTimes(value) : value,
  ]);
  const said = Object.entries({ ...properties, headers: Object.fromEntries(headers) });
  return {
    exchange,
    routingKey,
    redelivered,
    properties: Object.fromEntries(said.filter(([, value]) => value !== undefined)),
    body: content.toString(),
  };
}

function withoutTimes(deaths: unknown): unknown {
  return (deaths as { readonly time: unknown }[]).map(({ time, ...death }) => death);
}

async function sent(
  { channel }: TestChannel<ConfirmChannel>,
  name: string,
  bodies: readonly string[],
  options: Options.Publish = {},
): Promise<void> {
  for (const body of bodies) channel.sendToQueue(name, Buffer.from(body), options);
  await channel.waitForConfirms();
}

/** A queue whose dead letters come to `dead` by an exchange. */
async function withDeadLetters(client: Client, name: string, declared: Record<string, unknown>) {
  const one = await client.confirming();
  const { channel } = one;
  await channel.assertExchange(`${name}.dlx`, "topic");
  await channel.assertQueue(`${name}.dead`);
  await channel.bindQueue(`${name}.dead`, `${name}.dlx`, "#");
  await channel.assertQueue(name, queue({ "x-dead-letter-exchange": `${name}.dlx`, ...declared }));
  return { ...one, one, channel, dead: await one.consume(`${name}.dead`, { noAck: true }) };
}

async function seenOf(dead: { next(): Promise<ConsumeMessage> }, count: number): Promise<unknown[]> {
  const seen: unknown[] = [];
  while (seen.length < count) seen.push(shown(await dead.next()));
  return seen;
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  "dead letters by reject, with the routing key kept or replaced": async (client) => {
    const seen: unknown[] = [];
    for (const [name, declared] of [
      ["rejected", {}],
      ["rejected.key", { "x-dead-letter-routing-key": "another.key" }],
    ] as const) {
      const { one, channel, dead } = await withDeadLetters(client, name, declared);
      await channel.assertExchange(`${name}.in`, "direct");
      await channel.bindQueue(name, `${name}.in`, "a.b");
      const headers = { CC: ["copied"], kept: 1 };
      channel.publish(`${name}.in`, "a.b", Buffer.from("1"), { headers, persistent: true, messageId: "m" });
      channel.publish(`${name}.in`, "a.b", Buffer.from("2"), { expiration: "600000" });
      await channel.waitForConfirms();
      channel.reject(await one.get(name), false);
      channel.nack(await one.get(name), false, false);
      seen.push(await seenOf(dead, 2));
    }
    return seen;
  },

  "dead letters by expiry of the queue and of the message": async (client) => {
    const byQueue = await withDeadLetters(client, "expired.queue", { "x-message-ttl": 200 });
    await sent(byQueue.one, "expired.queue", ["1", "2"], { priority: 3 });
    const byMessage = await withDeadLetters(client, "expired.message", {});
    await sent(byMessage.one, "expired.message", ["1"], { expiration: "150" });
    return [await seenOf(byQueue.dead, 2), await seenOf(byMessage.dead, 1)];
  },

  "dead letters by overflow": async (client) => {
    const { one, dead, channel } = await withDeadLetters(client, "overflowed", { "x-max-length": 2 });
    await sent(one, "overflowed", ["1", "2", "3", "4"]);
    return [await seenOf(dead, 2), (await channel.checkQueue("overflowed")).messageCount];
  },

  "a message that dies again and again": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    const back = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "retry.work" };
    await channel.assertQueue("retry.wait", queue({ ...back, "x-message-ttl": 50 }));
    const away = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "retry.wait" };
    await channel.assertQueue("retry.work", queue(away));
    const work = await one.consume("retry.work");
    await sent(one, "retry.work", ["job"]);
    const seen: unknown[] = [];
    for (let tries = 0; tries < 3; tries += 1) {
      const message = await work.next();
      seen.push(shown(message));
      channel.reject(message, false);
    }
    return [...seen, shown(await work.next())];
  },

  "the shorter of two times decides": async (client) => {
    const { one, dead } = await withDeadLetters(client, "shorter", { "x-message-ttl": 600_000 });
    await sent(one, "shorter", ["soon"], { expiration: "100" });
    await sent(one, "shorter", ["late"], { expiration: "600000" });
    return [await seenOf(dead, 1), await one.count("shorter")];
  },

  "messages of a higher priority come first": async (client) => {
    const one = await client.confirming();
    await one.channel.assertQueue("urgent", queue({ "x-max-priority": 5 }));
    for (const priority of [1, 5, 0, 9, 3, 5]) await sent(one, "urgent", [`p${priority}`], { priority });
    await sent(one, "urgent", ["none"]);
    return await one.drain("urgent");
  },

  "a headers exchange compares": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    await channel.assertExchange("by.headers", "headers");
    const conditions = {
      all: { "x-match": "all", a: "1", b: 2 },
      any: { "x-match": "any", a: "1", b: 2 },
      "all with x": { "x-match": "all-with-x", "x-a": "1" },
      nothing: {},
    };
    for (const [name, condition] of Object.entries(conditions)) {
      await channel.assertQueue(`headers.${name}`);
      await channel.bindQueue(`headers.${name}`, "by.headers", "", condition);
    }
    const headers = [{}, { a: "1" }, { a: "1", b: 2 }, { b: 2, c: true }, { a: "2", b: 3 }, { "x-a": "1" }];
    for (const [index, one] of headers.entries())
      channel.publish("by.headers", "", Buffer.from(String(index)), { headers: one });
    await channel.waitForConfirms();
    return await Promise.all(
      Object.keys(conditions).map(async (name) => [name, await one.drain(`headers.${name}`)]),
    );
  },

  "what an exchange leads nowhere goes to its alternate": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    await channel.assertExchange("alternate.last", "fanout");
    await channel.assertExchange("alternate.next", "direct", { alternateExchange: "alternate.last" });
    await channel.assertExchange("alternate.first", "direct", { alternateExchange: "alternate.next" });
    for (const name of ["first", "next", "last"]) {
      await channel.assertQueue(`alternate.${name}`);
      await channel.bindQueue(`alternate.${name}`, `alternate.${name}`, name);
    }
    for (const key of ["first", "next", "neither"])
      channel.publish("alternate.first", key, Buffer.from(key), { mandatory: true });
    await channel.waitForConfirms();
    return await Promise.all(["first", "next", "last"].map((name) => one.drain(`alternate.${name}`)));
  },

  "direct reply-to": async (client) => {
    const asking = await client.confirming();
    const answering = await client.confirming();
    await answering.channel.assertQueue("ask");
    const asked = await answering.consume("ask", { noAck: true });
    const replies = await asking.consume("amq.rabbitmq.reply-to", { noAck: true });
    await sent(asking, "ask", ["?"], { replyTo: "amq.rabbitmq.reply-to", correlationId: "7" });
    const question = await asked.next();
    await sent(answering, question.properties.replyTo, ["!"], {
      correlationId: "7",
      contentType: "text/plain",
    });
    const { fields, properties, content } = await replies.next();
    return [fields.exchange, properties.correlationId, properties.contentType, content.toString()];
  },

  "direct reply-to is refused where it cannot be": async (client) => [
    await client.failure((channel) => channel.consume("amq.rabbitmq.reply-to", () => undefined)),
    await client.failure(async (channel) => {
      await channel.assertQueue("ask.nobody");
      channel.sendToQueue("ask.nobody", Buffer.from("?"), { replyTo: "amq.rabbitmq.reply-to" });
      await channel.checkQueue("ask.nobody");
    }),
  ],

  "a consumer is told that its queue is gone": async (client) => {
    const one = await client.confirming();
    await one.channel.assertQueue("going");
    const consumption = await one.consume("going");
    await one.channel.deleteQueue("going");
    await consumption.cancelled;
    return (await client.failure((channel) => channel.checkQueue("going"))).toString();
  },

  "a quorum queue gives up after its limit": async (client) => {
    const declared = { "x-queue-type": "quorum", "x-delivery-limit": 2 };
    const { one, channel, dead } = await withDeadLetters(client, "limited", declared);
    await sent(one, "limited", ["job"]);
    const work = await one.consume("limited");
    const seen: unknown[] = [];
    for (let tries = 0; tries < 3; tries += 1) {
      const message = await work.next();
      const { headers } = message.properties;
      seen.push([message.fields.redelivered, headers?.["x-delivery-count"] ?? 0]);
      channel.nack(message);
    }
    const { properties } = await dead.next();
    return [seen, withoutTimes(properties.headers?.["x-death"])];
  },

  "an exclusive consumer is the only one": async (client) => {
    const one = await client.confirming();
    await one.channel.assertQueue("only");
    const consumption = await one.consume("only", { exclusive: true });
    const second = await client.failure((channel) => channel.consume("only", () => undefined));
    await one.channel.cancel(consumption.tag);
    await one.consume("only");
    const third = await client.failure((channel) =>
      channel.consume("only", () => undefined, { exclusive: true }),
    );
    return [second, third];
  },

  "consumers of a higher priority first": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    await channel.assertQueue("ranked");
    await channel.prefetch(2);
    const low = await one.consume("ranked", { priority: 1 });
    const high = await one.consume("ranked", { priority: 10 });
    await sent(one, "ranked", ["1", "2", "3", "4"]);
    return [await high.take(2), await low.take(2)];
  },

  "one consumer is active, the next takes over": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    await channel.assertQueue("single", queue({ "x-single-active-consumer": true }));
    const first = await one.consume("single");
    const second = await one.consume("single");
    await sent(one, "single", ["1", "2"]);
    const had = await first.take(2);
    await channel.cancel(first.tag);
    await sent(one, "single", ["3"]);
    return [had, await second.take(1), first.contents];
  },

  "what is recovered comes again, in order": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    await channel.assertQueue("recovered");
    await sent(one, "recovered", ["1", "2", "3"]);
    const taken = await one.consume("recovered");
    const before = await taken.take(3);
    channel.ack(taken.all[1]!);
    await channel.recover();
    const again = [await taken.next(), await taken.next()].map(shown);
    return [before, again];
  },

  "a prefetch for the channel": async (client) => {
    const one = await client.confirming();
    const { channel } = one;
    await channel.prefetch(3, true);
    for (const name of ["shared.1", "shared.2"]) {
      await channel.assertQueue(name);
      await sent(one, name, ["1", "2", "3", "4"]);
    }
    const first = await one.consume("shared.1");
    const had = await first.take(3);
    const second = await one.consume("shared.2");
    const waiting = [await one.count("shared.1"), await one.count("shared.2")];
    channel.ack(first.all[2]!, true);
    const more = [first, second].map((consumption) => consumption.next());
    await Promise.race(more);
    return [had, waiting, second.all.length <= 3];
  },
};
