// A binding: an edge from an exchange to a queue, a topic or another exchange, and how it is written down.

import { BrokerError } from "../broker-error.js";
import type { Attributes } from "./attributes.js";
import { shown } from "./limits.js";
import { RESERVED_PREFIX } from "./message.js";
import { assertPlain, parsePattern } from "./subject.js";

/** How an exchange chooses among what is bound to it. */
export type ExchangeKind =
  /** What is bound with the very subject of the message. */
  | "direct"
  /** All that is bound. */
  | "fanout"
  /** What is bound with a pattern that matches the subject. */
  | "topic"
  /** What is bound with headers that the message has. */
  | "headers"
  /** One of what is bound: the same for every message of a key. */
  | "consistent-hash";

export const EXCHANGE_KINDS: readonly ExchangeKind[] = [
  "direct",
  "fanout",
  "topic",
  "headers",
  "consistent-hash",
];

/** What an exchange is declared with. */
export interface ExchangeOptions {
  readonly kind: ExchangeKind;
  /** The exchange that gets what nothing is bound for. */
  readonly alternate?: string | undefined;
  /** It is deleted when the last binding from it is gone, once it had one. @default false */
  readonly autoDelete?: boolean | undefined;
  /** Those of who declared it first. They may be left out, or others, when it is declared again. @default none */
  readonly attributes?: Attributes | undefined;
}

export const EXCHANGE_DEFAULTS: ExchangeOptions = { kind: "topic", autoDelete: false };

/** The exchange that is always there: the bus itself. */
export const BUS_EXCHANGE = "";

export type TargetKind = "queue" | "topic" | "exchange";

/** What a message has to say in its headers. */
export interface HeaderCondition {
  /** Whether all of `values` have to be there, or one of them. */
  readonly match: "all" | "any";
  /** Null is any value. */
  readonly values: Readonly<Record<string, string | null>>;
}

/** Errors of a binding that its exchange cannot have: INVALID_OPTION, INVALID_SUBJECT. */
export interface Binding {
  /** The exchange. @default the bus itself, which is a topic exchange */
  readonly from?: string | undefined;
  readonly to: { readonly kind: TargetKind; readonly name: string };
  /** What a topic exchange matches with the subject; for a direct exchange the subject itself. Needed by these two. */
  readonly pattern?: string | undefined;
  /** Needed by a headers exchange. Without values, `all` is every message. */
  readonly headers?: HeaderCondition | undefined;
  /**
   * The share of a consistent-hash exchange's keys, in proportion to those of the others: 1 to 1,000. It may be changed
   * by binding again. @default 1
   */
  readonly weight?: number | undefined;
  /** Tells apart bindings that are otherwise the same: messages are led on until all of them are unbound. @default none */
  readonly tag?: string | undefined;
}

/** A binding as the catalog keeps it. */
export interface BindingDefinition {
  readonly kind: "binding";
  readonly destinationKind: TargetKind;
  readonly destination: string;
  /** Left out for the bus itself. */
  readonly from?: string;
  readonly pattern?: string;
  readonly headers?: HeaderCondition;
  readonly weight?: number;
  readonly tag?: string;
}

/** The most that one binding of a consistent-hash exchange may weigh. */
const WEIGHT_MAX = 1_000;

/** Which of its parts a binding of an exchange of this kind has. */
const PART_OF: Readonly<Record<ExchangeKind, "pattern" | "headers" | "weight" | undefined>> = {
  direct: "pattern",
  fanout: undefined,
  topic: "pattern",
  headers: "headers",
  "consistent-hash": "weight",
};

/** `binding` as it is stored. Errors: INVALID_OPTION, INVALID_SUBJECT. */
export function bindingDefinition(binding: Binding, kind: ExchangeKind): BindingDefinition {
  const { from = BUS_EXCHANGE, to } = binding;
  for (const part of ["pattern", "headers", "weight"] as const)
    if (binding[part] !== undefined && part !== PART_OF[kind]) throw notFor(kind, part, from);
  return {
    kind: "binding",
    destinationKind: to.kind,
    destination: to.name,
    ...(from === BUS_EXCHANGE ? {} : { from }),
    ...condition(binding, kind),
    ...(binding.tag === undefined ? {} : { tag: binding.tag }),
  };
}

