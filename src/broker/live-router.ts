// Who is offered which live message: receivers by pattern, some of them in groups, and inboxes by their own subject.

import { isBrokerError } from "../broker-error.js";
import { type PatternNode, PatternTrie } from "../collections/pattern-trie.js";
import { SeenBefore } from "../collections/seen-before.js";
import type { Random } from "../io/io.js";
import type { LiveMessage, LiveReceiver, MessageRun } from "./live-message.js";
import { LiveRoute, offerRun } from "./live-route.js";
import { formatSubject, INBOX_PREFIX, parsePattern, parseSubject, plainLevels } from "./subject.js";

/** How many subjects' routes are remembered. Beyond that all are forgotten and found anew. */
const ROUTES_MAX = 10_000;
/** Of 32 random bits each. */
const INBOX_WORDS = 4;
const INBOX_LENGTH = INBOX_PREFIX.length + 8 * INBOX_WORDS;

/** A private subject and all below it: no pattern matches them, and nobody who was not told can guess them. */
export interface Inbox {
  readonly subject: string;
  close(): void;
}

/** Who gets the messages of a subject: the only one there is, or a route. */
type Target = LiveReceiver | LiveRoute;

const NOBODY = new LiveRoute([], 0);

/**
 * Subscriptions to one subject, of which there may be millions, are in a map: the only one of its subject costs an entry
 * and nothing else. Those with wildcards are in a trie, and what that finds is remembered for recent subjects.
 */
export class LiveRouter {
  /** By the canonical text of their pattern, which has no wildcard. */
  readonly #ofOneSubject = new Map<string, LiveReceiver | Set<LiveReceiver>>();
  readonly #ofMany = new PatternTrie<LiveReceiver>();
  readonly #inboxes = new Map<string, LiveReceiver>();
  /** By the canonical text of the subject. */
  readonly #recent = new Map<string, Target>();
  readonly #seen = new SeenBefore();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Whether anybody at all could get a live message. */
  get hasReceivers(): boolean {
    return this.hasPatterns || this.#inboxes.size > 0;
  }

  /** Whether a pattern could match what is committed to topics. */
  get hasPatterns(): boolean {
    return this.#ofOneSubject.size > 0 || this.#ofMany.size > 0;
  }

  /** Does nothing when that receiver has that pattern. Errors: INVALID_SUBJECT. */
  add(pattern: string, receiver: LiveReceiver): void {
    const nodes = parsePattern(pattern);
    const subject = subjectOf(nodes);
    if (subject === undefined) {
      if (this.#ofMany.add(nodes, receiver)) this.#recent.clear();
      return;
    }
    const others = this.#ofOneSubject.get(subject);
    if (others === undefined) this.#ofOneSubject.set(subject, receiver);
    else if (others instanceof Set) others.add(receiver);
    else if (others !== receiver) this.#ofOneSubject.set(subject, new Set([others, receiver]));
    this.#recent.delete(subject);
  }

  /** Does nothing when it is not there. Errors: INVALID_SUBJECT. */
  remove(pattern: string, receiver: LiveReceiver): void {
    const nodes = parsePattern(pattern);
    const subject = subjectOf(nodes);
    if (subject === undefined) {
      if (this.#ofMany.remove(nodes, receiver)) this.#recent.clear();
      return;
    }
    const there = this.#ofOneSubject.get(subject);
    if (there instanceof Set) there.delete(receiver);
    if (there === receiver || (there instanceof Set && there.size === 0)) this.#ofOneSubject.delete(subject);
    this.#recent.delete(subject);
  }

  /** What is published live to its subject, or below that, goes to `receiver`, and to nobody else. */
  openInbox(receiver: LiveReceiver): Inbox {
    const subject = INBOX_PREFIX + hex(this.#random, INBOX_WORDS);
    this.#inboxes.set(subject, receiver);
    return { subject, close: () => this.#inboxes.delete(subject) };
  }

  /** Hot: whether anybody is there for this subject; false for what is none. */
  hasRoute(subject: string): boolean {
    try {
      return this.#target(subject) !== NOBODY;
    } catch (error) {
      if (isBrokerError(error, "INVALID_SUBJECT")) return false;
      throw error;
    }
  }

  /** Everybody who may be offered a message of this subject. Errors: INVALID_SUBJECT. */
  receiversOf(subject: string): readonly LiveReceiver[] {
    const target = this.#target(subject);
    return target instanceof LiveRoute ? target.receivers : [target];
  }

  /** Hot: returns how many receivers took the message. Errors: INVALID_SUBJECT. */
  offer(message: LiveMessage): number {
    const target = this.#target(message.subject);
    if (target instanceof LiveRoute) return target.offer(message);
    return target.offer(message) ? 1 : 0;
  }

  /** Hot: returns how many receivers took any of the messages. Errors: INVALID_SUBJECT. */
  offerRun(run: MessageRun): number {
    const target = this.#target(run.subject);
    if (target instanceof LiveRoute) return target.offerRun(run);
    run.others = 0;
    return offerRun(target, run) ? 1 : 0;
  }

  /** Hot. A route does not change: a receiver that comes or goes while it is offered makes another one. */
  #target(subject: string): Target {
    if (this.#ofMany.size === 0) {
      const only = this.#ofOneSubject.get(subject);
      if (only !== undefined && !(only instanceof Set)) return only;
    }
    const known = this.#recent.get(subject);
    if (known !== undefined) return known;
    if (subject.startsWith(INBOX_PREFIX)) return this.#inbox(subject);
    const levels = plainLevels(subject);
    if (levels === undefined) return this.#targetOfAnySpelling(subject);
    const target = this.#find(levels, subject);
    this.#remember(subject, target);
    return target;
  }

  #targetOfAnySpelling(subject: string): Target {
    const levels = parseSubject(subject);
    const canonical = formatSubject(levels);
    const target = this.#find(levels, canonical);
    // Another spelling would not be forgotten with the subject.
    if (canonical === subject) this.#remember(subject, target);
    return target;
  }

  /** Subjects that come once, as those of replies do, would only displace others. */
  #remember(subject: string, target: Target): void {
    if (!this.#seen.test(subject)) return;
    if (this.#recent.size >= ROUTES_MAX) this.#recent.clear();
    this.#recent.set(subject, target);
  }

  #inbox(subject: string): Target {
    const inbox = subject.length > INBOX_LENGTH ? subject.slice(0, INBOX_LENGTH) : subject;
    return this.#inboxes.get(inbox) ?? NOBODY;
  }

  #find(levels: readonly string[], canonical: string): Target {
    const found: LiveReceiver[] = [];
    this.#ofMany.collect(levels, found);
    const ofSubject = this.#ofOneSubject.get(canonical);
    if (ofSubject instanceof Set) for (const receiver of ofSubject) found.push(receiver);
    else if (ofSubject !== undefined) found.push(ofSubject);
    if (found.length === 0) return NOBODY;
    if (found.length === 1) return found[0]!;
    return new LiveRoute([...new Set(found)], this.#random.uint32());
  }
}

/** The one subject that a pattern without wildcards matches. */
function subjectOf(nodes: readonly PatternNode[]): string | undefined {
  for (const node of nodes) if (typeof node !== "string") return undefined;
  return formatSubject(nodes as readonly string[]);
}

function hex(random: Random, words: number): string {
  let text = "";
  for (let word = 0; word < words; word += 1) text += random.uint32().toString(16).padStart(8, "0");
  return text;
}
