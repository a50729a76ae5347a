// What the shop says: its events, its command, and the books that it keeps on the bus itself.

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { command, event } from "../../index.js";
import type { Order } from "./orders.js";

/** The groups that each get every order, and the workers that share the reservations. */
export const CONSUMERS = ["billing", "stock", "notification", "stock.reserve"] as const;
export type Consumer = (typeof CONSUMERS)[number];

/** Where a consumer's messages come from, as dead letters name it. */
export const SOURCE_OF: Readonly<Record<Consumer, string>> = {
  billing: "order/billing",
  stock: "order/stock",
  notification: "order/notification",
  "stock.reserve": "stock.reserve",
};

export const ORDER_PLACED = "order.placed";
export const ORDER_TOPIC = "order";
/** An order is stored once, however often it is placed. */
export const ORDER_TOPIC_OPTIONS = { deduplicate: { window: "1d" } } as const;
export const LEDGER_TOPIC = "ledger";
export const RUN_TOPIC = "run";

/** The event type. The first version of the shop refuses a total in text; the fixed one reads it. */
export function orderPlaced(isFixed: boolean) {
  return event(ORDER_PLACED, { schema: orderSchema(isFixed), key: (order) => order.id });
}

function orderSchema(isFixed: boolean): StandardSchemaV1<Order, Order> {
  return {
    "~standard": {
      version: 1,
      vendor: "omnibus-demo",
      validate: (value) => {
        const order = value as Order & { total?: unknown };
        if (typeof order?.id !== "string") return { issues: [{ message: "expected a text", path: ["id"] }] };
        if (typeof order.totalCents === "number") return { value: order };
        if (!isFixed || typeof order.total !== "string") {
          return { issues: [{ message: "expected a number of cents", path: ["totalCents"] }] };
        }
        return { value: { ...order, totalCents: Math.round(Number(order.total) * 100) } };
      },
    },
  };
}

/** The command that competing workers share. */
export interface Reservation {
  readonly order: string;
  readonly sku: string;
  readonly quantity: number;
}
export const ReserveStock = command<Reservation>("stock.reserve", {
  key: (reservation) => reservation.order,
});

/** What was really done for an order. */
export const EFFECTS = ["charged", "reserved", "notified"] as const;
export type Effect = (typeof EFFECTS)[number];

/** An effect in the shop's books: the ledger is a topic like any other. */
export interface Entry {
  readonly order: string;
  /** The delivery's attempt on which it was done. */
  readonly attempt: number;
}

export const LedgerEvents = {
  charged: event<Entry>("ledger.charged", { key: (entry) => entry.order }),
  reserved: event<Entry>("ledger.reserved", { key: (entry) => entry.order }),
  notified: event<Entry>("ledger.notified", { key: (entry) => entry.order }),
} as const;

/** A run of the demo begins: what it writes lies at these offsets and after. */
export interface RunOpened {
  readonly run: string;
  readonly orderOffset: number;
  readonly ledgerOffset: number;
}
export const RunOpenedEvent = event<RunOpened>("run.opened", { key: (opened) => opened.run });

/** A run was finished, by itself or by a later one, and its books were found in order. */
export interface RunClosed {
  readonly run: string;
}
export const RunClosedEvent = event<RunClosed>("run.closed", { key: (closed) => closed.run });
