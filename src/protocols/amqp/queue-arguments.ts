// What a queue is declared with on AMQP, and the broker's options that this means: checked, compared and worded as
// RabbitMQ does.

import { BUS_EXCHANGE } from "../../broker/binding.js";
import { type QueueOptions, UNLIMITED } from "../../broker/limits.js";
import { AMQ_TOPIC, brokerName, subjectOf } from "./address.js";
import { AT_ONCE_MS } from "./envelope.js";
import { preconditionFailed, thing } from "./errors.js";
import { fieldInteger, fieldText, integerOf, isSameField, shownTyped, shownValue } from "./field-text.js";
import { type FieldTable, type FieldValue, textField } from "./wire/fields.js";
import type { Method } from "./wire/methods.js";
import type { ProtocolError } from "./wire/protocol-error.js";

/** A queue's properties, as `queue.declare` has them. */
export type QueueDeclaration = Pick<
  Method<"queue.declare">,
  "durable" | "exclusive" | "autoDelete" | "arguments"
>;

type Check = (field: FieldValue, table: FieldTable) => string | undefined;

/** What is wrong with the value of an argument, in RabbitMQ's words; its order is that in which they are checked. */
const CHECKS: Readonly<Record<string, Check>> = {
  "x-expires": (field) => integerProblem(field, 1),
  "x-message-ttl": (field) => integerProblem(field, 0),
  "x-dead-letter-exchange": () => undefined,
  "x-dead-letter-routing-key": (field, table) =>
    textProblem(field) ??
    (table.has("x-dead-letter-exchange") ? undefined : "routing_key_but_no_dlx_defined"),
  "x-dead-letter-strategy": textProblem,
  "x-max-length": (field) => integerProblem(field, 0),
  "x-max-length-bytes": (field) => integerProblem(field, 0),
  "x-max-in-memory-length": (field) => integerProblem(field, 0),
  "x-max-in-memory-bytes": (field) => integerProblem(field, 0),
  "x-max-priority": (field) => integerProblem(field, 0, 255),
  "x-overflow": (field) => textProblem(field) ?? oneOf(field, OVERFLOWS, "invalid_overflow"),
  "x-queue-mode": (field) =>
    textProblem(field) ?? oneOf(field, ["default", "lazy"], `"unsupported queue mode '${textIn(field)}'"`),
  "x-queue-version": (field) => integerProblem(field, 1),
  "x-single-active-consumer": (field) => (field.type === "bool" ? undefined : unacceptable(field)),
  "x-queue-type": (field) =>
    textProblem(field) ?? oneOf(field, QUEUE_TYPES, `"unsupported queue type '${textIn(field)}'"`),
  "x-delivery-limit": (field) => integerProblem(field, -1),
  "x-quorum-initial-group-size": (field) => integerProblem(field, 1),
};

const OVERFLOWS = ["drop-head", "reject-publish", "reject-publish-dlx"];
const QUEUE_TYPES = ["classic", "quorum"];
const CLASSIC = textField("classic");
/** What RabbitMQ has for one type of queue only. */
const NOT_FOR: Readonly<Record<string, readonly string[]>> = {
  classic: ["x-delivery-limit", "x-quorum-initial-group-size", "x-dead-letter-strategy"],
  quorum: ["x-max-priority", "x-queue-mode", "x-queue-version"],
};

/** Deliveries of a message of a quorum queue that says no limit. */
const DELIVERY_LIMIT = 20;
/** The broker has so many levels of priority; RabbitMQ's 256 share them. */
const PRIORITY_LEVELS_MAX = 32;

