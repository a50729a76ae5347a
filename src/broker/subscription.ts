// A durable, named cursor over a topic: its consumers together get each of its messages once.

import type { DeliveryState } from "./delivery-state.js";
import type { Dispatcher } from "./dispatcher.js";
import type { SubscriptionOptions } from "./limits.js";

export class Subscription {
  readonly kind = "subscription";
  readonly topic: string;
  readonly group: string;
  /** Unique for ever: part of the names of what is stored. */
  readonly id: number;
  readonly options: SubscriptionOptions;
  readonly dispatcher: Dispatcher;
  /** Messages that come back to this group alone: its replayed dead letters. Made when first needed. */
  returns: DeliveryState | undefined = undefined;

  constructor(
    topic: string,
    group: string,
    id: number,
    options: SubscriptionOptions,
    dispatcher: Dispatcher,
    states: readonly DeliveryState[],
  ) {
    this.topic = topic;
    this.group = group;
    this.id = id;
    this.options = options;
    this.dispatcher = dispatcher;
    dispatcher.states.push(...states);
  }

  /** `topic/group`: how it is called in statistics, errors and dead letters. */
  get name(): string {
    return this.dispatcher.name;
  }

  get source(): Dispatcher {
    return this.dispatcher;
  }

  addReturns(state: DeliveryState): void {
    this.returns = state;
    this.dispatcher.states.push(state);
    state.log.onCommit = () => this.dispatcher.wake();
  }

  /** Messages of the topic, and returned ones, that this group has not settled. */
  get lag(): number {
    return this.dispatcher.states.reduce((sum, state) => sum + state.unsettledCount, 0);
  }
}
