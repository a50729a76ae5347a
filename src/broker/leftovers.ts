// What is stored of what is gone: of what ended with the process, and of what a crash interrupted while it was deleted.

import type { Definition } from "./catalog.js";
import type { Existing } from "./existing.js";
import { subscriptionStateName } from "./source-opening.js";

/** Logs that belong to what has the id in their names: `queue.7.orders` to the definition with the id 7. */
const OWNED_LOG = /^(?:queue|topic|returns|ids|inbox)\.(\d+)(?:\.|$)/;
/** Delivery states have the names of their logs, or that of their subscription. */
const STATE = /^[a-z]+\.(\d+)(?:\.|$)/;

type LeftoversParts = Pick<Existing, "catalog" | "store" | "settlements" | "routing" | "onError">;

export class Leftovers {
  readonly #existing: LeftoversParts;

  constructor(existing: LeftoversParts) {
    this.#existing = existing;
  }

  /** Call before anything is opened. */
  async remove(): Promise<void> {
    const { catalog, store } = this.#existing;
    const over = this.#over();
    if (over.length > 0) await catalog.removeAll(over, store);
    const ids = idsOf(catalog.definitions);
    const left = store.logNames().filter((log) => !Number.isNaN(ownerOf(log)) && !ids.has(ownerOf(log)));
    for (const log of left) catalog.skipId(ownerOf(log));
    await this.#deleteLogs(left.filter((log) => catalog.isPast(ownerOf(log))));
  }

  /** Deletes every log of what has one of these ids and is not open. */
  async removeLogsOf(ids: ReadonlySet<number>): Promise<void> {
    await this.#deleteLogs(this.#existing.store.logNames().filter((log) => ids.has(ownerOf(log))));
  }

  /** Call when all is open. */
  forgetSettlements(): void {
    const { catalog, settlements } = this.#existing;
    const ids = idsOf(catalog.definitions);
    const current = new Set<string>();
    for (const definition of catalog.definitions) {
      if (definition.kind !== "subscription") continue;
      for (const partition of definition.startOffsets.keys())
        current.add(subscriptionStateName(definition, partition));
    }
    settlements.forgetUnless((name) => {
      if (name.startsWith("subscription.")) return current.has(name);
      const id = STATE.exec(name)?.[1];
      return id === undefined || ids.has(Number(id));
    });
  }

  /** Exclusive queues end with their session, subscriptions with their topic, and what is known of either with it. */
  #over(): Definition[] {
    const { catalog } = this.#existing;
    const definitions = [...catalog.definitions];
    const over = new Set<Definition>();
    for (const definition of definitions) {
      // Older definitions do not know the option.
      if (definition.kind === "queue" && definition.options.exclusive === true) {
        over.add(definition);
        for (const edge of this.#edgesOf(definition.name)) over.add(edge);
      } else if (definition.kind === "subscription" && catalog.topic(definition.topic) === undefined) {
        over.add(definition);
      }
    }
    const ids = idsOf(definitions.filter((definition) => !over.has(definition)));
    for (const definition of definitions)
      if (definition.kind === "expiry" && !ids.has(definition.of)) over.add(definition);
    return [...over];
  }

  #edgesOf(queue: string): Definition[] {
    const { catalog, routing } = this.#existing;
    const forward = catalog.forward(queue);
    return [...routing.bindingsOf("queue", queue), ...(forward === undefined ? [] : [forward])];
  }

  async #deleteLogs(names: readonly string[]): Promise<void> {
    const { store, onError } = this.#existing;
    for (const name of names)
      await store.deleteLog(name).catch((error: unknown) => onError(error, `deleting the log ${name}`));
  }
}

function idsOf(definitions: Iterable<Definition>): Set<number> {
  const ids = new Set<number>();
  for (const definition of definitions) if ("id" in definition) ids.add(definition.id);
  return ids;
}

/** The id of what the log belongs to; NaN for a log of the broker itself. */
function ownerOf(log: string): number {
  return Number(OWNED_LOG.exec(log)?.[1]);
}
