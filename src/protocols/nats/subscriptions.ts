// The subscriptions of one client, by its own number for each.

import type { LiveFeed } from "../../broker/live-feed.js";
import { PatternTrie } from "../../collections/pattern-trie.js";
import { patternNodes, subjectLevels } from "./address.js";
import type { NatsSubscription } from "./subscription.js";

export class Subscriptions {
  readonly #live: LiveFeed;
  readonly #bySid = new Map<string, NatsSubscription>();
  /** By pattern; made when somebody first asks for it. */
  #index: PatternTrie<NatsSubscription> | undefined = undefined;

  constructor(live: LiveFeed) {
    this.#live = live;
  }

  get count(): number {
    return this.#bySid.size;
  }

  has(sid: Buffer): boolean {
    return this.#bySid.has(sid.toString("latin1"));
  }

  get(sid: Buffer): NatsSubscription | undefined {
    return this.#bySid.get(sid.toString("latin1"));
  }

  /** Errors: INVALID_SUBJECT, CLOSED. */
  add(subscription: NatsSubscription): void {
    this.#live.add(subscription.pattern, subscription);
    this.#bySid.set(subscription.sid, subscription);
    this.#index?.add(patternNodes(subscription.pattern), subscription);
  }

  remove(subscription: NatsSubscription): void {
    if (subscription.isClosed) return;
    subscription.isClosed = true;
    this.#bySid.delete(subscription.sid);
    this.#live.remove(subscription.pattern, subscription);
    this.#index?.remove(patternNodes(subscription.pattern), subscription);
  }

  removeAll(): void {
    this.#index = undefined;
    for (const subscription of [...this.#bySid.values()]) this.remove(subscription);
  }

  /** One of those without a queue group that a message to this canonical subject would come to. */
  matching(subject: string): NatsSubscription | undefined {
    const found: NatsSubscription[] = [];
    this.#indexed().collect(subjectLevels(subject), found);
    return found.find(({ group }) => group === undefined);
  }

  #indexed(): PatternTrie<NatsSubscription> {
    if (this.#index !== undefined) return this.#index;
    const index = new PatternTrie<NatsSubscription>();
    for (const subscription of this.#bySid.values())
      index.add(patternNodes(subscription.pattern), subscription);
    this.#index = index;
    return index;
  }
}
