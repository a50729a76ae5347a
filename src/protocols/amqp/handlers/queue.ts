// queue.declare, bind, unbind, purge and delete.

import type { Binding } from "../../../broker/binding.js";
import type { Queue } from "../../../broker/queue.js";
import type { Access } from "../../../network/host.js";
import { AMQ_TOPIC, brokerName, DIRECT_REPLY, patternOf } from "../address.js";
import { attributesOf, withTable } from "../attributes.js";
import { bindingCondition } from "../binding-arguments.js";
import { accessRefused, locked, notFound, preconditionFailed, thing } from "../errors.js";
import { fieldText } from "../field-text.js";
import {
  assertQueueArguments,
  assertSameArguments,
  inequivalent,
  isDurablyDeclared,
  QUEUE_ARGUMENTS,
  queueOptions,
  queueTypeOf,
} from "../queue-arguments.js";
import { randomName } from "../random-name.js";
import type { FieldTable } from "../wire/fields.js";
import type { Method } from "../wire/methods.js";
import { ProtocolError } from "../wire/protocol-error.js";
import type { ChannelContext } from "./channel-context.js";

type Declare = Method<"queue.declare">;

export function declare(channel: ChannelContext, method: Declare): Promise<void> | undefined {
  const { queue } = method;
  if (queue === DIRECT_REPLY || queue.startsWith(`${DIRECT_REPLY}.`)) {
    if (!method.noWait) channel.send("queue.declare-ok", { queue, messageCount: 0, consumerCount: 1 });
    return undefined;
  }
  if (!method.passive) return declareActively(channel, method);
  answer(channel, method, nameOf(channel, queue), usable(channel, nameOf(channel, queue)));
  return undefined;
}

async function declareActively(channel: ChannelContext, method: Declare): Promise<void> {
  const { realm, host, session } = channel.connection;
  const name = method.queue === "" ? randomName("amq.gen-", host.random) : method.queue;
  assertMayConfigure(channel, name);
  const existing = realm.queues.find(name);
  if (existing !== undefined) {
    assertEquivalent(channel, name, existing, method);
    // Whoever declares it uses it.
    await host.broker.declareQueue(existing.name, {}, session);
    answer(channel, method, name, existing);
    return;
  }
  if (method.queue.startsWith("amq."))
    throw new ProtocolError("ACCESS_REFUSED", `queue name '${name}' contains reserved prefix 'amq.*'`);
  if (method.queue === "" && queueTypeOf(method.arguments) === "quorum")
    throw new ProtocolError(
      "PRECONDITION_FAILED",
      "Cannot declare a server-named queue for type rabbit_quorum_queue",
    );
  assertQueueArguments(name, method);
  assertMayDeadLetter(channel, name, method.arguments);
  const attributes = withTable(
    isDurablyDeclared(method) ? {} : { "amqp-transient": "true" },
    method.arguments,
  );
  const options = { ...queueOptions(name, method), attributes };
  answer(channel, method, name, await host.broker.declareQueue(brokerName(name), options, session));
}

function answer(channel: ChannelContext, { noWait }: Declare, name: string, queue: Queue): void {
  const { queues } = channel.connection.realm;
  channel.lastQueue = name;
  if (noWait) return;
  channel.send("queue.declare-ok", {
    queue: name,
    messageCount: queues.readyCount(queue),
    consumerCount: queues.consumerCount(queue),
  });
}

/** Errors: RESOURCE_LOCKED, PRECONDITION_FAILED naming what differs. */
function assertEquivalent(channel: ChannelContext, name: string, queue: Queue, method: Declare): void {
  const { realm, session } = channel.connection;
  const { options } = queue;
  const isOwn =
    queue.session === undefined ? !method.exclusive : queue.session === session && method.exclusive;
  if (!isOwn) throw locked(name);
  const what = thing("queue", name);
  const isOurs = realm.queues.isDeclaredHere(queue);
  // How long what was declared elsewhere lasts is not a matter of yes or no.
  const isAskedDurable = isDurablyDeclared(method);
  const isDurable = isOurs ? attributesOf(queue)["amqp-transient"] === undefined : isAskedDurable;
  if (isAskedDurable !== isDurable)
    throw inequivalent("durable", what, `'${isAskedDurable}'`, `'${isDurable}'`);
  if (method.autoDelete !== options.autoDelete)
    throw inequivalent("auto_delete", what, `'${method.autoDelete}'`, `'${options.autoDelete}'`);
  const is = realm.queues.argumentsOf(queue);
  // Of what was declared elsewhere, only what is asked for can differ: AMQP has no word for some of it.
  const names = isOurs
    ? QUEUE_ARGUMENTS
    : QUEUE_ARGUMENTS.filter((argument) => method.arguments.has(argument));
  assertSameArguments(what, names, is, method.arguments);
}

