// exchange.declare, delete, bind and unbind.

import { BUS_EXCHANGE, type ExchangeOptions } from "../../../broker/binding.js";
import { isBrokerError } from "../../../broker-error.js";
import { AMQ_TOPIC, brokerName, patternOf } from "../address.js";
import { type Attributes, withTable } from "../attributes.js";
import { bindingCondition } from "../binding-arguments.js";
import { accessRefused, preconditionFailed, thing } from "../errors.js";
import { DELAYED_TYPE, type ExchangeView, kindOfType, SYSTEM_EXCHANGES } from "../exchange-view.js";
import { fieldText } from "../field-text.js";
import { assertSameArguments, inequivalent } from "../queue-arguments.js";
import type { Method } from "../wire/methods.js";
import { ProtocolError } from "../wire/protocol-error.js";
import type { ChannelContext } from "./channel-context.js";
import { assertMayReadFrom, assertNotDefault, mayWriteTo, unlessInvalid } from "./queue.js";

type Declare = Method<"exchange.declare">;

/** Arguments that a second declaration has to repeat. */
const COMPARED = ["alternate-exchange", "x-delayed-type"];

export async function declare(channel: ChannelContext, method: Declare): Promise<void> {
  const { exchange: name } = method;
  const { realm, host } = channel.connection;
  assertNotDefault(name);
  if (method.passive) realm.exchanges.get(name);
  else {
    const kind = kindOf(method);
    assertMayConfigure(channel, name);
    const view = realm.exchanges.find(name);
    if (view !== undefined) assertEquivalent(view, method);
    else {
      assertNotReserved(name);
      await host.broker.declareExchange(brokerName(name), optionsOf(channel, method, kind), true);
    }
  }
  if (!method.noWait) channel.send("exchange.declare-ok", {});
}

/** Errors: COMMAND_INVALID for a type that there is not, PRECONDITION_FAILED for a delayed one without a type. */
function kindOf({ type, arguments: table }: Declare): ExchangeOptions["kind"] {
  const isDelayed = type === DELAYED_TYPE;
  const kind = kindOfType(isDelayed ? (fieldText(table, "x-delayed-type") ?? "") : type);
  if (kind !== undefined) return kind;
  if (isDelayed)
    throw preconditionFailed("Invalid argument, 'x-delayed-type' must be an existing exchange type");
  const problem = type.startsWith("x-") ? "unknown" : "invalid";
  throw new ProtocolError("COMMAND_INVALID", `${problem} exchange type '${type}'`);
}

function assertNotReserved(name: string): void {
  if (name.startsWith("amq."))
    throw new ProtocolError("ACCESS_REFUSED", `exchange name '${name}' contains reserved prefix 'amq.*'`);
}

function optionsOf(
  channel: ChannelContext,
  method: Declare,
  kind: ExchangeOptions["kind"],
): Partial<ExchangeOptions> {
  const { durable, internal, autoDelete, arguments: table, type } = method;
  const attributes: Attributes = {
    ...(durable ? {} : { "amqp-transient": "true" }),
    ...(internal ? { "amqp-internal": "true" } : {}),
    ...(type === DELAYED_TYPE ? { "amqp-type": type } : {}),
  };
  const alternate = alternateOf(channel, method);
  return {
    kind,
    autoDelete,
    ...(alternate === undefined ? {} : { alternate }),
    attributes: withTable(attributes, table),
  };
}

/** It need not be there yet. Errors: PRECONDITION_FAILED, ACCESS_REFUSED. */
function alternateOf(
  channel: ChannelContext,
  { exchange: name, arguments: table }: Declare,
): string | undefined {
  const field = table.get("alternate-exchange");
  if (field === undefined) return undefined;
  if (field.type !== "longstr")
    throw preconditionFailed(
      `invalid type '${field.type}' for arg 'alternate-exchange' in ${thing("exchange", name)}`,
    );
  const alternate = field.value.toString("utf8");
  assertNotDefault(alternate);
  const { access } = channel.connection;
  if (!access.mayRead("exchange", brokerName(name))) throw accessRefused("exchange", name, access.user);
  if (!mayWriteTo(access, alternate)) throw accessRefused("exchange", alternate, access.user);
  return alternate === AMQ_TOPIC ? BUS_EXCHANGE : brokerName(alternate);
}

