// A durable, named cursor over a topic: its consumers together get each of its messages once.

import type { Log } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import type { SubscriptionDefinition } from "./catalog.js";
import type { DeliveryState } from "./delivery-state.js";
import type { Dispatcher } from "./dispatcher.js";
import type { SubscriptionOptions } from "./limits.js";
import { look, type SeenMessage } from "./message-status.js";
import type { SubjectFilter } from "./subject-filter.js";

export class Subscription {
  readonly kind = "subscription";
  /** What is stored of it. */
  definition: SubscriptionDefinition;
  readonly dispatcher: Dispatcher;
  /** Grows when more subjects are asked for. */
  readonly filter: SubjectFilter;
  /** Messages that come back to this group alone: its replayed dead letters. Made when first needed. */
  returns: DeliveryState | undefined = undefined;

  constructor(
    definition: SubscriptionDefinition,
    dispatcher: Dispatcher,
    filter: SubjectFilter,
    states: readonly DeliveryState[],
  ) {
    this.definition = definition;
    this.dispatcher = dispatcher;
    this.filter = filter;
    for (const state of states) dispatcher.addState(state);
  }

  /** `topic/group`: how it is called in statistics, errors and dead letters. */
  get name(): string {
    return this.dispatcher.name;
  }

  get topic(): string {
    return this.definition.topic;
  }

  get group(): string {
    return this.definition.group;
  }

  /** Unique for ever: part of the names of what is stored. */
  get id(): number {
    return this.definition.id;
  }

  get options(): SubscriptionOptions {
    return this.definition.options;
  }

  /** Of the ids that it remembers. */
  get idLogs(): Log[] {
    const { inbox } = this.dispatcher;
    return inbox === undefined ? [] : [inbox.ids.log];
  }

  get source(): Dispatcher {
    return this.dispatcher;
  }

  addReturns(state: DeliveryState): void {
    this.returns = state;
    this.dispatcher.addState(state);
    state.log.onCommit = () => this.dispatcher.wake();
  }

  /** Takes a replayed dead letter, for this group alone. Errors: those of the log. */
  appendReturned(record: StoredRecord, timestampMs: number): PendingAppend {
    return this.returns!.log.append(timestampMs, record.key, record.value, record.headersEncoded());
  }

  /** Passes over everything that is not in flight and returns how many messages that were. */
  purge(): number {
    const purged = this.dispatcher.states.reduce((sum, state) => sum + state.purge(), 0);
    this.dispatcher.counters.dropped += purged;
    this.dispatcher.wake();
    return purged;
  }

  /** Messages that are not settled, or all that are stored and that it is for, without consuming them. */
  async *browse(isAll = false): AsyncGenerator<SeenMessage> {
    for (const state of this.dispatcher.states) {
      for await (const message of look(state, isAll, this.dispatcher.holders))
        if (this.filter.passes(message.record, this.topic)) yield message;
    }
  }

  /** Messages of the topic, and returned ones, that this group has not settled. */
  get lag(): number {
    return this.dispatcher.states.reduce((sum, state) => sum + state.unsettledCount, 0);
  }
}
