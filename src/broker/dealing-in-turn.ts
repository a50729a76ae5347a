// Any consumer gets any message: whoever the choice of consumers says is next, as much as is its share.

import type { Consumer } from "./consumer.js";
import type { Dealer, Dealing } from "./dealing.js";

export class DealingInTurn implements Dealing {
  readonly #dealer: Dealer;

  constructor(dealer: Dealer) {
    this.#dealer = dealer;
  }

  deal(): void {
    const dealer = this.#dealer;
    const { choice, states } = dealer;
    let share = Number.POSITIVE_INFINITY;
    let sharedAt: number | undefined;
    while (dealer.turnLeft > 0) {
      const consumer = dealer.room > 0 ? choice.next() : undefined;
      if (consumer === undefined) return;
      if (!choice.isAlone && (choice.isByFewest || consumer.priority !== sharedAt)) {
        share = choice.shareOf(consumer, dealer.waitingCount);
        sharedAt = consumer.priority;
      }
      const { turnLeft } = dealer;
      dealer.give(consumer, dealer.collect(consumer, states, Math.min(consumer.credit, dealer.room, share)));
      if (dealer.turnLeft === turnLeft) {
        choice.takeBack();
        dealer.awaitDelayed(states);
        return;
      }
    }
  }

  consumersChanged(): void {
    // Whoever is next is asked for at each turn.
  }

  addState(): void {
    // Each turn looks at all of them.
  }

  hasReadyFor(consumer: Consumer, nowMs: number): boolean {
    const { choice, states } = this.#dealer;
    return choice.mayGet(consumer) && states.some((state) => state.hasReady(nowMs));
  }

  partitionsOf(): undefined {
    return undefined;
  }
}
