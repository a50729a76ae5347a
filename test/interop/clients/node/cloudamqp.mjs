import { AMQPClient } from "@cloudamqp/amqp-client";
import { runTutorials } from "./tutorials.mjs";

class Channel {
  constructor(channel) {
    this.channel = channel;
  }

  async declareQueue(name, { durable = false, exclusive = false }) {
    return (await this.channel.queueDeclare(name, { durable, exclusive, autoDelete: false })).name;
  }

  async deleteQueue(name) {
    return (await this.channel.queueDelete(name)).messageCount;
  }

  declareExchange(name, type) {
    return this.channel.exchangeDeclare(name, type, { durable: false });
  }

  deleteExchange(name) {
    return this.channel.exchangeDelete(name);
  }

  bindQueue(queue, exchange, key) {
    return this.channel.queueBind(queue, exchange, key);
  }

  publish(exchange, key, body, { persistent = false, mandatory = false, ...properties }) {
    return this.channel.basicPublish(
      exchange,
      key,
      body,
      { deliveryMode: persistent ? 2 : 1, ...properties },
      mandatory,
    );
  }

  async consume(queue, { prefetch, noAck = false }, handle) {
    if (prefetch !== undefined) await this.channel.basicQos(prefetch);
    await this.channel.basicConsume(queue, { noAck }, (message) => {
      const { routingKey, redelivered, properties } = message;
      handle({
        body: message.bodyString(),
        routingKey,
        redelivered,
        headers: properties.headers,
        replyTo: properties.replyTo,
        correlationId: properties.correlationId,
        ack: () => message.ack(),
        nack: (requeue) => message.nack(requeue),
      });
    });
  }

  onReturn(heard) {
    this.channel.onReturn = ({ replyCode, replyText }) => heard(replyCode, replyText);
  }

  close() {
    return this.channel.close();
  }
}

async function open(url) {
  const client = new AMQPClient(url);
  const connection = await client.connect();
  return {
    channel: async ({ confirms = false } = {}) => {
      const channel = await connection.channel();
      if (confirms) await channel.confirmSelect();
      return new Channel(channel);
    },
    close: () => connection.close(),
  };
}

await runTutorials(open, "cloudamqp.");
