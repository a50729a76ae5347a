// Each partition has its consumer. One that moves is handed over when nothing of it is in flight any more.

import type { Consumer } from "./consumer.js";
import type { Dealer, Dealing } from "./dealing.js";
import type { DeliveryState } from "./delivery-state.js";
import { type Assigned, assign } from "./partition-assignment.js";

/** A partition, or the messages that were returned to the group, and whose they are. */
interface Share extends Assigned<Consumer> {
  state: DeliveryState;
  /** Who gets its messages; while it is to be another's, nobody. */
  owner: Consumer | undefined;
  /** Who is to have it. */
  heir: Consumer | undefined;
}

export class DealingByPartition implements Dealing {
  readonly #dealer: Dealer;
  readonly #shares: Share[] = [];
  /** What each consumer may be given. */
  readonly #owned = new Map<Consumer, DeliveryState[]>();
  /** Whether who is to have what has to be found anew. */
  #isStale = false;
  #isMoving = false;
  #firstConsumer = 0;

  constructor(dealer: Dealer) {
    this.#dealer = dealer;
  }

  deal(): void {
    const dealer = this.#dealer;
    this.#settleOwners();
    const idle: DeliveryState[] = [];
    const consumers = [...dealer.choice.all];
    for (let visited = 0; visited < consumers.length && dealer.turnLeft > 0; visited += 1) {
      const consumer = consumers[(this.#firstConsumer + visited) % consumers.length]!;
      const states = this.#owned.get(consumer) ?? [];
      const count = Math.min(consumer.credit, dealer.room);
      if (states.length === 0 || count <= 0) continue;
      const deliveries = dealer.collect(consumer, states, count);
      if (deliveries.length < count) idle.push(...states);
      dealer.give(consumer, deliveries);
    }
    this.#firstConsumer += 1;
    if (dealer.turnLeft > 0) dealer.awaitDelayed(idle);
  }

  /** What follows is done in the next turn, once for all who come and go until then. */
  consumersChanged(): void {
    this.#isStale = true;
    // No turn comes when nobody is left.
    if (this.#dealer.choice.isEmpty) this.#settleOwners();
  }

  addState(state: DeliveryState, earlier?: DeliveryState): void {
    const share = this.#shares.find((other) => other.state === earlier);
    if (share === undefined) this.#shares.push({ state, owner: undefined, heir: undefined });
    else share.state = state;
    this.#isStale = true;
  }

  hasReadyFor(consumer: Consumer, nowMs: number): boolean {
    return this.#isStale || (this.#owned.get(consumer) ?? []).some((state) => state.hasReady(nowMs));
  }

  partitionsOf(consumer: Consumer): readonly number[] {
    return this.#shares.flatMap(({ owner, state: { partition } }) =>
      owner === consumer && partition !== undefined ? [partition] : [],
    );
  }

  #settleOwners(): void {
    if (this.#isStale) {
      this.#isStale = false;
      assign(this.#shares, this.#dealer.choice.members);
      this.#isMoving = true;
    }
    if (this.#isMoving) this.#handOver();
  }

  /** Gives those partitions that are to be another's, and of which nothing is in flight, to that one. */
  #handOver(): void {
    const { all } = this.#dealer.choice;
    const revoked = new Map<Consumer, number[]>();
    const assigned = new Map<Consumer, number[]>();
    for (const share of this.#shares) {
      const { owner, heir, state } = share;
      if (owner === heir) continue;
      if (owner !== undefined && all.includes(owner) && state.inFlightCount > 0) continue;
      share.owner = heir;
      note(revoked, owner, state.partition);
      note(assigned, heir, state.partition);
    }
    this.#isMoving = this.#shares.some(({ owner, heir }) => owner !== heir);
    this.#noteOwned();
    for (const [consumer, partitions] of revoked) this.#tell(consumer.onRevoked, partitions);
    for (const [consumer, partitions] of assigned) this.#tell(consumer.onAssigned, partitions);
  }

  #noteOwned(): void {
    this.#owned.clear();
    for (const { owner, heir, state } of this.#shares) {
      if (owner === undefined || owner !== heir) continue;
      const states = this.#owned.get(owner);
      if (states === undefined) this.#owned.set(owner, [state]);
      else states.push(state);
    }
  }

  #tell(
    listener: ((partitions: readonly number[]) => void) | undefined,
    partitions: readonly number[],
  ): void {
    try {
      listener?.(partitions);
    } catch (error) {
      this.#dealer.reportThrown(error);
    }
  }
}

/** Messages that were returned to the group are of no partition. */
function note(
  changes: Map<Consumer, number[]>,
  consumer: Consumer | undefined,
  partition: number | undefined,
): void {
  if (consumer === undefined || partition === undefined) return;
  const partitions = changes.get(consumer);
  if (partitions === undefined) changes.set(consumer, [partition]);
  else partitions.push(partition);
}
