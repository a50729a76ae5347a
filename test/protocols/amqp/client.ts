// RabbitMQ's client for Node as a test uses it: what goes wrong is a value, and what comes is waited for.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect,
  type GetMessage,
  type Options,
} from "amqplib";

export class Client {
  readonly connection: ChannelModel;
  /** Why the server closed the connection. */
  readonly closed: Promise<string>;

  private constructor(connection: ChannelModel) {
    this.connection = connection;
    this.closed = new Promise((resolve) => {
      connection.on("error", (error: Error) => resolve(error.message));
    });
  }

  /** Ends with the test. */
  static async connect(test: TestContext, port: number, user = "guest:guest"): Promise<Client> {
    const client = new Client(await connect(`amqp://${user}@127.0.0.1:${port}`));
    test.after(() => client.close());
    return client;
  }

  async channel(): Promise<TestChannel> {
    return new TestChannel(await this.connection.createChannel());
  }

  async confirming(): Promise<TestChannel<ConfirmChannel>> {
    return new TestChannel(await this.connection.createConfirmChannel());
  }

  /** What the server says when `action` makes it close the channel, as `code text`. */
  async failure(action: (channel: Channel) => unknown): Promise<string> {
    const { channel, closed } = await this.channel();
    await Promise.resolve(action(channel)).catch(() => undefined);
    return await closed;
  }

  async close(): Promise<void> {
    await this.connection.close().catch(() => undefined);
  }
}

export class TestChannel<C extends Channel = Channel> {
  readonly channel: C;
  /** Why the server closed it, as `code text`. */
  readonly closed: Promise<string>;

  constructor(channel: C) {
    this.channel = channel;
    this.closed = new Promise((resolve) => {
      channel.on("error", (error: Error) => resolve(reply(error.message)));
    });
  }

  async consume(queue: string, options: Options.Consume = {}): Promise<Consumption> {
    const messages = new Consumption();
    const { consumerTag } = await this.channel.consume(queue, (message) => messages.push(message), options);
    messages.tag = consumerTag;
    return messages;
  }

  /** Messages that wait in the queue, as the server counts them. */
  async count(queue: string): Promise<number> {
    return (await this.channel.checkQueue(queue)).messageCount;
  }

  /** Takes all that waits in the queue. */
  async drain(queue: string): Promise<string[]> {
    const contents: string[] = [];
    for (;;) {
      const message = await this.channel.get(queue, { noAck: true });
      if (message === false) return contents;
      contents.push(message.content.toString());
    }
  }

  /** The next message of the queue, which has to be there. */
  async get(queue: string, options: Options.Get = {}): Promise<GetMessage> {
    const message = await this.channel.get(queue, options);
    assert.ok(message !== false, `${queue} is empty`);
    return message;
  }

  /** Waits until the queue has a message, and takes it. */
  async next(queue: string): Promise<ConsumeMessage> {
    const messages = await this.consume(queue, { noAck: true });
    const message = await messages.next();
    await this.channel.cancel(messages.tag);
    return message;
  }
}

/** What one consumer gets. */
export class Consumption {
  tag = "";
  readonly all: ConsumeMessage[] = [];
  readonly #waiting: ConsumeMessage[] = [];
  /** Resolves when the server cancels the consumer. */
  readonly cancelled: Promise<void>;
  #cancel: () => void = () => undefined;
  #wake: (() => void) | undefined = undefined;

  constructor() {
    this.cancelled = new Promise((resolve) => {
      this.#cancel = resolve;
    });
  }

  push(message: ConsumeMessage | null): void {
    if (message === null) {
      this.#cancel();
      return;
    }
    this.all.push(message);
    this.#waiting.push(message);
    this.#wake?.();
  }

  async next(): Promise<ConsumeMessage> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next ones, as texts. */
  async take(count: number): Promise<string[]> {
    const contents: string[] = [];
    while (contents.length < count) contents.push((await this.next()).content.toString());
    return contents;
  }

  /** What has come, as texts. */
  get contents(): string[] {
    return this.all.map(({ content }) => content.toString());
  }
}

/** `Channel closed by server: 404 (NOT-FOUND) with message "NOT_FOUND - no queue"` as `404 no queue`. */
function reply(message: string): string {
  const [, code, text] = /: (\d+) \([A-Z-]+\) with message "[A-Z_]+ - ([\s\S]*)"$/.exec(message) ?? [];
  return code === undefined ? message : `${code} ${text}`;
}
