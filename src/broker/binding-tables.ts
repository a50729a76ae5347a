// What is bound to one exchange, kept so that what a message leads to is found fast: a table for each kind of exchange.

import { PatternTrie } from "../collections/pattern-trie.js";
import { decodeHeaders } from "../log/record-headers.js";
import { type BindingDefinition, type ExchangeKind, headersText } from "./binding.js";
import { ConsistentHash } from "./consistent-hash.js";
import type { OutgoingMessage } from "./message.js";
import { parsePattern, parseSubject } from "./subject.js";

/** What is bound, by target. Binding anew what is bound changes at most its weight. */
export interface BindingTable<T> {
  /** Whether messages of one subject always lead to the same targets. */
  readonly isBySubject: boolean;
  readonly isEmpty: boolean;
  bind(binding: BindingDefinition, target: T): void;
  unbind(binding: BindingDefinition, target: T): void;
  /** Every target once. Errors: INVALID_SUBJECT. */
  match(message: OutgoingMessage): Iterable<T>;
}

export function bindingTable<T extends object>(kind: ExchangeKind): BindingTable<T> {
  switch (kind) {
    case "direct":
      return new DirectTable();
    case "fanout":
      return new FanoutTable();
    case "topic":
      return new TopicTable();
    case "headers":
      return new HeadersTable();
    case "consistent-hash":
      return new HashTable();
  }
}

class DirectTable<T> implements BindingTable<T> {
  readonly isBySubject = true;
  readonly #targets = new Map<string, Set<T>>();

  get isEmpty(): boolean {
    return this.#targets.size === 0;
  }

  bind({ pattern }: BindingDefinition, target: T): void {
    const targets = this.#targets.get(pattern!) ?? new Set();
    this.#targets.set(pattern!, targets.add(target));
  }

  unbind({ pattern }: BindingDefinition, target: T): void {
    const targets = this.#targets.get(pattern!);
    if (targets?.delete(target) && targets.size === 0) this.#targets.delete(pattern!);
  }

  match({ subject }: OutgoingMessage): Iterable<T> {
    return this.#targets.get(subject) ?? [];
  }
}

class FanoutTable<T> implements BindingTable<T> {
  readonly isBySubject = true;
  readonly #targets = new Set<T>();

  get isEmpty(): boolean {
    return this.#targets.size === 0;
  }

  bind(_: BindingDefinition, target: T): void {
    this.#targets.add(target);
  }

  unbind(_: BindingDefinition, target: T): void {
    this.#targets.delete(target);
  }

  match(): Iterable<T> {
    return this.#targets;
  }
}

class TopicTable<T extends object> implements BindingTable<T> {
  readonly isBySubject = true;
  readonly #patterns = new PatternTrie<T>();

  get isEmpty(): boolean {
    return this.#patterns.size === 0;
  }

  bind({ pattern }: BindingDefinition, target: T): void {
    this.#patterns.add(parsePattern(pattern!), target);
  }

  unbind({ pattern }: BindingDefinition, target: T): void {
    this.#patterns.remove(parsePattern(pattern!), target);
  }

  match({ subject }: OutgoingMessage): Iterable<T> {
    return this.#patterns.match(parseSubject(subject));
  }
}

/** One condition, and what is bound with it. */
interface Condition<T> {
  readonly needsAll: boolean;
  readonly values: readonly (readonly [name: string, value: string | null])[];
  readonly targets: Set<T>;
}

/** Looks at every binding: conditions on headers have nothing in common that could be looked up. */
class HeadersTable<T> implements BindingTable<T> {
  readonly isBySubject = false;
  readonly #conditions = new Map<string, Condition<T>>();

  get isEmpty(): boolean {
    return this.#conditions.size === 0;
  }

  bind({ headers }: BindingDefinition, target: T): void {
    const { match, values } = headers!;
    const text = headersText(headers!);
    const known = this.#conditions.get(text) ?? {
      needsAll: match === "all",
      values: Object.entries(values),
      targets: new Set<T>(),
    };
    known.targets.add(target);
    this.#conditions.set(text, known);
  }

  unbind({ headers }: BindingDefinition, target: T): void {
    const text = headersText(headers!);
    const known = this.#conditions.get(text);
    if (known?.targets.delete(target) && known.targets.size === 0) this.#conditions.delete(text);
  }

  match(message: OutgoingMessage): Iterable<T> {
    const found = new Set<T>();
    const headers = headerTexts(message);
    for (const condition of this.#conditions.values())
      if (isMet(condition, headers)) for (const target of condition.targets) found.add(target);
    return found;
  }
}

class HashTable<T> implements BindingTable<T> {
  readonly isBySubject = false;
  readonly #members = new ConsistentHash<T>();

  get isEmpty(): boolean {
    return this.#members.isEmpty;
  }

  bind(binding: BindingDefinition, target: T): void {
    this.#members.set(memberName(binding), target, binding.weight!);
  }

  unbind(binding: BindingDefinition): void {
    this.#members.delete(memberName(binding));
  }

  match({ key, subject }: OutgoingMessage): Iterable<T> {
    const chosen = this.#members.choose(key ?? subject);
    return chosen === undefined ? [] : [chosen];
  }
}

function memberName({ destinationKind, destination }: BindingDefinition): string {
  return `${destinationKind}/${destination}`;
}

/** Of a name that occurs more than once the last counts, as everywhere. */
function headerTexts({ headers }: OutgoingMessage): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const [name, value] of decodeHeaders(headers))
    if (value !== null) texts.set(name, typeof value === "string" ? value : Buffer.from(value).toString());
  return texts;
}

function isMet<T>({ needsAll, values }: Condition<T>, headers: ReadonlyMap<string, string>): boolean {
  for (const [name, value] of values) {
    const isThere = value === null ? headers.has(name) : headers.get(name) === value;
    if (isThere !== needsAll) return !needsAll;
  }
  return needsAll;
}
