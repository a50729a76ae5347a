// The headers by which RabbitMQ's clients read why a message was dead-lettered, made from the broker's history of it.

import type { DeadLetterEntry, DeadLetterReason } from "../../broker/dead-letter.js";
import type { DeadLetterTarget } from "../../broker/dead-letter-target.js";
import { amqpName, exchangeName, routingKeyOf } from "./address.js";
import { fieldInteger, fieldText } from "./field-text.js";
import { type FieldTable, type FieldValue, textField } from "./wire/fields.js";
import type { BasicProperties } from "./wire/properties.js";

const REASONS: Readonly<Record<DeadLetterReason, string>> = {
  "attempts-exhausted": "delivery_limit",
  expired: "expired",
  "invalid-payload": "rejected",
  "unknown-type": "rejected",
  rejected: "rejected",
  overflow: "maxlen",
  unroutable: "rejected",
};

const DEATHS = "x-death";

/** What became of a message by its deaths: where it seems to come from, and what it says of them. */
export interface AfterDeath {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: BasicProperties;
}

export function afterDeath(before: AfterDeath, history: readonly DeadLetterEntry[]): AfterDeath {
  const table = new Map(before.properties.headers);
  const { expiration } = before.properties;
  let { exchange, routingKey } = before;
  let deaths = deathsIn(table);
  for (const [index, entry] of history.entries()) {
    const keys = [routingKey, ...copiesIn(table)];
    deaths = withDeath(deaths, entry, exchange, keys, index === 0 ? expiration : undefined);
    setFirst(table, entry, exchange);
    if (entry.to === undefined) continue;
    exchange = entry.to.kind === "queue" ? "" : exchangeName(entry.to.name);
    const key = keyOf(entry.to);
    if (key === undefined) continue;
    routingKey = key;
    table.delete("CC");
  }
  table.set(DEATHS, { type: "array", value: deaths.map((value) => ({ type: "table", value })) });
  const headers = new Map([...table].sort(([one], [other]) => (one < other ? -1 : 1)));
  return { exchange, routingKey, properties: { ...before.properties, headers, expiration: undefined } };
}

/** Undefined when it keeps its own. */
function keyOf({ kind, name, subject }: DeadLetterTarget): string | undefined {
  if (kind === "queue") return amqpName(name);
  return subject === undefined ? undefined : routingKeyOf(subject);
}

/** The latest death first; one entry for each reason in each queue. */
function withDeath(
  deaths: readonly FieldTable[],
  entry: DeadLetterEntry,
  exchange: string,
  keys: readonly string[],
  expiration: string | undefined,
): FieldTable[] {
  const queue = amqpName(entry.source);
  const reason = REASONS[entry.reason];
  const isSame = (death: FieldTable): boolean =>
    fieldText(death, "queue") === queue && fieldText(death, "reason") === reason;
  const earlier = deaths.find(isSame);
  const counted = earlier === undefined ? 0 : (fieldInteger(earlier, "count") ?? 0);
  const death = new Map<string, FieldValue>([
    ["count", { type: "long", value: Math.max(counted + 1, entry.times ?? 1) }],
    ["reason", textField(reason)],
    ["queue", textField(queue)],
    ["time", { type: "timestamp", value: Math.floor(entry.deadAtMs / 1000) }],
    ["exchange", textField(exchange)],
    ["routing-keys", { type: "array", value: keys.map(textField) }],
  ]);
  if (expiration !== undefined) death.set("original-expiration", textField(expiration));
  return [death, ...deaths.filter((other) => other !== earlier)];
}

function setFirst(
  table: Map<string, FieldValue>,
  { reason, source }: DeadLetterEntry,
  exchange: string,
): void {
  if (table.has("x-first-death-reason")) return;
  table.set("x-first-death-reason", textField(REASONS[reason]));
  table.set("x-first-death-queue", textField(amqpName(source)));
  table.set("x-first-death-exchange", textField(exchange));
}

/** What the message said of deaths when it was published. */
function deathsIn(table: FieldTable): FieldTable[] {
  const field = table.get(DEATHS);
  if (field?.type !== "array") return [];
  return field.value.flatMap((death) => (death.type === "table" ? [death.value] : []));
}

function copiesIn(table: FieldTable): string[] {
  const field = table.get("CC");
  if (field?.type !== "array") return [];
  return field.value.flatMap((one) => (one.type === "longstr" ? [one.value.toString("utf8")] : []));
}
