// The proof: compares the orders whose receipts the parent saw, and those that lie in the topic, with the effects in the
// ledger, order by order. Reads everything back from disk and believes nobody.

import type { Bus } from "../../index.js";
import { acceptsPayment, orderId, runOf } from "./orders.js";
import { readRuns } from "./runs.js";
import { EFFECTS, type Effect, type Entry, LEDGER_TOPIC, ORDER_TOPIC, RunClosedEvent } from "./shop-types.js";

/** What became of the orders of one run. */
export interface RunAudit {
  readonly run: string;
  /** Orders that were acknowledged to this parent; undefined for a run that another parent began. */
  readonly acknowledged: number | undefined;
  /** Different orders in the topic. */
  readonly stored: number;
  /** Orders that lie in the topic more than once. */
  readonly storedTwice: readonly string[];
  /** Different orders with this effect. */
  readonly effects: Readonly<Record<Effect, number>>;
  /** Acknowledged orders that are not in the topic. */
  readonly lost: readonly string[];
  /** Orders that lack an effect, as `order: effect`. */
  readonly missing: readonly string[];
  /** Effects that were done more than once, as `order: effect`. */
  readonly doubled: readonly string[];
  /** Effects for orders that nobody placed, and charges that the provider cannot have accepted. */
  readonly inexplicable: readonly string[];
  readonly isInOrder: boolean;
}

interface RunBooks {
  readonly run: string;
  /** How often each order lies in the topic. */
  readonly orders: Map<string, number>;
  /** How often each effect lies in the ledger. */
  readonly effects: Readonly<Record<Effect, Map<string, number>>>;
  readonly inexplicable: string[];
}

/**
 * Audits `run`, of which the orders 1 to `acknowledged` were acknowledged, and every other run that never ended. Closes
 * those that are in order, so that the next time starts without them.
 */
export async function audit(bus: Bus, run: string, acknowledged: number): Promise<RunAudit[]> {
  const runs = await readRuns(bus);
  const books = new Map<string, RunBooks>(runs.map((opened) => [opened.run, emptyBooks(opened.run)]));
  const orderOffset = Math.min(...runs.map((opened) => opened.orderOffset));
  for await (const message of bus.topic(ORDER_TOPIC).read({ from: orderOffset })) {
    if (message.key !== null) count(books.get(runOf(message.key))?.orders, message.key);
  }
  const ledgerOffset = Math.min(...runs.map((opened) => opened.ledgerOffset));
  for await (const message of bus.topic(LEDGER_TOPIC).read({ from: ledgerOffset })) {
    const entry = message.json<Entry>();
    const own = books.get(runOf(entry.order));
    if (own !== undefined) book(own, message.subject.slice(LEDGER_TOPIC.length + 1) as Effect, entry);
  }
  const audits = [...books.values()].map((own) => compare(own, own.run === run ? acknowledged : undefined));
  for (const { run: closed, isInOrder } of audits)
    if (isInOrder) await bus.publish(RunClosedEvent, { run: closed });
  return audits;
}

function emptyBooks(run: string): RunBooks {
  const effects = { charged: new Map(), reserved: new Map(), notified: new Map() };
  return { run, orders: new Map(), effects, inexplicable: [] };
}

function book(books: RunBooks, effect: Effect, entry: Entry): void {
  count(books.effects[effect], entry.order);
  if (effect === "charged" && !acceptsPayment(entry.order, entry.attempt)) {
    books.inexplicable.push(`${entry.order}: charged on attempt ${entry.attempt}`);
  }
}

function count(counts: Map<string, number> | undefined, name: string): void {
  counts?.set(name, (counts.get(name) ?? 0) + 1);
}

function compare(books: RunBooks, acknowledged: number | undefined): RunAudit {
  const { run, orders, effects } = books;
  const lost: string[] = [];
  for (let number = 1; number <= (acknowledged ?? 0); number += 1) {
    if (!orders.has(orderId(run, number))) lost.push(orderId(run, number));
  }
  const storedTwice = [...orders].flatMap(([order, times]) => (times > 1 ? [order] : []));
  const missing = EFFECTS.flatMap((effect) =>
    [...orders.keys()].filter((order) => !effects[effect].has(order)).map((order) => `${order}: ${effect}`),
  );
  const doubled = EFFECTS.flatMap((effect) =>
    [...effects[effect]].filter(([, times]) => times > 1).map(([order]) => `${order}: ${effect}`),
  );
  const strangers = EFFECTS.flatMap((effect) =>
    [...effects[effect].keys()].filter((order) => !orders.has(order)).map((order) => `${order}: ${effect}`),
  );
  const inexplicable = [...books.inexplicable, ...strangers];
  return {
    run,
    acknowledged,
    stored: orders.size,
    storedTwice,
    effects: {
      charged: effects.charged.size,
      reserved: effects.reserved.size,
      notified: effects.notified.size,
    },
    lost,
    missing,
    doubled,
    inexplicable,
    isInOrder: lost.length + storedTwice.length + missing.length + doubled.length + inexplicable.length === 0,
  };
}
