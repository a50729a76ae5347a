import { Connection } from "rabbitmq-client";
import { runTutorials } from "./tutorials.mjs";

class Channel {
  constructor(channel) {
    this.channel = channel;
  }

  async declareQueue(queue, { durable = false, exclusive = false }) {
    return (await this.channel.queueDeclare({ queue, durable, exclusive })).queue;
  }

  async deleteQueue(queue) {
    return (await this.channel.queueDelete({ queue })).messageCount;
  }

  declareExchange(exchange, type) {
    return this.channel.exchangeDeclare({ exchange, type, durable: false });
  }

  deleteExchange(exchange) {
    return this.channel.exchangeDelete({ exchange });
  }

  bindQueue(queue, exchange, routingKey) {
    return this.channel.queueBind({ queue, exchange, routingKey });
  }

  publish(exchange, routingKey, body, { persistent = false, ...options }) {
    return this.channel.basicPublish({ exchange, routingKey, durable: persistent, ...options }, body);
  }

  async consume(queue, { prefetch, noAck = false }, handle) {
    if (prefetch !== undefined) await this.channel.basicQos({ prefetchCount: prefetch });
    await this.channel.basicConsume({ queue, noAck }, (message) => {
      const { deliveryTag, routingKey, redelivered, headers, replyTo, correlationId } = message;
      handle({
        body: message.body.toString(),
        routingKey,
        redelivered,
        headers,
        replyTo,
        correlationId,
        ack: () => this.channel.basicAck({ deliveryTag }),
        nack: (requeue) => this.channel.basicNack({ deliveryTag, requeue }),
      });
    });
  }

  onReturn(heard) {
    this.channel.on("basic.return", ({ replyCode, replyText }) => heard(replyCode, replyText));
  }

  close() {
    return this.channel.close();
  }
}

async function open(url) {
  const connection = new Connection(url);
  return {
    channel: async ({ confirms = false } = {}) => {
      const channel = await connection.acquire();
      if (confirms) await channel.confirmSelect();
      return new Channel(channel);
    },
    close: () => connection.close(),
  };
}

await runTutorials(open, "rabbitmq-client.");