function condition(
  { pattern, headers, weight = 1 }: Binding,
  kind: ExchangeKind,
): Pick<BindingDefinition, "pattern" | "headers" | "weight"> {
  switch (kind) {
    case "direct":
      assertPlain(pattern as string);
      return { pattern: pattern as string };
    case "topic":
      parsePattern(pattern as string);
      return { pattern: pattern as string };
    case "headers":
      return { headers: checkedHeaders(headers) };
    case "consistent-hash":
      if (Number.isInteger(weight) && weight >= 1 && weight <= WEIGHT_MAX) return { weight };
      throw invalid("weight", weight, `give a whole number from 1 to ${WEIGHT_MAX}`);
    case "fanout":
      return {};
  }
}

/** Errors: INVALID_OPTION. The values come back in the order of their names, so that equal conditions read alike. */
function checkedHeaders(headers: HeaderCondition | undefined): HeaderCondition {
  if (typeof headers !== "object" || headers === null || typeof headers.values !== "object")
    throw invalid("headers", headers, 'give such as { match: "all", values: { region: "eu" } }');
  const { match, values } = headers;
  if (match !== "all" && match !== "any") throw invalid("headers.match", match, "give all or any");
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (match === "any" && entries.length === 0)
    throw invalid("headers.values", "empty", "give at least one, for no message has any of none");
  for (const [name, value] of entries) {
    if (name === "" || name.startsWith(RESERVED_PREFIX))
      throw invalid(
        "headers.values",
        name,
        `give names of headers that do not begin with ${RESERVED_PREFIX}`,
      );
    if (typeof value !== "string" && value !== null)
      throw invalid(`headers.values.${name}`, value, "give a string, or null for any value");
  }
  return { match, values: Object.fromEntries(entries) };
}

function notFor(kind: ExchangeKind, part: string, from: string): BrokerError {
  const wanted = PART_OF[kind];
  const what = from === BUS_EXCHANGE ? "the bus" : `the exchange ${from}`;
  return new BrokerError(
    "INVALID_OPTION",
    `A binding of ${what} has no ${part}, because that is a ${kind} exchange: ${wanted === undefined ? "it has nothing but its destination" : `give ${wanted}`}.`,
    { option: part, exchange: from },
  );
}

function invalid(option: string, value: unknown, wanted: string): BrokerError {
  return new BrokerError(
    "INVALID_OPTION",
    `The option ${option} of a binding is ${shown(value)}; ${wanted}.`,
    { option, value: shown(value) },
  );
}

/** The binding that was stored. */
export function bindingOf(definition: BindingDefinition): Binding {
  const { from = BUS_EXCHANGE, destinationKind, destination, pattern, headers, weight, tag } = definition;
  return {
    from,
    to: { kind: destinationKind, name: destination },
    ...(pattern === undefined ? {} : { pattern }),
    ...(headers === undefined ? {} : { headers }),
    ...(weight === undefined ? {} : { weight }),
    ...(tag === undefined ? {} : { tag }),
  };
}

/** Names have no space and no slash; a pattern may have anything. A weight does not tell bindings apart. */
export function bindingKey(definition: BindingDefinition): string {
  const { tag } = definition;
  return tag === undefined ? wayOf(definition) : `tagged/${JSON.stringify(tag)} ${wayOf(definition)}`;
}

/** The same for bindings that a tag alone tells apart. */
export function wayOf(definition: BindingDefinition): string {
  const { from = BUS_EXCHANGE, destinationKind, destination, pattern, headers } = definition;
  const way = from === BUS_EXCHANGE ? "binding" : `exchange-binding/${from}`;
  const text = headers === undefined ? (pattern ?? "") : headersText(headers);
  return `${way}/${destinationKind}/${destination} ${text}`;
}

/** The condition as a text; equal for equal ones. */
export function headersText({ match, values }: HeaderCondition): string {
  return `${match} ${JSON.stringify(values)}`;
}
