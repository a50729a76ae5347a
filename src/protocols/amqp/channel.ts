// One channel: what its client asks for, in order.

import { brokerName, queueSubject } from "./address.js";
import type { ChannelHost, ChannelMethod, ServedChannel } from "./channel-host.js";
import { Consuming } from "./consuming.js";
import { type DirectReplies, noReplyConsumer } from "./direct-reply.js";
import type { Publisher } from "./envelope.js";
import { preconditionFailed } from "./errors.js";
import * as basic from "./handlers/basic.js";
import type { ChannelContext } from "./handlers/channel-context.js";
import * as exchange from "./handlers/exchange.js";
import * as queue from "./handlers/queue.js";
import type { IncomingPublish } from "./incoming-publish.js";
import { modeError, Publishing } from "./publishing.js";
import { Transaction } from "./transaction.js";
import type { MethodFields, MethodName } from "./wire/methods.js";
import { ProtocolError } from "./wire/protocol-error.js";

/** These see what their client published before. */
const LOOKING: ReadonlySet<MethodName> = new Set<MethodName>([
  "basic.get",
  "queue.declare",
  "queue.delete",
  "queue.purge",
]);

export class Channel implements ServedChannel, ChannelContext, Publisher {
  readonly connection: ChannelHost;
  readonly number: number;
  readonly publishing: Publishing;
  readonly consuming: Consuming;
  lastQueue: string | undefined = undefined;
  replies: DirectReplies | undefined = undefined;
  #transaction: Transaction | undefined = undefined;

  constructor(connection: ChannelHost, number: number) {
    this.connection = connection;
    this.number = number;
    this.publishing = new Publishing(connection, number, this);
    this.consuming = new Consuming(connection, number);
  }

  get user(): string {
    return this.connection.access.user;
  }

  get consumerCount(): number {
    return this.consuming.consumers.size + (this.replies === undefined ? 0 : 1);
  }

  publish(publish: IncomingPublish): Promise<void> | undefined {
    if (this.#transaction === undefined) return this.publishing.publish(publish);
    this.#transaction.publish(publish);
    return undefined;
  }

  ack(deliveryTag: number, isMultiple: boolean): undefined {
    if (this.#transaction === undefined) this.consuming.ack(deliveryTag, isMultiple);
    else this.#transaction.answer(deliveryTag, isMultiple, undefined);
  }

  nack(deliveryTag: number, isMultiple: boolean, isRequeued: boolean): undefined {
    const refusal = isRequeued ? "requeue" : "reject";
    if (this.#transaction === undefined) this.consuming.refuse(deliveryTag, isMultiple, refusal);
    else this.#transaction.answer(deliveryTag, isMultiple, refusal);
  }

  reject(deliveryTag: number, isRequeued: boolean): undefined {
    this.nack(deliveryTag, false, isRequeued);
  }

  method(method: ChannelMethod): Promise<void> | undefined {
    const stored = LOOKING.has(method.name) ? this.connection.stored() : undefined;
    return stored === undefined ? this.#take(method) : stored.then(() => this.#take(method));
  }

  #take(method: ChannelMethod): Promise<void> | undefined {
    switch (method.name) {
      case "access.request":
        return this.send("access.request-ok", { ticket: 1 });
      case "exchange.declare":
        return exchange.declare(this, method);
      case "exchange.delete":
        return exchange.remove(this, method);
      case "exchange.bind":
        return exchange.bind(this, method);
      case "exchange.unbind":
        return exchange.unbind(this, method);
      case "queue.declare":
        return queue.declare(this, method);
      case "queue.delete":
        return queue.remove(this, method);
      case "queue.purge":
        return queue.purge(this, method);
      case "queue.bind":
        return queue.bind(this, method);
      case "queue.unbind":
        return queue.unbind(this, method);
      case "basic.qos":
        return basic.qos(this, method);
      case "basic.consume":
        return basic.consume(this, method);
      case "basic.cancel":
        return basic.cancel(this, method);
      case "basic.get":
        return basic.get(this, method);
      case "basic.recover":
      case "basic.recover-async":
        return basic.recover(this, method);
      default:
        return this.#modes(method);
    }
  }

  #modes(method: ChannelMethod): Promise<void> | undefined {
    switch (method.name) {
      case "confirm.select":
        if (this.#transaction !== undefined) throw modeError("tx", "confirm");
        this.publishing.confirm();
        return method.noWait ? undefined : this.send("confirm.select-ok", {});
      case "tx.select":
        if (this.publishing.confirms !== undefined) throw modeError("confirm", "tx");
        this.#transaction ??= new Transaction(this.publishing, this.consuming);
        return this.send("tx.select-ok", {});
      case "tx.commit":
        return this.#open.commit().then(() => this.send("tx.commit-ok", {}));
      case "tx.rollback":
        this.#open.rollback();
        return this.send("tx.rollback-ok", {});
      case "channel.flow":
        this.consuming.setStopped(!method.active);
        return this.send("channel.flow-ok", { active: method.active });
      case "channel.flow-ok":
      case "basic.cancel-ok":
        return undefined;
      default:
        throw new ProtocolError("COMMAND_INVALID", "unimplemented method");
    }
  }

  pause(): void {
    this.consuming.setPaused(true);
  }

  resume(): void {
    this.consuming.setPaused(false);
  }

  close(): Promise<void> {
    this.publishing.end();
    this.replies?.close();
    this.consuming.close();
    return Promise.resolve();
  }

  send<N extends MethodName>(name: N, fields: MethodFields<N>): undefined {
    this.connection.send(this.number, name, fields);
  }

  directReplySubject(correlationId: string | undefined): string {
    if (this.replies === undefined) throw noReplyConsumer();
    return this.replies.subjectFor(correlationId);
  }

  mayReplyTo(name: string): boolean {
    const { access } = this.connection;
    return access.mayWrite("queue", brokerName(name)) || access.mayPublish(queueSubject(name));
  }

  /** Errors: PRECONDITION_FAILED when the client has not asked for transactions. */
  get #open(): Transaction {
    if (this.#transaction !== undefined) return this.#transaction;
    throw preconditionFailed("channel is not transactional");
  }
}