/** Errors: PRECONDITION_FAILED naming what differs. */
function assertEquivalent(view: ExchangeView, method: Declare): void {
  const what = thing("exchange", view.name);
  const assertSame = (argument: string, current: string | boolean, received: string | boolean): void => {
    if (current !== received) throw inequivalent(argument, what, `'${received}'`, `'${current}'`);
  };
  assertSame("type", view.type, method.type);
  assertSame("durable", view.isDurable, method.durable);
  assertSame("auto_delete", view.isAutoDelete, method.autoDelete);
  assertSame("internal", view.isInternal, method.internal);
  assertSameArguments(what, COMPARED, view.arguments, method.arguments);
}

export async function remove(channel: ChannelContext, method: Method<"exchange.delete">): Promise<void> {
  const { exchange: name } = method;
  const { realm, host } = channel.connection;
  assertNotDefault(name);
  if (name === AMQ_TOPIC || Object.hasOwn(SYSTEM_EXCHANGES, name))
    throw new ProtocolError("ACCESS_REFUSED", `deletion of system ${thing("exchange", name)} not allowed`);
  const view = realm.exchanges.find(name);
  if (view !== undefined) {
    assertMayConfigure(channel, name);
    if (method.ifUnused && host.broker.bindings.some(({ from }) => from === view.brokerName))
      throw preconditionFailed(`${thing("exchange", name)} in use`);
    await host.broker.deleteExchange(view.brokerName).catch(unlessGone);
  }
  if (!method.noWait) channel.send("exchange.delete-ok", {});
}

function unlessGone(error: unknown): void {
  if (!isBrokerError(error, "EXCHANGE_NOT_FOUND")) throw error;
}

type Bind = Method<"exchange.bind" | "exchange.unbind">;

export async function bind(channel: ChannelContext, method: Method<"exchange.bind">): Promise<void> {
  await channel.connection.host.broker.bind(bindingOf(channel, method, ...endsOf(channel, method)));
  if (!method.noWait) channel.send("exchange.bind-ok", {});
}

export async function unbind(channel: ChannelContext, method: Method<"exchange.unbind">): Promise<void> {
  const { exchanges } = channel.connection.realm;
  assertNotDefault(method.destination);
  assertNotDefault(method.source);
  const destination = exchanges.find(method.destination);
  const source = exchanges.find(method.source);
  if (source !== undefined && destination !== undefined) {
    const binding = unlessInvalid(() => bindingOf(channel, method, destination, source));
    if (binding !== undefined) await channel.connection.host.broker.unbind(binding);
  }
  if (!method.noWait) channel.send("exchange.unbind-ok", {});
}

/** Errors: NOT_FOUND, ACCESS_REFUSED for the default exchange. */
function endsOf(
  { connection: { realm } }: ChannelContext,
  { destination, source }: Bind,
): [destination: ExchangeView, source: ExchangeView] {
  assertNotDefault(destination);
  assertNotDefault(source);
  const from = realm.exchanges.get(source);
  return [realm.exchanges.get(destination), from];
}

function bindingOf(channel: ChannelContext, method: Bind, destination: ExchangeView, source: ExchangeView) {
  const { access } = channel.connection;
  const { routingKey, arguments: table } = method;
  if (!mayWriteTo(access, destination.name)) throw accessRefused("exchange", destination.name, access.user);
  assertMayReadFrom(channel, source.name, source.brokerName, patternOf(routingKey));
  return {
    from: source.brokerName,
    to: { kind: "exchange" as const, name: destination.brokerName },
    ...bindingCondition(source, routingKey, table),
  };
}

function assertMayConfigure({ connection: { access } }: ChannelContext, name: string): void {
  if (!access.mayConfigure("exchange", brokerName(name))) throw accessRefused("exchange", name, access.user);
}
