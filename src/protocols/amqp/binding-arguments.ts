// What a binding says besides its ends, for each kind of exchange.

import type { Binding, HeaderCondition } from "../../broker/binding.js";
import { patternOf, subjectOf } from "./address.js";
import { preconditionFailed } from "./errors.js";
import type { ExchangeView } from "./exchange-view.js";
import { headerText } from "./field-text.js";
import type { FieldTable } from "./wire/fields.js";

/** Of a consistent-hash exchange, at most. */
const WEIGHT_MAX = 1_000;

/** Errors: PRECONDITION_FAILED. */
export function bindingCondition(
  { kind }: ExchangeView,
  routingKey: string,
  table: FieldTable,
): Pick<Binding, "pattern" | "headers" | "weight"> {
  switch (kind) {
    case "direct":
      return { pattern: subjectOf(routingKey) };
    case "topic":
      return { pattern: patternOf(routingKey) };
    case "headers":
      return { headers: headerCondition(table) };
    case "consistent-hash":
      return { weight: weightOf(routingKey) };
    case "fanout":
      return {};
  }
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
  return { match: way.startsWith("any") ? "any" : "all", values };
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
