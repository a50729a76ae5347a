// Whether one pattern of subjects lies within another: everything that it could match, the other matches as well.

import { ONE_LEVEL, ONE_OR_MORE, type PatternNode, ZERO_OR_MORE } from "../collections/pattern-trie.js";

/** Steps that are looked at before the answer is no. Patterns that people write need a few dozen. */
const STEPS_MAX = 10_000;

/**
 * Whether every sequence of levels that `inner` matches is matched by `outer`. Exact up to a bound on the work, beyond
 * which it is false. A wildcard of `inner` is walked as a level that `outer` does not name: what `outer` matches with that
 * it matches with any other.
 */
export function covers(outer: readonly PatternNode[], inner: readonly PatternNode[]): boolean {
  return new Inclusion(steps(outer), steps(inner)).holds();
}

/** `>` is one level and then any number. */
function steps(pattern: readonly PatternNode[]): PatternNode[] {
  return pattern.flatMap((node) => (node === ONE_OR_MORE ? [ONE_LEVEL, ZERO_OR_MORE] : [node]));
}

/** Walks `inner` and keeps, for each place in it, the places of `outer` that a match may have come to. */
class Inclusion {
  readonly #outer: readonly PatternNode[];
  readonly #inner: readonly PatternNode[];
  readonly #seen = new Set<string>();
  readonly #pending: { readonly at: number; readonly places: readonly number[] }[] = [];

  constructor(outer: readonly PatternNode[], inner: readonly PatternNode[]) {
    this.#outer = outer;
    this.#inner = inner;
  }

  holds(): boolean {
    this.#look(0, this.#closed([0]));
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      const { at, places } = next;
      if (places.length === 0 || this.#seen.size > STEPS_MAX) return false;
      const node = this.#inner[at];
      if (node === undefined) {
        if (!places.includes(this.#outer.length)) return false;
      } else if (node === ZERO_OR_MORE) {
        this.#look(at + 1, places);
        this.#look(at, this.#after(places, undefined));
      } else {
        this.#look(at + 1, this.#after(places, typeof node === "string" ? node : undefined));
      }
    }
    return true;
  }

  #look(at: number, places: readonly number[]): void {
    const key = `${at}:${places.join()}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#pending.push({ at, places });
  }

  /** Where `outer` may be after one more level; undefined is one that it does not name. */
  #after(places: readonly number[], level: string | undefined): number[] {
    const next: number[] = [];
    for (const place of places) {
      const node = this.#outer[place];
      if (node === ZERO_OR_MORE) next.push(place);
      else if (node === ONE_LEVEL || (node !== undefined && node === level)) next.push(place + 1);
    }
    return this.#closed(next);
  }

  /** With what is reached by letting a zero-or-more match nothing; sorted. */
  #closed(places: readonly number[]): number[] {
    const all = new Set(places);
    for (const place of all) if (this.#outer[place] === ZERO_OR_MORE) all.add(place + 1);
    return [...all].sort((a, b) => a - b);
  }
}
