// Finds every pattern that matches a sequence of levels. The one matcher of the project: exchanges and live
// subscriptions stand on it.

/** Matches exactly one level. */
export const ONE_LEVEL = 1;
/** Matches one level or more. */
export const ONE_OR_MORE = 2;
/** Matches any number of levels, none included. */
export const ZERO_OR_MORE = 3;
/** A node of a compiled pattern. A literal level is its text. */
export type PatternNode = string | typeof ONE_LEVEL | typeof ONE_OR_MORE | typeof ZERO_OR_MORE;

class TrieNode<T> {
  literals: Map<string, TrieNode<T>> | undefined = undefined;
  oneLevel: TrieNode<T> | undefined = undefined;
  /** The node reached by passing over any number of levels, none included. */
  zeroOrMore: TrieNode<T> | undefined = undefined;
  values: Set<T> | undefined = undefined;

  /** With all below it. */
  get count(): number {
    let count = 1 + (this.oneLevel?.count ?? 0) + (this.zeroOrMore?.count ?? 0);
    for (const next of this.literals?.values() ?? []) count += next.count;
    return count;
  }

  get isEmpty(): boolean {
    return !this.literals && !this.oneLevel && !this.zeroOrMore && !this.values;
  }
}

/**
 * A set of (pattern, value) pairs, kept as a trie of levels. `ONE_OR_MORE` is stored as one level followed by zero or
 * more, so that a walk knows two kinds of wildcard only.
 */
export class PatternTrie<T> {
  readonly #root = new TrieNode<T>();
  #size = 0;

  /** How many pairs there are. */
  get size(): number {
    return this.#size;
  }

  /** How many nodes it is kept in: one when it is empty. */
  get nodeCount(): number {
    return this.#root.count;
  }

  /** Returns false when the pair was there already. */
  add(pattern: readonly PatternNode[], value: T): boolean {
    let node = this.#root;
    for (const step of steps(pattern)) node = child(node, step);
    node.values ??= new Set();
    if (node.values.has(value)) return false;
    node.values.add(value);
    this.#size += 1;
    return true;
  }

  /** Removes the pair and the branches that it alone needed. Returns false when it was not there. */
  remove(pattern: readonly PatternNode[], value: T): boolean {
    const removed = removeBelow(this.#root, steps(pattern), 0, value);
    if (removed) this.#size -= 1;
    return removed;
  }

  /** Every value with at least one pattern that matches `levels`, each once, in no particular order. */
  match(levels: readonly string[]): Set<T> {
    const found = new Set<T>();
    collect(this.#root, levels, 0, found, []);
    return found;
  }
}

function steps(pattern: readonly PatternNode[]): PatternNode[] {
  return pattern.flatMap((node) => (node === ONE_OR_MORE ? [ONE_LEVEL, ZERO_OR_MORE] : [node]));
}

function child<T>(node: TrieNode<T>, step: PatternNode): TrieNode<T> {
  if (step === ONE_LEVEL) {
    node.oneLevel ??= new TrieNode();
    return node.oneLevel;
  }
  if (typeof step === "number") {
    node.zeroOrMore ??= new TrieNode();
    return node.zeroOrMore;
  }
  node.literals ??= new Map();
  let next = node.literals.get(step);
  if (next === undefined) {
    next = new TrieNode();
    node.literals.set(step, next);
  }
  return next;
}

function existingChild<T>(node: TrieNode<T>, step: PatternNode): TrieNode<T> | undefined {
  if (step === ONE_LEVEL) return node.oneLevel;
  if (typeof step === "number") return node.zeroOrMore;
  return node.literals?.get(step);
}

function removeBelow<T>(node: TrieNode<T>, path: PatternNode[], depth: number, value: T): boolean {
  const step = path[depth];
  if (step === undefined) {
    if (!node.values?.delete(value)) return false;
    if (node.values.size === 0) node.values = undefined;
    return true;
  }
  const next = existingChild(node, step);
  if (next === undefined || !removeBelow(next, path, depth + 1, value)) return false;
  if (next.isEmpty) prune(node, step);
  return true;
}

function prune<T>(node: TrieNode<T>, step: PatternNode): void {
  if (step === ONE_LEVEL) node.oneLevel = undefined;
  else if (typeof step === "number") node.zeroOrMore = undefined;
  else {
    node.literals?.delete(step);
    if (node.literals?.size === 0) node.literals = undefined;
  }
}

/**
 * `tried[level]` remembers the zero-or-more nodes already walked from that level, so that patterns with many wildcards
 * cost at most nodes times levels, never an exponential walk.
 */
function collect<T>(
  node: TrieNode<T>,
  levels: readonly string[],
  at: number,
  found: Set<T>,
  tried: Set<TrieNode<T>>[],
): void {
  const anywhere = node.zeroOrMore;
  if (anywhere !== undefined) {
    for (let from = at; from <= levels.length; from += 1) {
      tried[from] ??= new Set();
      if (tried[from]!.has(anywhere)) break;
      tried[from]!.add(anywhere);
      collect(anywhere, levels, from, found, tried);
    }
  }
  const level = levels[at];
  if (level === undefined) {
    if (node.values) for (const value of node.values) found.add(value);
    return;
  }
  const literal = node.literals?.get(level);
  if (literal) collect(literal, levels, at + 1, found, tried);
  if (node.oneLevel) collect(node.oneLevel, levels, at + 1, found, tried);
}
