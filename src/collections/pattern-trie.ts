// Finds every pattern that matches a sequence of levels, and every sequence of levels that a pattern matches. The one
// matcher of the project: exchanges, live subscriptions and retained messages stand on it.

/** Matches exactly one level. */
export const ONE_LEVEL = 1;
/** Matches one level or more. */
export const ONE_OR_MORE = 2;
/** Matches any number of levels, none included. */
export const ZERO_OR_MORE = 3;
/** A node of a compiled pattern. A literal level is its text. */
export type PatternNode = string | typeof ONE_LEVEL | typeof ONE_OR_MORE | typeof ZERO_OR_MORE;

/** There may be millions: what most nodes have one of has no collection of its own. */
class TrieNode<T> {
  /** The text of the literal child while it is the only one. */
  text: string | undefined = undefined;
  next: TrieNode<T> | undefined = undefined;
  /** The literal children when there are, or were, several. */
  literals: Map<string, TrieNode<T>> | undefined = undefined;
  oneLevel: TrieNode<T> | undefined = undefined;
  /** The node reached by passing over any number of levels, none included. */
  zeroOrMore: TrieNode<T> | undefined = undefined;
  /** The value while it is the only one. */
  value: T | undefined = undefined;
  values: Set<T> | undefined = undefined;

  get isEmpty(): boolean {
    const hasChild = this.next ?? this.literals ?? this.oneLevel ?? this.zeroOrMore;
    return hasChild === undefined && this.value === undefined && this.values === undefined;
  }

  literal(text: string): TrieNode<T> | undefined {
    return this.literals === undefined ? this.#only(text) : this.literals.get(text);
  }

  literalChildren(): Iterable<TrieNode<T>> {
    if (this.literals !== undefined) return this.literals.values();
    return this.next === undefined ? [] : [this.next];
  }

  addLiteral(text: string): TrieNode<T> {
    const made = new TrieNode<T>();
    if (this.literals !== undefined) {
      this.literals.set(text, made);
    } else if (this.next === undefined) {
      this.text = text;
      this.next = made;
    } else {
      this.literals = new Map([
        [this.text!, this.next],
        [text, made],
      ]);
      this.text = undefined;
      this.next = undefined;
    }
    return made;
  }

  removeLiteral(text: string): void {
    this.literals?.delete(text);
    if (this.literals?.size === 0) this.literals = undefined;
    this.text = undefined;
    this.next = undefined;
  }

  addValue(value: T): boolean {
    if (this.hasValue(value)) return false;
    if (this.values !== undefined) {
      this.values.add(value);
    } else if (this.value === undefined) {
      this.value = value;
    } else {
      this.values = new Set([this.value, value]);
      this.value = undefined;
    }
    return true;
  }

  removeValue(value: T): boolean {
    if (!this.hasValue(value)) return false;
    this.values?.delete(value);
    if (this.values?.size === 0) this.values = undefined;
    this.value = undefined;
    return true;
  }

  /** Hot. */
  pushValues(found: T[]): void {
    if (this.value !== undefined) found.push(this.value);
    else if (this.values !== undefined) for (const value of this.values) found.push(value);
  }

  hasValue(value: T): boolean {
    return this.values === undefined ? this.value === value : this.values.has(value);
  }

  #only(text: string): TrieNode<T> | undefined {
    return this.text === text ? this.next : undefined;
  }
}

/** Nodes that were walked already, by how far the walk had come. */
type Tried<T> = (Set<TrieNode<T>> | undefined)[];

/**
 * A set of (pattern, value) pairs, kept as a trie of levels. `ONE_OR_MORE` is stored as one level followed by zero or
 * more, so that a walk knows two kinds of wildcard only.
 */
export class PatternTrie<T extends NonNullable<unknown>> {
  readonly #root = new TrieNode<T>();
  #size = 0;

  /** How many pairs there are. */
  get size(): number {
    return this.#size;
  }

