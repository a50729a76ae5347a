// Changes of queues and groups that exist: pausing, moving a group to another place, taking a subject back from it. Each
// is durable when it resolves, and a crash leaves it done or not begun.

import { BrokerError } from "../broker-error.js";
import type { SubscriptionDefinition } from "./catalog.js";
import type { Existing } from "./existing.js";
import { offsetsAt, positionProblem, type SeekPosition } from "./positions.js";
import type { Session } from "./session.js";
import type { Subscription } from "./subscription.js";
import type { Topic } from "./topic.js";

export class SourceChanges {
  readonly #existing: Existing;

  constructor(existing: Existing) {
    this.#existing = existing;
  }

  /** Errors: QUEUE_NOT_FOUND, QUEUE_EXCLUSIVE, those of storage. */
  async setQueuePaused(name: string, isPaused: boolean, session: Session | undefined): Promise<void> {
    const { turns, catalog } = this.#existing;
    await turns.run(`queue/${name}`, async () => {
      const queue = this.#existing.queue(name);
      queue.assertUsableBy(session);
      if (queue.dispatcher.isPaused === isPaused) return;
      await catalog.put({ ...catalog.queue(name)!, isPaused });
      queue.dispatcher.setPaused(isPaused);
    });
  }

  /** Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, those of storage. */
  async setSubscriptionPaused(topic: string, group: string, isPaused: boolean): Promise<void> {
    await this.#inTurn(topic, group, async (subscription) => {
      if (subscription.dispatcher.isPaused === isPaused) return;
      await this.#redefine(subscription, { ...subscription.definition, isPaused });
      subscription.dispatcher.setPaused(isPaused);
    });
  }

  /**
   * Moves a group, in all partitions or one, as one atomic step. What is in flight there is taken away from its
   * consumers. Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, INVALID_OPTION, OFFSET_OUT_OF_RANGE, those of storage.
   */
  async seek(topicName: string, group: string, to: SeekPosition): Promise<void> {
    const problem = positionProblem(to, ["beginning", "end"]);
    if (problem !== undefined)
      throw new BrokerError(
        "INVALID_OPTION",
        `Group ${group} of topic ${topicName} cannot be moved to ${JSON.stringify(to)}; ${problem}.`,
        { option: "to" },
      );
    await this.#inTurn(topicName, group, async (subscription, topic) => {
      const offsets = await offsetsAt(topic, to);
      const definition = moved(subscription.definition, offsets);
      await this.#redefine(subscription, definition);
      for (const [partition, offset] of offsets.entries())
        if (offset !== undefined) this.#replaceState(subscription, topic, partition);
    });
  }

  /**
   * The group no longer gets a subject that it asked for; what it has not handled of it is passed over. Returns
   * whether it had asked for it. Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, INVALID_OPTION for the last one, or
   * where the group gets every subject, those of storage.
   */
  async unsubscribe(topicName: string, group: string, subject: string): Promise<boolean> {
    return await this.#inTurn(topicName, group, async (subscription) => {
      const { patterns } = subscription.filter;
      if (patterns.length === 0)
        throw cannotUnsubscribe(subscription, subject, "it gets every subject of its topic");
      if (!patterns.includes(subject)) return false;
      if (patterns.length === 1)
        throw cannotUnsubscribe(subscription, subject, "it asked for no other; delete the group instead");
      const { definition } = subscription;
      const subjects = patterns.filter((pattern) => pattern !== subject);
      await this.#redefine(subscription, {
        ...definition,
        options: { ...definition.options, subjects },
      });
      subscription.filter.remove(subject);
      return true;
    });
  }

  async #inTurn<T>(
    topicName: string,
    group: string,
    change: (subscription: Subscription, topic: Topic) => Promise<T>,
  ): Promise<T> {
    return await this.#existing.turns.run(`subscription/${topicName}/${group}`, async () => {
      const subscription = this.#existing.subscription(topicName, group);
      return await change(subscription, this.#existing.topic(topicName));
    });
  }

  async #redefine(subscription: Subscription, definition: SubscriptionDefinition): Promise<void> {
    await this.#existing.catalog.put(definition);
    subscription.definition = definition;
  }

  #replaceState(subscription: Subscription, topic: Topic, partition: number): void {
    const { settlements, opener } = this.#existing;
    const { dispatcher, definition } = subscription;
    const earlier = dispatcher.states.find((state) => !state.ownsLog && state.partition === partition)!;
    settlements.remove(earlier);
    const state = opener.openSubscriptionState(definition, topic, partition, dispatcher);
    settlements.add(state);
    dispatcher.replaceState(earlier, state);
  }
}

/** A partition that is moved begins a life of its own: what is stored of the one before does not count. */
function moved(
  definition: SubscriptionDefinition,
  offsets: readonly (number | undefined)[],
): SubscriptionDefinition {
  const { startOffsets, moves = [] } = definition;
  return {
    ...definition,
    startOffsets: offsets.map((offset, partition) => offset ?? startOffsets[partition] ?? 0),
    moves: offsets.map((offset, partition) => (moves[partition] ?? 0) + (offset === undefined ? 0 : 1)),
  };
}

function cannotUnsubscribe({ name }: Subscription, subject: string, why: string): BrokerError {
  return new BrokerError(
    "INVALID_OPTION",
    `The subject ${subject} cannot be taken back from group ${name}: ${why}.`,
    { option: "subject", value: subject, group: name },
  );
}
