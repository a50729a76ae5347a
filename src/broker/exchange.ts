// An exchange: what is bound to it, and where a message that is published to it leads, over other exchanges too.

import type { ExchangeOptions } from "./binding.js";
import { type BindingTable, bindingTable } from "./binding-tables.js";
import type { OutgoingMessage } from "./message.js";
import type { Queue } from "./queue.js";
import type { Topic } from "./topic.js";
import type { Unopened } from "./unopened.js";

/** Where messages come to rest. */
export type Destination = Queue | Topic | Unopened;

export class Exchange {
  readonly name: string;
  readonly options: ExchangeOptions;
  readonly bindings: BindingTable<Destination | Exchange>;
  isDeleted = false;
  /** Where subjects lead, as far as that has been found since something was changed. */
  readonly routes = new Map<string, Route>();

  constructor(name: string, options: ExchangeOptions) {
    this.name = name;
    this.options = options;
    this.bindings = bindingTable(options.kind);
  }
}

/** Where one message leads. */
export interface Route {
  /** Every queue and topic, each once; topics first. */
  readonly destinations: readonly Destination[];
  /** Whether it comes past the bus itself and to no topic: those who look on have nowhere else to see it. */
  readonly isSeenAtOnce: boolean;
}

/** A route that was searched for. */
export interface FoundRoute {
  readonly route: Route;
  /** Whether every message of this subject leads to the same. */
  readonly isBySubject: boolean;
}

/**
 * Follows a message that is published to `start`. Every exchange is asked once, so that circles do no harm; where nothing
 * is bound for the message, its alternate is asked. Errors: INVALID_SUBJECT.
 */
export function findRoute(
  message: OutgoingMessage,
  start: Exchange,
  bus: Exchange,
  alternateOf: (exchange: Exchange) => Exchange | undefined,
): FoundRoute {
  const found = new Set<Destination>();
  let isBySubject = true;
  // It grows while it is walked over.
  const asked = new Set([start]);
  for (const exchange of asked) {
    if (!exchange.bindings.isBySubject) isBySubject = false;
    let isBound = false;
    for (const target of exchange.bindings.match(message)) {
      isBound = true;
      if (target instanceof Exchange) asked.add(target);
      else found.add(target);
    }
    const alternate = isBound ? undefined : alternateOf(exchange);
    if (alternate !== undefined) asked.add(alternate);
  }
  const all = [...found];
  const topics = all.filter(({ kind }) => kind === "topic");
  const destinations = [...topics, ...all.filter(({ kind }) => kind === "queue")];
  return { route: { destinations, isSeenAtOnce: asked.has(bus) && topics.length === 0 }, isBySubject };
}