  /** How many nodes it is kept in: one when it is empty. Counts them all. */
  get nodeCount(): number {
    return countNodes(this.#root);
  }

  /** Returns false when the pattern and the value were there together already. */
  add(pattern: readonly PatternNode[], value: T): boolean {
    let node = this.#root;
    for (const step of steps(pattern)) node = child(node, step) ?? addChild(node, step);
    if (!node.addValue(value)) return false;
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
    const found: T[] = [];
    this.collect(levels, found);
    return new Set(found);
  }

  /** Hot: adds the values whose pattern matches `levels` to `found`: a value once for each of its patterns that does. */
  collect(levels: readonly string[], found: T[]): void {
    collectMatching(this.#root, levels, 0, found, undefined);
  }

  /** Adds to `found` the values of those patterns without wildcards which, read as levels, `pattern` matches. */
  collectMatchedBy(pattern: readonly PatternNode[], found: T[]): void {
    collectMatched(this.#root, steps(pattern), 0, found, []);
  }
}

function steps(pattern: readonly PatternNode[]): readonly PatternNode[] {
  if (!pattern.includes(ONE_OR_MORE)) return pattern;
  return pattern.flatMap((node) => (node === ONE_OR_MORE ? [ONE_LEVEL, ZERO_OR_MORE] : [node]));
}

function child<T>(node: TrieNode<T>, step: PatternNode): TrieNode<T> | undefined {
  if (typeof step === "string") return node.literal(step);
  return step === ONE_LEVEL ? node.oneLevel : node.zeroOrMore;
}

function addChild<T>(node: TrieNode<T>, step: PatternNode): TrieNode<T> {
  if (typeof step === "string") return node.addLiteral(step);
  const made = new TrieNode<T>();
  if (step === ONE_LEVEL) node.oneLevel = made;
  else node.zeroOrMore = made;
  return made;
}

function countNodes<T>(node: TrieNode<T>): number {
  let count = 1;
  if (node.oneLevel !== undefined) count += countNodes(node.oneLevel);
  if (node.zeroOrMore !== undefined) count += countNodes(node.zeroOrMore);
  for (const next of node.literalChildren()) count += countNodes(next);
  return count;
}

function removeBelow<T>(node: TrieNode<T>, path: readonly PatternNode[], depth: number, value: T): boolean {
  const step = path[depth];
  if (step === undefined) return node.removeValue(value);
  const next = child(node, step);
  if (next === undefined || !removeBelow(next, path, depth + 1, value)) return false;
  if (next.isEmpty) prune(node, step);
  return true;
}

function prune<T>(node: TrieNode<T>, step: PatternNode): void {
  if (typeof step === "string") node.removeLiteral(step);
  else if (step === ONE_LEVEL) node.oneLevel = undefined;
  else node.zeroOrMore = undefined;
}

/**
 * Hot: on literal levels alone it allocates nothing. `tried[level]` remembers the zero-or-more nodes already walked from
 * that level, so that patterns with many wildcards cost at most nodes times levels, never an exponential walk.
 */
function collectMatching<T>(
  start: TrieNode<T>,
  levels: readonly string[],
  from: number,
  found: T[],
  triedBefore: Tried<T> | undefined,
): void {
  let node: TrieNode<T> = start;
  let tried = triedBefore;
  for (let at = from; ; at += 1) {
    const anywhere = node.zeroOrMore;
    if (anywhere !== undefined) {
      tried ??= [];
      collectAnywhere(anywhere, levels, at, found, tried);
    }
    const level = levels[at];
    if (level === undefined) {
      node.pushValues(found);
      return;
    }
    const literal = node.literal(level);
    const { oneLevel } = node;
    if (literal !== undefined && oneLevel !== undefined) {
      tried ??= [];
      collectMatching(oneLevel, levels, at + 1, found, tried);
    }
    const next = literal ?? oneLevel;
    if (next === undefined) return;
    node = next;
  }
}

function collectAnywhere<T>(
  anywhere: TrieNode<T>,
  levels: readonly string[],
  from: number,
  found: T[],
  tried: Tried<T>,
): void {
  for (let at = from; at <= levels.length; at += 1) {
    if (!isFirstTry(tried, at, anywhere)) return;
    collectMatching(anywhere, levels, at, found, tried);
  }
}

function collectMatched<T>(
  node: TrieNode<T>,
  path: readonly PatternNode[],
  depth: number,
  found: T[],
  tried: Tried<T>,
): void {
  const step = path[depth];
  if (step === undefined) {
    node.pushValues(found);
  } else if (typeof step === "string") {
    const next = node.literal(step);
    if (next !== undefined) collectMatched(next, path, depth + 1, found, tried);
  } else if (step === ONE_LEVEL) {
    for (const next of node.literalChildren()) collectMatched(next, path, depth + 1, found, tried);
  } else if (isFirstTry(tried, depth, node)) {
    collectMatched(node, path, depth + 1, found, tried);
    for (const next of node.literalChildren()) collectMatched(next, path, depth, found, tried);
  }
}

function isFirstTry<T>(tried: Tried<T>, at: number, node: TrieNode<T>): boolean {
  let nodes = tried[at];
  if (nodes === undefined) {
    nodes = new Set();
    tried[at] = nodes;
  }
  if (nodes.has(node)) return false;
  nodes.add(node);
  return true;
}
