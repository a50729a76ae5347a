// What a user may do: subjects by patterns, queues and exchanges by names with stars.

import { parsePattern, parseSubject } from "../broker/subject.js";
import { isBrokerError } from "../broker-error.js";
import { type PatternNode, PatternTrie } from "../collections/pattern-trie.js";
import type { Access } from "../network/host.js";
import { covers } from "./pattern-cover.js";
import type { PermissionOptions } from "./user-options.js";

/** Below this level are subjects that lead into queues: only patterns that begin with it stand for them. */
const QUEUES_LEVEL = "_queue";
/** Answers that are remembered; a client asks for the same subjects again and again. */
const REMEMBERED_MAX = 10_000;

/** What is allowed, compiled. */
export class Permissions {
  readonly #publish: Subjects;
  readonly #subscribe: Subjects;
  readonly #configure: Names;
  readonly #read: Names;
  readonly #write: Names;

  /** Errors: INVALID_SUBJECT. */
  constructor(options: PermissionOptions) {
    this.#publish = new Subjects(options.publish ?? []);
    this.#subscribe = new Subjects(options.subscribe ?? []);
    this.#configure = new Names(options.configure ?? []);
    this.#read = new Names(options.read ?? []);
    this.#write = new Names(options.write ?? []);
  }

  mayPublish(subject: string): boolean {
    return this.#publish.match(subject);
  }

  maySubscribe(pattern: string): boolean {
    return this.#subscribe.cover(pattern);
  }

  mayConfigure(name: string): boolean {
    return this.#configure.match(name);
  }

  mayRead(name: string): boolean {
    return this.#read.match(name);
  }

  mayWrite(name: string): boolean {
    return this.#write.match(name);
  }
}

/** A user's access, which follows the permissions when they are changed. */
export class UserAccess implements Access {
  readonly user: string;
  /** Undefined is everything. */
  permissions: Permissions | undefined;
  /** Given without a proof, where nobody has to give one. */
  readonly isOpen: boolean;

  constructor(user: string, permissions: Permissions | undefined, isOpen = false) {
    this.user = user;
    this.permissions = permissions;
    this.isOpen = isOpen;
  }

  mayPublish(subject: string): boolean {
    return this.permissions?.mayPublish(subject) ?? true;
  }

  maySubscribe(pattern: string): boolean {
    return this.permissions?.maySubscribe(pattern) ?? true;
  }

  mayConfigure(_kind: "queue" | "exchange", name: string): boolean {
    return this.permissions?.mayConfigure(name) ?? true;
  }

  mayRead(_kind: "queue" | "exchange", name: string): boolean {
    return this.permissions?.mayRead(name) ?? true;
  }

  mayWrite(_kind: "queue" | "exchange", name: string): boolean {
    return this.permissions?.mayWrite(name) ?? true;
  }
}

/** A few thousand answers; forgotten all at once when there are more. */
class Remembered {
  readonly #answers = new Map<string, boolean>();

  /** Hot: a lookup for what was asked before. */
  get(text: string, decide: (text: string) => boolean): boolean {
    const known = this.#answers.get(text);
    if (known !== undefined) return known;
    const answer = decide(text);
    if (this.#answers.size >= REMEMBERED_MAX) this.#answers.clear();
    this.#answers.set(text, answer);
    return answer;
  }
}

class Subjects {
  readonly #trie = new PatternTrie<true>();
  readonly #patterns: readonly (readonly PatternNode[])[];
  readonly #matched = new Remembered();
  readonly #covered = new Remembered();
  /** Of the patterns that begin with {@link QUEUES_LEVEL}. */
  readonly #ofQueues = new PatternTrie<true>();
  readonly #isMatch = (subject: string): boolean => {
    const levels = parseSubject(subject);
    return (levels[0] === QUEUES_LEVEL ? this.#ofQueues : this.#trie).match(levels).size > 0;
  };
  readonly #isCovered = (text: string): boolean => {
    const pattern = parsePattern(text);
    return this.#patterns.some((allowed) => covers(allowed, pattern));
  };

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map(parsePattern);
    for (const pattern of this.#patterns)
      (pattern[0] === QUEUES_LEVEL ? this.#ofQueues : this.#trie).add(pattern, true);
  }

  match(subject: string): boolean {
    return this.#matched.get(subject, (text) => unlessInvalid(text, this.#isMatch));
  }

  cover(pattern: string): boolean {
    return this.#covered.get(pattern, (text) => unlessInvalid(text, this.#isCovered));
  }
}

/** What is no subject, or no pattern, is not allowed; the broker says what is wrong with it. */
function unlessInvalid(text: string, decide: (text: string) => boolean): boolean {
  try {
    return decide(text);
  } catch (error) {
    if (isBrokerError(error, "INVALID_SUBJECT")) return false;
    throw error;
  }
}

/** Names with `*` for any characters, none included. */
class Names {
  /** Each as the texts between its stars. */
  readonly #patterns: readonly (readonly string[])[];

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map((pattern) => pattern.split("*"));
  }

  match(name: string): boolean {
    return this.#patterns.some((pieces) => hasPieces(name, pieces));
  }
}

/** Whether the pieces follow each other in `name`, the first at its beginning and the last at its end. No backtracking. */
function hasPieces(name: string, pieces: readonly string[]): boolean {
  const first = pieces[0]!;
  const last = pieces.at(-1)!;
  if (pieces.length === 1) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= name.length - last.length;
}
