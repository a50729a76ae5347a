// Which subjects of its topic a subscription is for.

import { isBrokerError } from "../broker-error.js";
import { PatternTrie } from "../collections/pattern-trie.js";
import type { StoredRecord } from "../log/record.js";
import { SUBJECT_HEADER } from "./message.js";
import { parsePattern, parseSubject } from "./subject.js";

/** How many subjects' answers are remembered. Beyond that all are forgotten and found anew. */
const ANSWERS_MAX = 10_000;

/** A set of patterns; with none, everything passes. */
export class SubjectFilter {
  readonly #patterns = new Set<string>();
  readonly #trie = new PatternTrie<true>();
  readonly #answers = new Map<string, boolean>();

  /** Errors: INVALID_SUBJECT. */
  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) this.add(pattern);
  }

  get patterns(): readonly string[] {
    return [...this.#patterns];
  }

  /** Returns false when the pattern was there. Errors: INVALID_SUBJECT. */
  add(pattern: string): boolean {
    if (this.#patterns.has(pattern)) return false;
    this.#trie.add(parsePattern(pattern), true);
    this.#patterns.add(pattern);
    this.#answers.clear();
    return true;
  }

  /** Returns false when the pattern was not there. The last one must stay: with none, everything passes. */
  remove(pattern: string): boolean {
    if (!this.#patterns.delete(pattern)) return false;
    this.#trie.remove(parsePattern(pattern), true);
    this.#answers.clear();
    return true;
  }

  /** Hot: asked of every message of a subscription. `topic` is the subject of messages that say none. */
  passes(record: StoredRecord, topic: string): boolean {
    if (this.#patterns.size === 0) return true;
    return this.matches(record.header(SUBJECT_HEADER)?.toString("utf8") ?? topic);
  }

  /** Hot: like {@link passes}, of a subject. */
  matches(subject: string): boolean {
    if (this.#patterns.size === 0) return true;
    const known = this.#answers.get(subject);
    if (known !== undefined) return known;
    const passes = this.#match(subject);
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(subject, passes);
    return passes;
  }

  /** What was stored under a subject that is none is matched by no pattern. */
  #match(subject: string): boolean {
    try {
      return this.#trie.match(parseSubject(subject)).size > 0;
    } catch (error) {
      if (isBrokerError(error, "INVALID_SUBJECT")) return false;
      throw error;
    }
  }
}