export async function remove(channel: ChannelContext, method: Method<"queue.delete">): Promise<void> {
  const { realm, host, session } = channel.connection;
  const name = nameOf(channel, method.queue);
  const queue = realm.queues.find(name);
  let messageCount = 0;
  if (queue !== undefined) {
    assertMayConfigure(channel, name);
    usable(channel, name);
    messageCount = realm.queues.readyCount(queue);
    // What is with a consumer is not in the queue, and whoever fetches is no consumer.
    if (method.ifEmpty && messageCount > 0) throw preconditionFailed(`${thing("queue", name)} not empty`);
    if (method.ifUnused && realm.queues.consumerCount(queue) > 0)
      throw preconditionFailed(`${thing("queue", name)} in use`);
    await host.broker.deleteQueue(queue.name, {}, session);
  }
  if (!method.noWait) channel.send("queue.delete-ok", { messageCount });
}

export function purge(channel: ChannelContext, method: Method<"queue.purge">): undefined {
  const name = nameOf(channel, method.queue);
  assertMayRead(channel, name);
  const messageCount = usable(channel, name).purge();
  if (!method.noWait) channel.send("queue.purge-ok", { messageCount });
}

export async function bind(channel: ChannelContext, method: Method<"queue.bind">): Promise<void> {
  await channel.connection.host.broker.bind(bindingOf(channel, method, true)!);
  if (!method.noWait) channel.send("queue.bind-ok", {});
}

export async function unbind(channel: ChannelContext, method: Method<"queue.unbind">): Promise<void> {
  const binding = unlessInvalid(() => bindingOf(channel, method, false));
  if (binding !== undefined) await channel.connection.host.broker.unbind(binding);
  channel.send("queue.unbind-ok", {});
}

/** A binding that cannot be is not there. */
export function unlessInvalid(make: () => Binding | undefined): Binding | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof ProtocolError && error.reply === "PRECONDITION_FAILED") return undefined;
    throw error;
  }
}

/** Undefined when one of its ends is not there, and need not be. */
function bindingOf(
  channel: ChannelContext,
  method: Method<"queue.bind" | "queue.unbind">,
  mustExist: boolean,
): Binding | undefined {
  const { realm, access } = channel.connection;
  const name = nameOf(channel, method.queue);
  assertNotDefault(method.exchange);
  const queue = realm.queues.find(name);
  const view = realm.exchanges.find(method.exchange);
  if (queue === undefined || view === undefined) {
    if (!mustExist) return undefined;
    throw view === undefined ? notFound("exchange", method.exchange) : notFound("queue", name);
  }
  usable(channel, name);
  if (!access.mayWrite("queue", queue.name)) throw accessRefused("queue", name, access.user);
  assertMayReadFrom(channel, view.name, view.brokerName, patternOf(method.routingKey));
  const routingKey = method.routingKey === "" && method.queue === "" ? name : method.routingKey;
  return {
    from: view.brokerName,
    to: { kind: "queue", name: queue.name },
    ...bindingCondition(view, routingKey, method.arguments),
  };
}

/** The default exchange is not there to be bound, declared or deleted. Errors: ACCESS_REFUSED. */
export function assertNotDefault(exchange: string): void {
  if (exchange === "")
    throw new ProtocolError("ACCESS_REFUSED", "operation not permitted on the default exchange");
}

/** Errors: ACCESS_REFUSED. */
export function assertMayReadFrom(
  channel: ChannelContext,
  exchange: string,
  name: string,
  pattern: string,
): void {
  const { access } = channel.connection;
  const isAllowed = exchange === AMQ_TOPIC ? access.maySubscribe(pattern) : access.mayRead("exchange", name);
  if (!isAllowed) throw accessRefused("exchange", exchange, access.user);
}

/** An empty name is that of the queue that the channel declared last. Errors: NOT_FOUND. */
export function nameOf(channel: ChannelContext, queue: string): string {
  if (queue !== "") return queue;
  if (channel.lastQueue !== undefined) return channel.lastQueue;
  throw new ProtocolError("NOT_FOUND", "no previously declared queue");
}

/** Errors: NOT_FOUND, RESOURCE_LOCKED. */
export function usable({ connection }: ChannelContext, name: string): Queue {
  return connection.realm.queues.get(name, connection.session);
}

/** Errors: ACCESS_REFUSED. */
export function assertMayRead({ connection: { access } }: ChannelContext, name: string): void {
  if (!access.mayRead("queue", brokerName(name))) throw accessRefused("queue", name, access.user);
}

/** Whoever sends dead letters somewhere could publish there. Errors: ACCESS_REFUSED. */
function assertMayDeadLetter(channel: ChannelContext, name: string, table: FieldTable): void {
  const exchange = fieldText(table, "x-dead-letter-exchange");
  if (exchange === undefined) return;
  const { access } = channel.connection;
  assertMayRead(channel, name);
  if (exchange !== "" && !mayWriteTo(access, exchange))
    throw accessRefused("exchange", exchange, access.user);
  const queue = fieldText(table, "x-dead-letter-routing-key") ?? name;
  if (exchange === "" && !access.mayWrite("queue", brokerName(queue)))
    throw accessRefused("queue", queue, access.user);
}

/** Whether all that there may be can be published to the exchange. */
export function mayWriteTo(access: Access, exchange: string): boolean {
  return exchange === AMQ_TOPIC ? access.mayPublish("#") : access.mayWrite("exchange", brokerName(exchange));
}

function assertMayConfigure({ connection: { access } }: ChannelContext, name: string): void {
  if (!access.mayConfigure("queue", brokerName(name))) throw accessRefused("queue", name, access.user);
}