/** Errors: PRECONDITION_FAILED for arguments that no queue has. */
export function assertQueueArguments(queue: string, declaration: QueueDeclaration): void {
  const { arguments: table } = declaration;
  const exchange = table.get("x-dead-letter-exchange");
  if (exchange !== undefined && exchange.type !== "longstr")
    throw preconditionFailed(
      `invalid type '${exchange.type}' for arg 'x-dead-letter-exchange' in ${thing("queue", queue)}`,
    );
  for (const [name, check] of Object.entries(CHECKS)) {
    const field = table.get(name);
    const problem = field === undefined ? undefined : check(field, table);
    if (problem !== undefined)
      throw preconditionFailed(`invalid arg '${name}' for ${thing("queue", queue)}: ${problem}`);
  }
  assertOfType(queue, declaration);
}

function assertOfType(
  queue: string,
  { durable, exclusive, autoDelete, arguments: table }: QueueDeclaration,
): void {
  const type = queueTypeOf(table);
  for (const name of NOT_FOR[type]!)
    if (table.has(name))
      throw preconditionFailed(
        `invalid arg '${name}' for ${thing("queue", queue)} of queue type rabbit_${type}_queue`,
      );
  if (type !== "quorum") return;
  const property = quorumProblem(durable, exclusive, autoDelete);
  if (property !== undefined)
    throw preconditionFailed(`invalid property '${property}' for ${thing("queue", queue)}`);
}

/** A property that no quorum queue has. */
function quorumProblem(isDurable: boolean, isExclusive: boolean, isAutoDelete: boolean): string | undefined {
  if (!isDurable) return "non-durable";
  if (isAutoDelete) return "auto-delete";
  return isExclusive ? "exclusive-owner" : undefined;
}

/** `classic` unless it says otherwise. */
export function queueTypeOf(table: FieldTable): string {
  return fieldText(table, "x-queue-type") ?? "classic";
}

/** What goes with its connection is not kept for longer. */
export function isDurablyDeclared({ durable, exclusive }: QueueDeclaration): boolean {
  return durable && !exclusive;
}

/** The options of a queue that is made for `declaration`, which is valid. */
export function queueOptions(queue: string, declaration: QueueDeclaration): Partial<QueueOptions> {
  const { exclusive, autoDelete, arguments: table } = declaration;
  const isQuorum = queueTypeOf(table) === "quorum";
  const hasDeadLetters = table.has("x-dead-letter-exchange");
  const limit = fieldInteger(table, "x-delivery-limit") ?? (isQuorum ? DELIVERY_LIMIT : -1);
  const priorityMax = fieldInteger(table, "x-max-priority") ?? 0;
  return {
    ...(isDurablyDeclared(declaration) ? {} : { durability: "memory" as const }),
    exclusive,
    autoDelete,
    messageBytesMax: MESSAGE_BYTES_MAX,
    inFlightMax: UNLIMITED,
    countsInFlight: false,
    deadLetter: false,
    attemptsMax: limit < 0 ? UNLIMITED : limit + 1,
    priorities: Math.min(priorityMax + 1, PRIORITY_LEVELS_MAX),
    ageMaxMs: ageOf(fieldInteger(table, "x-message-ttl")),
    expiresAfterMs: fieldInteger(table, "x-expires") ?? UNLIMITED,
    ...limitsOf(table, hasDeadLetters),
    singleActiveConsumer: table.get("x-single-active-consumer")?.value === true,
    ...(hasDeadLetters ? { deadLetterTo: deadLetterPlace(queue, table) } : {}),
  };
}

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Without any, the broker's own limit holds, and publishers are told when it is reached. */
function limitsOf(
  table: FieldTable,
  hasDeadLetters: boolean,
): Pick<Partial<QueueOptions>, "countMax" | "bytesMax" | "overflow"> {
  const countMax = fieldInteger(table, "x-max-length");
  const bytesMax = fieldInteger(table, "x-max-length-bytes");
  if (countMax === undefined && bytesMax === undefined) return { overflow: "reject" };
  const overflow = fieldText(table, "x-overflow") ?? "drop-head";
  const dropping = hasDeadLetters ? "dead-letter-oldest" : "drop-oldest";
  return {
    countMax: atLeastOne(countMax),
    bytesMax: atLeastOne(bytesMax),
    overflow: overflow === "drop-head" ? dropping : "reject",
  };
}

