import amqp from "amqplib";
import { runTutorials } from "./tutorials.mjs";

class Channel {
  constructor(channel) {
    this.channel = channel;
  }

  async declareQueue(name, { durable = false, exclusive = false }) {
    return (await this.channel.assertQueue(name, { durable, exclusive })).queue;
  }

  async deleteQueue(name) {
    return (await this.channel.deleteQueue(name)).messageCount;
  }

  declareExchange(name, type) {
    return this.channel.assertExchange(name, type, { durable: false });
  }

  deleteExchange(name) {
    return this.channel.deleteExchange(name);
  }

  bindQueue(queue, exchange, key) {
    return this.channel.bindQueue(queue, exchange, key);
  }

  /** Resolves at once, or with the confirm. */
  publish(exchange, key, body, options) {
    const confirms = "waitForConfirms" in this.channel;
    if (!confirms) return this.channel.publish(exchange, key, Buffer.from(body), options);
    return new Promise((resolve, reject) => {
      const done = (error) => (error ? reject(error) : resolve());
      this.channel.publish(exchange, key, Buffer.from(body), options, done);
    });
  }

  async consume(queue, { prefetch, noAck = false }, handle) {
    if (prefetch !== undefined) await this.channel.prefetch(prefetch);
    const heard = (message) => {
      if (message === null) return;
      const { fields, properties, content } = message;
      handle({
        body: content.toString(),
        routingKey: fields.routingKey,
        redelivered: fields.redelivered,
        headers: properties.headers,
        replyTo: properties.replyTo,
        correlationId: properties.correlationId,
        ack: () => this.channel.ack(message),
        nack: (requeue) => this.channel.nack(message, false, requeue),
      });
    };
    await this.channel.consume(queue, heard, { noAck });
  }

  onReturn(heard) {
    this.channel.on("return", ({ fields }) => heard(fields.replyCode, fields.replyText));
  }

  close() {
    return this.channel.close();
  }
}

async function open(url) {
  const connection = await amqp.connect(url);
  return {
    channel: async ({ confirms = false } = {}) =>
      new Channel(confirms ? await connection.createConfirmChannel() : await connection.createChannel()),
    close: () => connection.close(),
  };
}

await runTutorials(open, "amqplib.");
