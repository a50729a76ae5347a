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
  readonly routes = new Map<string, readonly Destination[]>();

  constructor(name: string, options: ExchangeOptions) {
    this.name = name;
    this.options = options;
    this.bindings = bindingTable(options.kind);
  }
}

/** Finds where one message leads. Every exchange is asked once, so that circles do no harm. */
export class RouteSearch {
  /** Whether every message of this subject leads to the same. */
  isBySubject = true;
  readonly #message: OutgoingMessage;
  readonly #alternateOf: (exchange: Exchange) => Exchange | undefined;
  readonly #found = new Set<Destination>();
  /** Whether each exchange that was asked led anywhere. */
  readonly #asked = new Map<Exchange, boolean>();

  constructor(message: OutgoingMessage, alternateOf: (exchange: Exchange) => Exchange | undefined) {
    this.#message = message;
    this.#alternateOf = alternateOf;
  }

  /** Every queue and topic that the message leads to, each once; topics first. Errors: INVALID_SUBJECT. */
  from(exchange: Exchange): Destination[] {
    this.#follow(exchange);
    const found = [...this.#found];
    return [...found.filter(({ kind }) => kind === "topic"), ...found.filter(({ kind }) => kind === "queue")];
  }

  /** Returns whether it led to any queue or topic, found before or not. */
  #follow(exchange: Exchange): boolean {
    const known = this.#asked.get(exchange);
    if (known !== undefined) return known;
    this.#asked.set(exchange, false);
    if (!exchange.bindings.isBySubject) this.isBySubject = false;
    let isRouted = false;
    for (const target of exchange.bindings.match(this.#message)) {
      if (!(target instanceof Exchange)) this.#found.add(target);
      else if (!this.#follow(target)) continue;
      isRouted = true;
    }
    const alternate = isRouted ? undefined : this.#alternateOf(exchange);
    if (alternate !== undefined) isRouted = this.#follow(alternate);
    this.#asked.set(exchange, isRouted);
    return isRouted;
  }
}
