// The tutorials of RabbitMQ, written once for every client of Node. A client is a few verbs (see amqplib.mjs); what was
// seen is printed as one JSON object.

const TASKS = ["First.", "Second..", "Third...", "Fourth....", "Fifth....."];
const CRITTERS = [
  "quick.orange.rabbit",
  "lazy.orange.elephant",
  "quick.orange.fox",
  "lazy.brown.fox",
  "lazy.pink.rabbit",
  "quick.brown.fox",
  "orange",
  "quick.orange.new.rabbit",
  "lazy.orange.new.rabbit",
];
const LATE_MS = 10_000;

/** Runs them all. `open(url)` gives a client; `prefix` begins every name. */
export async function runTutorials(open, prefix) {
  const client = await open(process.argv[2]);
  const seen = {
    hello: await hello(client, prefix),
    "work queues": await workQueues(client, prefix),
    "publish/subscribe": await publishSubscribe(client, prefix),
    routing: await routing(client, prefix),
    topics: await topics(client, prefix),
    rpc: await rpc(client, prefix),
    "publisher confirms": await publisherConfirms(client, prefix),
  };
  await client.close();
  process.stdout.write(`${JSON.stringify(seen)}\n`);
}

/** The next messages of a queue, each acknowledged. */
async function take(client, queue, count) {
  const taken = [];
  const channel = await client.channel();
  await within(`${queue}: ${count} messages`, (done) =>
    channel.consume(queue, {}, (message) => {
      message.ack();
      if (taken.length < count) taken.push(message);
      if (taken.length === count) done();
    }),
  );
  await channel.close();
  return taken;
}

/** On a channel of its own: a client may consume again when a queue goes while it consumes. */
async function deleteQueue(client, queue) {
  const channel = await client.channel();
  await channel.deleteQueue(queue);
  await channel.close();
}

/** Rejects when `begin` does not call its argument in time. */
async function within(what, begin) {
  let timer;
  await new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), LATE_MS);
    Promise.resolve(begin(resolve)).catch(reject);
  });
  clearTimeout(timer);
}

async function hello(client, prefix) {
  const queue = `${prefix}hello`;
  const channel = await client.channel();
  await channel.declareQueue(queue, {});
  await channel.publish("", queue, "Hello World!", {});
  const taken = await take(client, queue, 1);
  await channel.deleteQueue(queue);
  await channel.close();
  return taken.map(({ body }) => body);
}

async function workQueues(client, prefix) {
  const queue = `${prefix}task_queue`;
  const sender = await client.channel();
  await sender.declareQueue(queue, { durable: true });
  for (const task of TASKS) await sender.publish("", queue, task, { persistent: true });
  const done = [];
  const again = [];
  const workers = [await client.channel(), await client.channel()];
  await within("all tasks", async (resolve) => {
    const work = (message) => {
      if (message.body === TASKS[0] && !message.redelivered) return message.nack(true);
      if (message.redelivered) again.push(message.body);
      done.push(message.body);
      message.ack();
      if (done.length === TASKS.length) resolve();
      return undefined;
    };
    for (const worker of workers) await worker.consume(queue, { prefetch: 1 }, work);
  });
  for (const worker of workers) await worker.close();
  const left = await sender.deleteQueue(queue);
  await sender.close();
  return { done: done.sort(), again, left };
}

async function publishSubscribe(client, prefix) {
  const exchange = `${prefix}logs`;
  const channel = await client.channel();
  await channel.declareExchange(exchange, "fanout");
  const queues = [];
  for (let count = 0; count < 2; count += 1) queues.push(await boundQueue(channel, exchange, [""]));
  for (const line of ["one", "two"]) await channel.publish(exchange, "", line, {});
  const seen = [];
  for (const queue of queues) seen.push((await take(client, queue, 2)).map(({ body }) => body));
  await channel.deleteExchange(exchange);
  await channel.close();
  return seen;
}

async function boundQueue(channel, exchange, keys) {
  const queue = await channel.declareQueue("", { exclusive: true });
  for (const key of keys) await channel.bindQueue(queue, exchange, key);
  return queue;
}

async function routing(client, prefix) {
  const exchange = `${prefix}direct_logs`;
  const channel = await client.channel();
  await channel.declareExchange(exchange, "direct");
  const queue = await boundQueue(channel, exchange, ["warning", "error"]);
  for (const severity of ["info", "warning", "error"])
    await channel.publish(exchange, severity, `a ${severity}`, {});
  const seen = (await take(client, queue, 2)).map(({ routingKey, body }) => [routingKey, body]);
  await channel.deleteExchange(exchange);
  await channel.close();
  return seen;
}

async function topics(client, prefix) {
  const exchange = `${prefix}topic_logs`;
  const channel = await client.channel();
  await channel.declareExchange(exchange, "topic");
  const orange = await boundQueue(channel, exchange, ["*.orange.*"]);
  const rabbits = await boundQueue(channel, exchange, ["*.*.rabbit", "lazy.#"]);
  for (const critter of CRITTERS) await channel.publish(exchange, critter, critter, {});
  const seen = {
    orange: (await take(client, orange, 3)).map(({ body }) => body),
    rabbits: (await take(client, rabbits, 5)).map(({ body }) => body),
  };
  await channel.deleteExchange(exchange);
  await channel.close();
  return seen;
}

function fibonacci(n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

async function rpc(client, prefix) {
  const queue = `${prefix}rpc_queue`;
  const server = await client.channel();
  await server.declareQueue(queue, {});
  await server.consume(queue, {}, (message) => {
    const { replyTo, correlationId } = message;
    message.ack();
    return server.publish("", replyTo, String(fibonacci(Number(message.body))), { correlationId });
  });
  const seen = {};
  for (const way of ["a queue", "direct reply-to"]) {
    const asker = await client.channel();
    const replyTo =
      way === "a queue" ? await asker.declareQueue("", { exclusive: true }) : "amq.rabbitmq.reply-to";
    const answers = [];
    await within(`an answer over ${way}`, async (resolve) => {
      await asker.consume(replyTo, { noAck: true }, ({ correlationId, body }) => {
        answers.push([correlationId, body]);
        resolve();
      });
      await asker.publish("", queue, "10", { replyTo, correlationId: "ask-1" });
    });
    seen[way] = answers;
    await asker.close();
  }
  await server.close();
  await deleteQueue(client, queue);
  return seen;
}

async function publisherConfirms(client, prefix) {
  const queue = `${prefix}confirmed`;
  const channel = await client.channel({ confirms: true });
  await channel.declareQueue(queue, { durable: true });
  const returned = [];
  channel.onReturn((code, text) => returned.push([code, text]));
  const confirmed = [];
  for (let number = 0; number < 20; number += 1)
    confirmed.push(channel.publish("", queue, String(number), { persistent: true, headers: { number } }));
  await Promise.all(confirmed);
  await channel.publish("", `${prefix}nowhere`, "lost", { mandatory: true });
  const numbers = (await take(client, queue, 20)).map(({ headers }) => headers.number);
  await channel.deleteQueue(queue);
  await channel.close();
  return { numbers, refused: returned[0] ?? null };
}
