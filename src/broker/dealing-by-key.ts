// Each key has its consumer, as long as that stays. What its consumer has no credit for waits, while others go on.

import { Ring } from "../collections/ring.js";
import type { StoredRecord } from "../log/record.js";
import { ConsistentHash } from "./consistent-hash.js";
import type { Consumer } from "./consumer.js";
import type { Dealer, Dealing } from "./dealing.js";
import type { Delivery } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";

/** How many messages may wait for their consumers' credit before no further ones are looked at. */
const AWAITING_CREDIT_MAX = 10_000;

/** What waits for one consumer, first to last: logs and offsets in step. */
class Line {
  readonly states = new Ring<DeliveryState>();
  readonly offsets = new Ring<number>();
}

/**
 * A consumer that comes or goes moves its own share of the keys only. The logs hand out each key's messages one at a
 * time, so that none overtakes another when its key moves.
 */
export class DealingByKey implements Dealing {
  readonly #dealer: Dealer;
  #byKey = new ConsistentHash<Consumer>();
  #members: readonly Consumer[] = [];
  readonly #lines = new Map<Consumer, Line>();
  /** In all lines. */
  #awaitingCount = 0;
  #firstState = 0;
  /** What each consumer is known as to the hash: one that comes later is another one. */
  readonly #numbers = new WeakMap<Consumer, string>();
  #lastNumber = 0;

  constructor(dealer: Dealer) {
    this.#dealer = dealer;
  }

  deal(): void {
    const { states, isStrict, clock } = this.#dealer;
    this.#resumeThoseWithCredit();
    const nowMs = clock.nowMs();
    const dealt = new Map<Consumer, Delivery[]>();
    for (let visited = 0; visited < states.length; visited += 1) {
      const state = states[(this.#firstState + visited) % states.length]!;
      this.#dealFrom(state, nowMs, dealt);
      // What is ready and was not taken is being fetched from disk: nothing of a lower priority overtakes it.
      if (isStrict && state.hasReady(nowMs)) break;
    }
    if (!isStrict) this.#firstState = (this.#firstState + 1) % Math.max(1, states.length);
    for (const [consumer, deliveries] of dealt) this.#dealer.give(consumer, deliveries);
    if (this.#mayLookOn) this.#dealer.awaitDelayed(states);
  }

  consumersChanged(): void {
    const { members } = this.#dealer.choice;
    if (members.length === this.#members.length && members.every((member) => this.#members.includes(member)))
      return;
    this.#members = members;
    this.#byKey = new ConsistentHash();
    for (const member of members) this.#byKey.set(this.#numberOf(member), member, 1);
    for (const line of this.#lines.values()) this.#resume(line, Number.POSITIVE_INFINITY);
    this.#lines.clear();
  }

  addState(): void {
    // Each turn looks at all of them.
  }

  hasReadyFor(consumer: Consumer, nowMs: number): boolean {
    if ((this.#lines.get(consumer)?.offsets.size ?? 0) > 0) return true;
    if (this.#awaitingCount >= AWAITING_CREDIT_MAX) return false;
    return this.#dealer.choice.mayGet(consumer) && this.#dealer.states.some((state) => state.hasReady(nowMs));
  }

  partitionsOf(): undefined {
    return undefined;
  }

  get #mayLookOn(): boolean {
    const { turnLeft, room } = this.#dealer;
    return turnLeft > 0 && room > 0 && this.#awaitingCount < AWAITING_CREDIT_MAX;
  }

  /** Hot: every message is looked at once, and again when its consumer has credit. */
  #dealFrom(state: DeliveryState, nowMs: number, dealt: Map<Consumer, Delivery[]>): void {
    const dealer = this.#dealer;
    const monotonicMs = dealer.clock.monotonicMs();
    while (this.#mayLookOn) {
      const record = dealer.next(state, nowMs);
      if (record === undefined) return;
      const consumer = this.#consumerFor(record);
      if (consumer === undefined) {
        // Nobody takes anything.
        state.giveBack(record, undefined);
        return;
      }
      if (!dealer.isDeliverable(record, state, consumer, nowMs)) continue;
      if (consumer.credit <= 0) {
        this.#await(consumer, state, record);
        continue;
      }
      const delivery = dealer.lease(record, state, consumer, monotonicMs + consumer.leaseMs);
      const deliveries = dealt.get(consumer);
      if (deliveries === undefined) dealt.set(consumer, [delivery]);
      else deliveries.push(delivery);
    }
  }

  /** A message without a key is for whoever is next. */
  #consumerFor(record: StoredRecord): Consumer | undefined {
    const { key } = record;
    return key === null ? this.#dealer.choice.next() : this.#byKey.choose(key);
  }

  #await(consumer: Consumer, state: DeliveryState, record: StoredRecord): void {
    let line = this.#lines.get(consumer);
    if (line === undefined) {
      line = new Line();
      this.#lines.set(consumer, line);
    }
    state.suspend(record);
    line.states.push(state);
    line.offsets.push(record.offset);
    this.#awaitingCount += 1;
  }

  #resumeThoseWithCredit(): void {
    if (this.#awaitingCount === 0) return;
    for (const [consumer, line] of this.#lines) this.#resume(line, consumer.credit);
  }

  /** Lets up to `count` messages of a line be handed out. Those that were settled meanwhile are passed over. */
  #resume({ states, offsets }: Line, count: number): void {
    for (let left = count; left > 0 && offsets.size > 0; ) {
      this.#awaitingCount -= 1;
      if (states.shift()!.resume(offsets.shift()!)) left -= 1;
    }
  }

  #numberOf(consumer: Consumer): string {
    let number = this.#numbers.get(consumer);
    if (number === undefined) {
      this.#lastNumber += 1;
      number = String(this.#lastNumber);
      this.#numbers.set(consumer, number);
    }
    return number;
  }
}
