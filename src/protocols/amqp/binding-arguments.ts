// What a binding says besides its ends, for each kind of exchange.

import type { Binding, HeaderCondition } from "../../broker/binding.js";
import { patternOf, subjectOf } from "./address.js";
import { preconditionFailed } from "./errors.js";
import type { ExchangeView } from "./exchange-view.js";
import { headerText } from "./field-text.js";
import { type FieldTable, NO_FIELDS, tableSize, writeTable } from "./wire/fields.js";

/** No message has a header of this name: AMQP's own are not told to the broker when they are empty. */
const NOBODYS_HEADER = "\0";

/** Of a consistent-hash exchange, at most. */
const WEIGHT_MAX = 1_000;

type Condition = Pick<Binding, "pattern" | "headers" | "weight" | "tag">;

/**
 * Bindings with another routing key or other arguments are others, even where these decide nothing: then they are the
 * tag. Errors: PRECONDITION_FAILED.
 */
export function bindingCondition({ kind }: ExchangeView, routingKey: string, table: FieldTable): Condition {
  switch (kind) {
    case "direct":
      return { pattern: subjectOf(routingKey), ...tagOf("", table) };
    case "topic":
      return { pattern: patternOf(routingKey), ...tagOf("", table) };
    case "headers":
      return { headers: headerCondition(table), ...tagOf(routingKey, NO_FIELDS) };
    case "consistent-hash":
      return { weight: weightOf(routingKey) };
    case "fanout":
      return tagOf(routingKey, table);
  }
}

function tagOf(routingKey: string, table: FieldTable): Pick<Binding, "tag"> {
  if (routingKey === "" && table.size === 0) return {};
  const bytes = Buffer.allocUnsafe(tableSize(table));
  writeTable(bytes, 0, table);
  return { tag: table.size === 0 ? routingKey : `${bytes.toString("base64")} ${routingKey}` };
}

function weightOf(routingKey: string): number {
  if (!/^[+-]?\d+$/.test(routingKey))
    throw preconditionFailed(`The binding key must be an integer: <<"${routingKey}">>`);
  const weight = Number(routingKey);
  if (weight < 1) throw preconditionFailed("The binding key must be greater than 0");
  return Math.min(weight, WEIGHT_MAX);
}

/** `x-match` says how; names that begin with `x-` count only with `-with-x`. */
function headerCondition(table: FieldTable): HeaderCondition {
  const way = matchOf(table);
  const values: Record<string, string | null> = {};
  for (const [name, field] of table) {
    if (name === "x-match" || (name.startsWith("x-") && !way.endsWith("-with-x"))) continue;
    const text = headerText(field);
    values[name] = text === undefined ? null : text.toString();
  }
  if (!way.startsWith("any")) return { match: "all", values };
  // None of nothing is there.
  return { match: "any", values: Object.keys(values).length === 0 ? { [NOBODYS_HEADER]: null } : values };
}

function matchOf(table: FieldTable): string {
  const field = table.get("x-match");
  if (field === undefined) return "all";
  if (field.type !== "longstr")
    throw preconditionFailed(
      `Invalid x-match field type ${field.type} (value ${headerText(field)}); expected longstr`,
    );
  const way = field.value.toString("utf8");
  if (["all", "any", "all-with-x", "any-with-x"].includes(way)) return way;
  throw preconditionFailed(
    `Invalid x-match field value <<"${way}">>; expected all, any, all-with-x, or any-with-x`,
  );
}
