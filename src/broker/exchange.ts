// The topic exchange: routes a subject to everything that is bound with a pattern which matches it.

import { PatternTrie } from "../collections/pattern-trie.js";
import type { Queue } from "./queue.js";
import { parsePattern, parseSubject } from "./subject.js";
import type { Topic } from "./topic.js";
import type { Unopened } from "./unopened.js";

/** Where a binding leads. */
export type Destination = Queue | Topic | Unopened;

/** How many subjects' routes are remembered. Beyond that all are forgotten and found anew. */
const ROUTES_MAX = 10_000;

export class Exchange {
  readonly #bindings = new PatternTrie<Destination>();
  readonly #routes = new Map<string, readonly Destination[]>();

  /** Returns false when the binding was there already. Errors: INVALID_SUBJECT. */
  bind(pattern: string, destination: Destination): boolean {
    this.#routes.clear();
    return this.#bindings.add(parsePattern(pattern), destination);
  }

  /** Returns false when there was no such binding. Errors: INVALID_SUBJECT. */
  unbind(pattern: string, destination: Destination): boolean {
    this.#routes.clear();
    return this.#bindings.remove(parsePattern(pattern), destination);
  }

  /** Hot: every destination with a matching binding, each once; topics first. Errors: INVALID_SUBJECT. */
  route(subject: string): readonly Destination[] {
    const known = this.#routes.get(subject);
    if (known !== undefined) return known;
    const found = [...this.#bindings.match(parseSubject(subject))];
    const route = [
      ...found.filter(({ kind }) => kind === "topic"),
      ...found.filter(({ kind }) => kind === "queue"),
    ];
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    this.#routes.set(subject, route);
    return route;
  }
}
