// Who is offered which live message: receivers by pattern, some of them in groups, and inboxes by their own subject.

import { isBrokerError } from "../broker-error.js";
import { PatternTrie } from "../collections/pattern-trie.js";
import type { Random } from "../io/io.js";
import type { LiveMessage, LiveReceiver } from "./live-message.js";
import { parsePattern, parseSubject } from "./subject.js";

/** How many subjects' routes are remembered. Beyond that all are forgotten and found anew. */
const ROUTES_MAX = 10_000;
/** What the subjects of inboxes begin with. */
const INBOX_PREFIX = "_inbox.";
/** Of 32 random bits each. */
const INBOX_WORDS = 4;
const INBOX_LENGTH = INBOX_PREFIX.length + 8 * INBOX_WORDS;

/** Where the messages of one subject go. */
class LiveRoute {
  /** Each of these. */
  readonly all: readonly LiveReceiver[];
  /** One of each of these. */
  readonly groups: readonly LiveGroup[];

  constructor(all: readonly LiveReceiver[], groups: readonly LiveGroup[]) {
    this.all = all;
    this.groups = groups;
  }
}

/** Takes turns: the next one that takes the message has it. */
class LiveGroup {
  readonly members: readonly LiveReceiver[];
  #next: number;

  constructor(members: readonly LiveReceiver[], first: number) {
    this.members = members;
    this.#next = first % members.length;
  }

  offer(message: LiveMessage): boolean {
    const { members } = this;
    for (let tried = 0; tried < members.length; tried += 1) {
      const member = members[this.#next]!;
      this.#next = (this.#next + 1) % members.length;
      if (member.offer(message)) return true;
    }
    return false;
  }
}

const NO_ROUTE = new LiveRoute([], []);

/** A private subject and all below it: no pattern matches them, and nobody who was not told can guess them. */
export interface Inbox {
  readonly subject: string;
  close(): void;
}

export class LiveRouter {
  readonly #receivers = new PatternTrie<LiveReceiver>();
  readonly #inboxes = new Map<string, LiveRoute>();
  readonly #routes = new Map<string, LiveRoute>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Whether anybody at all could get a live message. */
  get hasReceivers(): boolean {
    return this.#receivers.size > 0 || this.#inboxes.size > 0;
  }

  /** Whether a pattern could match what is committed to topics. */
  get hasPatterns(): boolean {
    return this.#receivers.size > 0;
  }

  /** Returns false when that receiver had that pattern. Errors: INVALID_SUBJECT. */
  add(pattern: string, receiver: LiveReceiver): boolean {
    const nodes = parsePattern(pattern);
    const isNew = this.#receivers.add(nodes, receiver);
    if (isNew) this.#forgetRoutes(pattern, nodes);
    return isNew;
  }

  /** Returns false when it was not there. Errors: INVALID_SUBJECT. */
  remove(pattern: string, receiver: LiveReceiver): boolean {
    const nodes = parsePattern(pattern);
    const wasThere = this.#receivers.remove(nodes, receiver);
    if (wasThere) this.#forgetRoutes(pattern, nodes);
    return wasThere;
  }

  /** What is published live to its subject, or below that, goes to `receiver`, and to nobody else. */
  openInbox(receiver: LiveReceiver): Inbox {
    const subject = INBOX_PREFIX + hex(this.#random, INBOX_WORDS);
    this.#inboxes.set(subject, new LiveRoute([receiver], []));
    return { subject, close: () => this.#inboxes.delete(subject) };
  }

  /** Hot: whether anybody is there for this subject; false for what is none. */
  hasRoute(subject: string): boolean {
    try {
      return this.#route(subject) !== NO_ROUTE;
    } catch (error) {
      if (isBrokerError(error, "INVALID_SUBJECT")) return false;
      throw error;
    }
  }

  /** Everybody who may be offered a message of this subject. Errors: INVALID_SUBJECT. */
  receiversOf(subject: string): readonly LiveReceiver[] {
    const { all, groups } = this.#route(subject);
    return groups.length === 0 ? all : [...all, ...groups.flatMap(({ members }) => members)];
  }

  /** Hot: returns how many receivers took the message. Errors: INVALID_SUBJECT. */
  offer(message: LiveMessage): number {
    const { all, groups } = this.#route(message.subject);
    let taken = 0;
    for (let i = 0; i < all.length; i += 1) if (all[i]!.offer(message)) taken += 1;
    for (let i = 0; i < groups.length; i += 1) if (groups[i]!.offer(message)) taken += 1;
    return taken;
  }

  /** Hot. A route does not change: a receiver that comes or goes while it is offered makes another one. */
  #route(subject: string): LiveRoute {
    const known = this.#routes.get(subject);
    if (known !== undefined) return known;
    if (subject.startsWith(INBOX_PREFIX)) return this.#inboxRoute(subject);
    const route = this.#find(subject);
    // A subject with an escape may be another's spelling, which #forgetRoutes would pass over.
    if (subject.includes("\\")) return route;
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    this.#routes.set(subject, route);
    return route;
  }

  #inboxRoute(subject: string): LiveRoute {
    const inbox = subject.length > INBOX_LENGTH ? subject.slice(0, INBOX_LENGTH) : subject;
    return this.#inboxes.get(inbox) ?? NO_ROUTE;
  }

  #find(subject: string): LiveRoute {
    const found: LiveReceiver[] = [];
    this.#receivers.collect(parseSubject(subject), found);
    if (found.length === 0) return NO_ROUTE;
    if (found.every(({ group }) => group === undefined)) return new LiveRoute(distinct(found), []);
    const all: LiveReceiver[] = [];
    const groups = new Map<string, LiveReceiver[]>();
    for (const receiver of distinct(found)) {
      if (receiver.group === undefined) all.push(receiver);
      else membersOf(groups, receiver.group).push(receiver);
    }
    const first = this.#random.uint32();
    return new LiveRoute(
      all,
      [...groups.values()].map((members) => new LiveGroup(members, first)),
    );
  }

  /** A pattern without wildcards concerns one subject only: others keep their routes while inboxes of many come and go. */
  #forgetRoutes(pattern: string, nodes: readonly unknown[]): void {
    if (this.#routes.size === 0) return;
    const isLiteral = !pattern.includes("\\") && nodes.every((node) => typeof node === "string");
    if (isLiteral) this.#routes.delete(pattern);
    else this.#routes.clear();
  }
}

function distinct(receivers: LiveReceiver[]): LiveReceiver[] {
  return receivers.length === 1 ? receivers : [...new Set(receivers)];
}

function membersOf(groups: Map<string, LiveReceiver[]>, group: string): LiveReceiver[] {
  let members = groups.get(group);
  if (members === undefined) {
    members = [];
    groups.set(group, members);
  }
  return members;
}

function hex(random: Random, words: number): string {
  let text = "";
  for (let word = 0; word < words; word += 1) text += random.uint32().toString(16).padStart(8, "0");
  return text;
}
