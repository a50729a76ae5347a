// What the victim does, as both sides know it: the messages follow from their number, so that the parent can tell what
// a handler should have got, which messages are poison, and whether anything was made up.

import { command, event } from "../../src/index.js";

export interface Item {
  /** Unique over all lives: `life.number`. */
  readonly id: string;
  readonly key: string;
  /** Follows from the id: shows a body that was changed or mixed up. */
  readonly filler: string;
}

/** The ways a message takes. */
export const ROUTES = ["orders", "metrics", "work", "raw", "transfers", "pairs", "direct"] as const;
export type Route = (typeof ROUTES)[number];

/**
 * What is moved as one: each message of these ends exactly once in every place of {@link LEDGERS}, or in none of them.
 * A handler acknowledges `transfers` together with its outputs, a transaction does so with what it received from `pairs`,
 * and one without an input makes `direct`.
 */
export const MOVING: ReadonlySet<Route> = new Set(["transfers", "pairs", "direct"]);
export const LEDGERS = { debits: "debits", credits: "credits", moved: "moved" } as const;

/** Every consumer of a route gets every message of it. */
export const CONSUMERS_OF: Readonly<Record<Route, readonly string[]>> = {
  orders: ["orders/fast", "orders/laned", "orders/flaky"],
  metrics: ["metrics/sums"],
  work: ["work"],
  raw: ["raw"],
  transfers: ["transfers"],
  pairs: ["pairs"],
  direct: [],
};

export const Ordered = event<Item>("orders.created", { key: (item) => item.key });
export const Measured = event<Item>("metrics.measured", { key: (item) => item.key });
export const Work = command<Item>("work", { key: (item) => item.key });
export const Transfer = command<Item>("transfers", { key: (item) => item.key });
export const Debit = command<Item>(LEDGERS.debits);
export const Credit = command<Item>(LEDGERS.credits);
export const Moved = event<Item>("moved.done", { key: (item) => item.key });

/** The queue in which the handler of metrics writes, with each acknowledgement, what it handled. */
export const SUMS = "sums";

export const KEYS = 12;
const POISON_EVERY = 13;

export function itemOf(life: number, number: number): Item {
  return { id: `${life}.${number}`, key: `k${number % KEYS}`, filler: fillerOf(life, number) };
}

/** 0 to about 500 characters, so that batches differ in size. */
function fillerOf(life: number, number: number): string {
  const length = Math.imul(life * 7919 + number, 2654435761) >>> 23;
  return `${life}/${number}`.repeat(Math.ceil(length / 8)).slice(0, length);
}

export function numberOf(id: string): { readonly life: number; readonly number: number } {
  const [life = "", number = ""] = id.split(".");
  return { life: Number(life), number: Number(number) };
}

/** Whether `item` is exactly what its id says. */
export function isIntact(item: Item): boolean {
  const { life, number } = numberOf(item.id);
  const expected = itemOf(life, number);
  return item.key === expected.key && item.filler === expected.filler;
}

/** Poison kills every attempt of `orders/flaky` and of `transfers`, and `work` refuses it at once. */
export function isPoison(id: string): boolean {
  const { life, number } = numberOf(id);
  return (life + number) % POISON_EVERY === 0;
}

/** Consumers whose poison becomes dead letters. */
export const BURYING: ReadonlySet<string> = new Set(["orders/flaky", "work", "transfers"]);

/** The first attempt of some messages fails. */
export function failsFirst(id: string): boolean {
  return numberOf(id).number % 11 === 3;
}

/** How long a handler works on it, in milliseconds: mostly not at all. */
export function workMsOf(id: string): number {
  const { life, number } = numberOf(id);
  return (life + number) % 7 === 0 ? 1 + (number % 30) : 0;
}