/** The default exchange leads to the queue that the routing key names: by itself, the one that the message was sent to. */
function deadLetterPlace(queue: string, table: FieldTable): NonNullable<QueueOptions["deadLetterTo"]> {
  const exchange = fieldText(table, "x-dead-letter-exchange")!;
  const routingKey = fieldText(table, "x-dead-letter-routing-key");
  if (exchange === "") return { kind: "queue", name: brokerName(routingKey ?? queue) };
  const name = exchange === AMQ_TOPIC ? BUS_EXCHANGE : brokerName(exchange);
  return { kind: "exchange", name, ...(routingKey === undefined ? {} : { subject: subjectOf(routingKey) }) };
}

/** No time at all is for consumers that wait. */
function ageOf(limitMs: number | undefined): number {
  return limitMs === undefined ? UNLIMITED : limitMs || AT_ONCE_MS;
}

function atLeastOne(limit: number | undefined): number {
  return limit === undefined ? UNLIMITED : Math.max(1, limit);
}

/**
 * What `options` of a queue that was not declared on AMQP say, as arguments: of those that RabbitMQ has a word for, the
 * ones that differ from its defaults.
 */
export function argumentsOf(options: QueueOptions): FieldTable {
  const table = new Map<string, FieldValue>();
  const put = (name: string, value: number): void => {
    if (value !== UNLIMITED) table.set(name, { type: "long", value });
  };
  put("x-message-ttl", options.ageMaxMs);
  put("x-expires", options.expiresAfterMs);
  put("x-max-length", options.countMax);
  put("x-max-length-bytes", options.bytesMax);
  if (options.priorities > 1) put("x-max-priority", options.priorities - 1);
  if (options.singleActiveConsumer) table.set("x-single-active-consumer", { type: "bool", value: true });
  return table;
}

/** Errors: PRECONDITION_FAILED naming the first argument of `asked` that is not as it `is`. */
export function assertSameArguments(
  what: string,
  names: Iterable<string>,
  is: FieldTable,
  asked: FieldTable,
): void {
  for (const name of names) {
    const current = is.get(name);
    const received = asked.get(name);
    if (name === "x-queue-type" && isSameField(current ?? CLASSIC, received ?? CLASSIC)) continue;
    if (current === undefined && received === undefined) continue;
    if (current !== undefined && received !== undefined) {
      if (isSameField(current, received)) continue;
      throw inequivalent(name, what, shownValue(received), shownValue(current));
    }
    throw inequivalent(name, what, shownTyped(received), shownTyped(current));
  }
}

export const QUEUE_ARGUMENTS: readonly string[] = Object.keys(CHECKS);

export function inequivalent(
  argument: string,
  what: string,
  received: string,
  current: string,
): ProtocolError {
  return preconditionFailed(
    `inequivalent arg '${argument}' for ${what}: received ${received} but current is ${current}`,
  );
}

function integerProblem(field: FieldValue, min: number, max = Number.MAX_SAFE_INTEGER): string | undefined {
  const value = integerOf(field);
  if (value === undefined) return `"expected integer, got ${field.type}"`;
  if (value > max) return `{max_value_exceeded,${value}}`;
  if (value >= min) return undefined;
  return value === 0 ? "{value_zero,0}" : `{value_negative,${value}}`;
}

function textProblem(field: FieldValue): string | undefined {
  return field.type === "longstr" ? undefined : unacceptable(field);
}

function unacceptable({ type }: FieldValue): string {
  return `{unacceptable_type,${type}}`;
}

function oneOf(field: FieldValue, allowed: readonly string[], problem: string): string | undefined {
  return allowed.includes(textIn(field)) ? undefined : problem;
}

function textIn(field: FieldValue): string {
  return field.type === "longstr" ? field.value.toString("utf8") : "";
}
