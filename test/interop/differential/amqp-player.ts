// Plays operations on a server, one after the other, and writes down what a client sees of each.

import { once } from "node:events";
import amqp, {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  type GetMessage,
} from "amqplib";
import type { Operation } from "./amqp-operations.js";

/** What was seen of one operation: what it answered, or the error that closed the channel or the connection. */
export type Observation = unknown;

const LATE_MS = 20_000;

export class Player {
  readonly #url: string;
  #connection: ChannelModel | undefined = undefined;
  #channel: ConfirmChannel | undefined = undefined;
  /** Why the channel, or the connection, was closed. */
  #closedBy: string | undefined = undefined;
  #held: (GetMessage | ConsumeMessage)[] = [];
  #lastSettled: GetMessage | ConsumeMessage | undefined = undefined;
  #returned: unknown[] = [];
  readonly #queues = new Set<string>();
  readonly #exchanges = new Set<string>();

  constructor(url: string) {
    this.#url = url;
  }

  async play(operations: readonly Operation[]): Promise<Observation[]> {
    const seen: Observation[] = [];
    for (const operation of operations) seen.push(await this.#observe(operation));
    return seen;
  }

  /** Removes what was declared, which other sequences could reach through what all servers have. */
  async close(): Promise<void> {
    const connection = this.#connection ?? (await amqp.connect(this.#url));
    const channel = await connection.createChannel();
    for (const queue of this.#queues) await channel.deleteQueue(queue);
    for (const exchange of this.#exchanges) await channel.deleteExchange(exchange);
    await connection.close();
  }

  async #observe(operation: Operation): Promise<Observation> {
    const channel = await this.#open();
    let answer: unknown;
    let failure: string | undefined;
    try {
      answer = await this.#do(channel, operation);
      // What needs no answer may have been refused.
      if (this.#channel === channel) await channel.checkExchange("amq.direct");
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    if (failure !== undefined && this.#closedBy === undefined) await this.#untilClosed(channel, failure);
    const closedBy = this.#closedBy;
    const returned = this.#returned;
    this.#returned = [];
    if (closedBy !== undefined) this.#forgetChannel();
    return { operation: operation.do, answer, closedBy, ...(returned.length > 0 ? { returned } : {}) };
  }

  /** The error of a call may come before that of the channel. */
  async #untilClosed(channel: Channel, failure: string): Promise<void> {
    const late = AbortSignal.timeout(LATE_MS);
    try {
      await once(channel, "close", { signal: late });
    } catch {
      throw new Error(`failed without closing the channel: ${failure}`);
    }
  }

  #forgetChannel(): void {
    this.#channel = undefined;
    this.#closedBy = undefined;
    this.#held = [];
    this.#lastSettled = undefined;
  }

  async #open(): Promise<ConfirmChannel> {
    if (this.#connection === undefined) {
      const connection = await amqp.connect(this.#url);
      connection.on("error", (error: Error) => {
        this.#closedBy = error.message;
      });
      connection.on("close", () => {
        if (this.#connection === connection) this.#connection = undefined;
      });
      this.#connection = connection;
    }
    if (this.#channel !== undefined) return this.#channel;
    const channel = await this.#connection.createConfirmChannel();
    channel.on("error", (error: Error) => {
      this.#closedBy = error.message;
    });
    channel.on("return", ({ fields, content }: ConsumeMessage) => {
      const { replyCode, replyText } = fields as unknown as { replyCode: number; replyText: string };
      this.#returned.push([replyCode, replyText, fields.exchange, fields.routingKey, content.toString()]);
    });
    this.#channel = channel;
    return channel;
  }

  #do(channel: ConfirmChannel, operation: Operation): Promise<unknown> | unknown {
    switch (operation.do) {
      case "declare queue": {
        const { queue, durable, autoDelete, exclusive } = operation;
        if (!queue.startsWith("amq.")) this.#queues.add(queue);
        return channel.assertQueue(queue, {
          durable,
          autoDelete,
          exclusive,
          arguments: operation.arguments,
        });
      }
      case "look at queue":
        return channel.checkQueue(operation.queue);
      case "delete queue":
        return channel.deleteQueue(operation.queue, operation);
      case "purge":
        return channel.purgeQueue(operation.queue);
      case "declare exchange": {
        const { exchange, type, durable, autoDelete, internal, alternate } = operation;
        const options = { durable, autoDelete, internal };
        if (!exchange.startsWith("amq.")) this.#exchanges.add(exchange);
        return channel.assertExchange(
          exchange,
          type,
          alternate === undefined ? options : { ...options, alternateExchange: alternate },
        );
      }
      case "look at exchange":
        return channel.checkExchange(operation.exchange);
      case "delete exchange":
        return channel.deleteExchange(operation.exchange, operation);
      case "bind queue":
        return channel.bindQueue(operation.to, operation.from, operation.key, operation.arguments);
      case "unbind queue":
        return channel.unbindQueue(operation.to, operation.from, operation.key, operation.arguments);
      case "bind exchange":
        return channel.bindExchange(operation.to, operation.from, operation.key, operation.arguments);
      case "unbind exchange":
        return channel.unbindExchange(operation.to, operation.from, operation.key, operation.arguments);
      default:
        return this.#move(channel, operation);
    }
  }

  #move(channel: ConfirmChannel, operation: Operation): Promise<unknown> | unknown {
    switch (operation.do) {
      case "publish":
        return publish(channel, operation);
      case "get":
        return this.#get(channel, operation.queue, operation.noAck);
      case "consume":
        return this.#consume(channel, operation);
      case "settle":
        return this.#settle(channel, operation);
      case "settle again":
        if (this.#lastSettled !== undefined) channel.ack(this.#lastSettled);
        return undefined;
      case "recover":
        // Everything is handed out anew, and held no more.
        this.#held = [];
        return channel.recover();
      case "commit":
      case "roll back":
        return this.#transact(operation);
      case "close channel":
        return this.#closeChannel(channel);
      default:
        throw new Error(`cannot do ${operation.do}`);
    }
  }

  async #get(channel: ConfirmChannel, queue: string, noAck: boolean): Promise<unknown> {
    const message = await channel.get(queue, { noAck });
    if (message === false) return "empty";
    if (!noAck) this.#held.push(message);
    return { message: shown(message), messageCount: message.fields.messageCount };
  }

  /** Takes as many as there are and the prefetch allows, and cancels. */
  async #consume(
    channel: ConfirmChannel,
    { queue, prefetch, noAck }: Extract<Operation, { do: "consume" }>,
  ): Promise<unknown> {
    const { messageCount } = await channel.checkQueue(queue);
    const isBounded = prefetch > 0 && !noAck;
    const expected = isBounded ? Math.min(messageCount, prefetch) : messageCount;
    await channel.prefetch(prefetch);
    const came: ConsumeMessage[] = [];
    let enough = (): void => undefined;
    const all = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const heard = (message: ConsumeMessage | null): void => {
      if (message !== null) came.push(message);
      if (came.length >= expected) enough();
    };
    const { consumerTag } = await channel.consume(queue, heard, { noAck });
    if (expected > 0) await inTime(all, `${came.length} of ${expected} messages of ${queue}`);
    await channel.cancel(consumerTag);
    if (!noAck) this.#held.push(...came);
    return came.map(shown);
  }

  #settle(
    channel: ConfirmChannel,
    { which, how, isMultiple, requeue }: Extract<Operation, { do: "settle" }>,
  ): unknown {
    const index = Math.min(which, this.#held.length - 1);
    const message = this.#held[index];
    if (message === undefined) return "nothing held";
    if (how === "ack") channel.ack(message, isMultiple);
    else if (how === "nack") channel.nack(message, isMultiple, requeue);
    else channel.reject(message, requeue);
    this.#held.splice(
      isMultiple && how !== "reject" ? 0 : index,
      isMultiple && how !== "reject" ? index + 1 : 1,
    );
    this.#lastSettled = message;
    return message.content.toString();
  }

  /** On a channel of its own, which is closed after it. */
  async #transact({
    do: verb,
    exchange,
    key,
    bodies,
  }: Extract<Operation, { do: "commit" | "roll back" }>): Promise<unknown> {
    const channel = await this.#connection!.createChannel();
    let closedBy: string | undefined;
    channel.on("error", (error: Error) => {
      closedBy = error.message;
    });
    const transaction = channel as unknown as Transactional;
    try {
      await transaction.rpc(TX_SELECT, {}, TX_SELECT_OK);
      for (const body of bodies) channel.publish(exchange, key, Buffer.from(body));
      if (verb === "commit") await transaction.rpc(TX_COMMIT, {}, TX_COMMIT_OK);
      else await transaction.rpc(TX_ROLLBACK, {}, TX_ROLLBACK_OK);
      await channel.close();
      return "done";
    } catch (error) {
      return closedBy ?? (error instanceof Error ? error.message : String(error));
    }
  }

  async #closeChannel(channel: ConfirmChannel): Promise<void> {
    await channel.close();
    this.#forgetChannel();
  }
}

