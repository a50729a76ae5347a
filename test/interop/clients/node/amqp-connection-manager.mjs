// Its channels are those of amqplib, set up again after each reconnect.

import { connect } from "amqp-connection-manager";
import { runTutorials } from "./tutorials.mjs";

class Channel {
  constructor(wrapper) {
    this.wrapper = wrapper;
    this.returns = [];
  }

  static async open(connection, confirms) {
    const wrapper = connection.createChannel({ confirm: confirms });
    await wrapper.waitForConnect();
    const channel = new Channel(wrapper);
    await wrapper.addSetup((plain) =>
      plain.on("return", ({ fields }) => channel.returned?.(fields.replyCode, fields.replyText)),
    );
    return channel;
  }

  async declareQueue(name, { durable = false, exclusive = false }) {
    return (await this.wrapper.assertQueue(name, { durable, exclusive })).queue;
  }

  async deleteQueue(name) {
    return (await this.wrapper.deleteQueue(name)).messageCount;
  }

  declareExchange(name, type) {
    return this.wrapper.assertExchange(name, type, { durable: false });
  }

  deleteExchange(name) {
    return this.wrapper.deleteExchange(name);
  }

  bindQueue(queue, exchange, key) {
    return this.wrapper.bindQueue(queue, exchange, key);
  }

  publish(exchange, key, body, options) {
    return this.wrapper.publish(exchange, key, Buffer.from(body), options);
  }

  async consume(queue, { prefetch, noAck = false }, handle) {
    const heard = (message) =>
      handle({
        body: message.content.toString(),
        routingKey: message.fields.routingKey,
        redelivered: message.fields.redelivered,
        headers: message.properties.headers,
        replyTo: message.properties.replyTo,
        correlationId: message.properties.correlationId,
        ack: () => this.wrapper.ack(message),
        nack: (requeue) => this.wrapper.nack(message, false, requeue),
      });
    await this.wrapper.consume(queue, heard, { noAck, ...(prefetch === undefined ? {} : { prefetch }) });
  }

  onReturn(heard) {
    this.returned = heard;
  }

  close() {
    return this.wrapper.close();
  }
}

async function open(url) {
  const connection = connect([url]);
  return {
    channel: ({ confirms = false } = {}) => Channel.open(connection, confirms),
    close: () => connection.close(),
  };
}

await runTutorials(open, "manager.");
