// Bindings: what leads published messages to queues and topics, and keeping that in the catalog.

import type { BindingDefinition, Catalog } from "./catalog.js";
import { type Destination, Exchange } from "./exchange.js";
import { NamedTurns } from "./named-turns.js";
import { parsePattern } from "./subject.js";

/** What routing is built on. */
export interface RoutingParts {
  readonly catalog: Catalog;
  /** What has that name. Errors: QUEUE_NOT_FOUND, TOPIC_NOT_FOUND, those of what could not be opened. */
  readonly destination: (kind: "queue" | "topic", name: string) => Destination;
  /** When the broker is opened: what has that name, if it is there, whether or not it could be opened. */
  readonly storedDestination: (kind: "queue" | "topic", name: string) => Destination | undefined;
}

export class Routing {
  readonly exchange = new Exchange();
  readonly #parts: RoutingParts;
  readonly #turns = new NamedTurns();

  constructor(parts: RoutingParts) {
    this.#parts = parts;
  }

  async bind(pattern: string, kind: "queue" | "topic", name: string): Promise<void> {
    parsePattern(pattern);
    const destination = this.#parts.destination(kind, name);
    const definition = bindingOf(pattern, destination);
    await this.#turns.run(turnOf(definition), async () => {
      if (this.#parts.catalog.has(definition)) return;
      await this.#parts.catalog.put(definition);
      this.exchange.bind(pattern, destination);
    });
  }

  async unbind(pattern: string, kind: "queue" | "topic", name: string): Promise<void> {
    parsePattern(pattern);
    const destination = this.#parts.destination(kind, name);
    const definition = bindingOf(pattern, destination);
    await this.#turns.run(turnOf(definition), async () => {
      if (!this.#parts.catalog.has(definition)) return;
      await this.#parts.catalog.remove(definition);
      this.exchange.unbind(pattern, destination);
    });
  }

  /** Takes in a stored binding. One whose destination is gone leads nowhere. */
  open({ pattern, destinationKind, destination: name }: BindingDefinition): void {
    const destination = this.#parts.storedDestination(destinationKind, name);
    if (destination !== undefined) this.exchange.bind(pattern, destination);
  }
}

function bindingOf(pattern: string, destination: Destination): BindingDefinition {
  return { kind: "binding", pattern, destinationKind: destination.kind, destination: destination.name };
}

function turnOf({ destinationKind, destination, pattern }: BindingDefinition): string {
  return `${destinationKind}/${destination} ${pattern}`;
}