/** amqplib has no verbs for transactions, but a way to call any method. */
interface Transactional {
  rpc(method: number, fields: object, expected: number): Promise<unknown>;
}

/** Class 90 of the specification of AMQP 0-9-1, as class * 65,536 + method. */
const TX_SELECT = 0x5a000a;
const TX_SELECT_OK = 0x5a000b;
const TX_COMMIT = 0x5a0014;
const TX_COMMIT_OK = 0x5a0015;
const TX_ROLLBACK = 0x5a001e;
const TX_ROLLBACK_OK = 0x5a001f;

/** Resolves with what the confirm says. */
function publish(
  channel: ConfirmChannel,
  { exchange, key, body, mandatory, properties }: Extract<Operation, { do: "publish" }>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const confirmed = (error: Error | null): void => {
      if (error === null || error === undefined) resolve("confirmed");
      else if (error.message === "message nacked") resolve("refused");
      else reject(error);
    };
    channel.publish(exchange, key, Buffer.from(body), { mandatory, ...properties }, confirmed);
  });
}

function shown({ fields, properties, content }: GetMessage | ConsumeMessage): unknown {
  const { exchange, routingKey, redelivered } = fields;
  const said = Object.entries(properties).filter(([, value]) => value !== undefined);
  return {
    exchange,
    routingKey,
    redelivered,
    properties: Object.fromEntries(said),
    body: content.toString(),
  };
}

async function inTime(promise: Promise<void>, what: string): Promise<void> {
  const late = AbortSignal.timeout(LATE_MS);
  await new Promise<void>((resolve, reject) => {
    late.addEventListener("abort", () => reject(new Error(`only ${what} came`)), { once: true });
    promise.then(resolve, reject);
  });
}
