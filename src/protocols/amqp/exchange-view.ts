// An exchange as AMQP sees it: what it was declared with, which the broker keeps as attributes beside what it acts on.

import { BUS_EXCHANGE, type ExchangeKind } from "../../broker/binding.js";
import type { Exchange } from "../../broker/exchange.js";
import { exchangeName } from "./address.js";
import { type Attributes, attributesOf, tableOf } from "./attributes.js";
import { type FieldTable, NO_FIELDS } from "./wire/fields.js";

export const DELAYED_TYPE = "x-delayed-message";

/** Exchanges that are always there, besides the bus. */
export const SYSTEM_EXCHANGES: Readonly<Record<string, ExchangeKind>> = {
  "amq.direct": "direct",
  "amq.fanout": "fanout",
  "amq.headers": "headers",
  "amq.match": "headers",
};

/** AMQP's types, and the kinds of exchange that they are. */
const KINDS: ReadonlyMap<string, ExchangeKind> = new Map([
  ["direct", "direct"],
  ["fanout", "fanout"],
  ["topic", "topic"],
  ["headers", "headers"],
  ["x-consistent-hash", "consistent-hash"],
]);

export function kindOfType(type: string): ExchangeKind | undefined {
  return KINDS.get(type);
}

export class ExchangeView {
  /** The AMQP name. */
  readonly name: string;
  readonly brokerName: string;
  readonly kind: ExchangeKind;
  /** As it was declared. */
  readonly type: string;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  /** Whether it holds messages back that ask for it. */
  readonly isDelayed: boolean;
  readonly arguments: FieldTable;
  /** Undefined for the bus. */
  private readonly exchange: Exchange | undefined;

  constructor(exchange: Exchange | undefined) {
    const attributes: Attributes = exchange === undefined ? {} : attributesOf(exchange);
    this.exchange = exchange;
    this.brokerName = exchange?.name ?? BUS_EXCHANGE;
    this.name = exchangeName(this.brokerName);
    this.kind = exchange?.options.kind ?? "topic";
    this.type = attributes["amqp-type"] ?? typeOfKind(this.kind);
    this.isDurable = attributes["amqp-transient"] === undefined;
    this.isAutoDelete = exchange?.options.autoDelete ?? false;
    this.isInternal = attributes["amqp-internal"] !== undefined;
    this.isDelayed = this.type === DELAYED_TYPE;
    this.arguments = tableOf(attributes) ?? NO_FIELDS;
  }

  /** Hot. */
  get isGone(): boolean {
    return this.exchange?.isDeleted === true;
  }
}

function typeOfKind(kind: ExchangeKind): string {
  return kind === "consistent-hash" ? "x-consistent-hash" : kind;
}
