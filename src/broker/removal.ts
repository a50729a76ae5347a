// Deleting queues, topics and groups: their definitions and what leads to them in one atomic step, then their files.
// Queues that are to go by themselves are let go here.

import { BrokerError } from "../broker-error.js";
import type { BindingDefinition } from "./binding.js";
import type { Dispatcher } from "./dispatcher.js";
import type { Existing } from "./existing.js";
import { Leftovers } from "./leftovers.js";
import type { Queue } from "./queue.js";
import { QueueLifetime } from "./queue-lifetime.js";
import type { Owned, Session } from "./session.js";
import type { Topic } from "./topic.js";
import { unopened } from "./unopened.js";

/** When a queue is not deleted. */
export interface DeleteConditions {
  /** QUEUE_NOT_EMPTY when it holds messages. @default false */
  readonly ifEmpty?: boolean;
  /** QUEUE_IN_USE when it has consumers. @default false */
  readonly ifUnused?: boolean;
}

export class Removal {
  readonly leftovers: Leftovers;
  readonly #existing: Existing;
  /** Deletions that nobody waits for. */
  readonly #pending = new Set<Promise<void>>();
  readonly #lifetimes = new Map<Queue, QueueLifetime>();

  constructor(existing: Existing) {
    this.#existing = existing;
    this.leftovers = new Leftovers(existing);
  }

  /** Returns whether it was there. Errors: QUEUE_NOT_EMPTY, QUEUE_IN_USE, QUEUE_EXCLUSIVE, those of storage; then it stays. */
  async deleteQueue(
    name: string,
    conditions: DeleteConditions,
    session: Session | undefined,
  ): Promise<boolean> {
    const { queues, unopened: closed, turns } = this.#existing;
    return await turns.run(`queue/${name}`, async () => {
      const queue = queues.get(name);
      if (queue === undefined) return await this.#deleteUnopened("queue", name, conditions);
      queue.assertUsableBy(session);
      if (conditions.ifUnused === true) assertUnused(queue);
      if (conditions.ifEmpty === true) assertEmpty(queue);
      await this.#removeQueue(queue);
      closed.delete(`queue/${name}`);
      return true;
    });
  }

  /** Deletes it with its groups. Returns whether it was there. Errors: those of storage; then it stays. */
  async deleteTopic(name: string): Promise<boolean> {
    return await this.#existing.turns.run(`topic/${name}`, async () => {
      const topic = this.#existing.topics.get(name);
      if (topic === undefined) return await this.#deleteUnopened("topic", name, {});
      await this.#removeTopic(topic);
      return true;
    });
  }

  /** Returns whether it was there. Errors: those of storage; then it stays. */
  async deleteSubscription(topicName: string, group: string): Promise<boolean> {
    const key = `subscription/${topicName}/${group}`;
    const { turns, topics, catalog, store, unopened: closed } = this.#existing;
    return await turns.run(key, async () => {
      const definition = catalog.subscription(topicName, group);
      if (definition === undefined) return false;
      await catalog.removeAll([definition], store);
      closed.delete(key);
      const subscriptions = topics.get(topicName)?.subscriptions;
      const subscription = subscriptions?.get(group);
      subscriptions?.delete(group);
      const gone = subscription === undefined ? [] : [subscription.dispatcher];
      await this.#end(gone, [definition.id], deleted("SUBSCRIPTION_NOT_FOUND", `${topicName}/${group}`));
      return true;
    });
  }

  /** Lets a queue that goes by itself go when it is over. */
  watch(queue: Queue): void {
    if (!QueueLifetime.isLimited(queue.options)) return;
    const lifetime = new QueueLifetime(queue, this.#existing.clock, () => this.#letGo(queue, lifetime));
    this.#lifetimes.set(queue, lifetime);
  }

  /** The queue is used. */
  touch(queue: Queue): void {
    this.#lifetimes.get(queue)?.touch();
  }

  /** Deletes the queue if it is still there. */
  async remove(owned: Owned): Promise<void> {
    const { turns, queues } = this.#existing;
    await turns.run(`queue/${owned.name}`, async () => {
      const queue = queues.get(owned.name);
      if (queue === owned) await this.#removeQueue(queue);
    });
  }

  /** Resolves when nothing is being deleted, and nothing goes by itself any more. */
  async close(): Promise<void> {
    for (const lifetime of this.#lifetimes.values()) lifetime.stop();
    await Promise.all(this.#pending);
  }

  async #removeQueue(queue: Queue): Promise<void> {
    const { queues, catalog, store, routing, forwards } = this.#existing;
    const bindings = this.#leadingTo("queue", queue.name);
    const forward = this.#forwardOf(queue.name);
    // Nothing arrives any more while the catalog is written.
    for (const binding of bindings) routing.close(binding);
    queue.isDeleted = true;
    try {
      await catalog.removeAll([catalog.queue(queue.name)!, ...bindings, ...forward], store);
    } catch (error) {
      queue.isDeleted = false;
      for (const binding of bindings) routing.open(binding);
      throw error;
    }
    await forwards.end(queue.name);
    queues.delete(queue.name);
    this.#lifetimes.get(queue)?.stop();
    this.#lifetimes.delete(queue);
    queue.session?.disown(queue);
    const reason = deleted("QUEUE_NOT_FOUND", queue.name);
    queue.close(reason);
    await this.#end([queue.dispatcher], [queue.id], reason);
    await this.#deleteUnbound(bindings);
  }

  async #removeTopic(topic: Topic): Promise<void> {
    const { topics, catalog, store, routing, unopened: closed } = this.#existing;
    const bindings = this.#leadingTo("topic", topic.name);
    const groups = this.#groupsOf(topic.name);
    const ids = [topic.id, ...groups.map(({ id }) => id)];
    for (const binding of bindings) routing.close(binding);
    topic.isDeleted = true;
    try {
      await catalog.removeAll([catalog.topic(topic.name)!, ...groups, ...bindings], store);
    } catch (error) {
      topic.isDeleted = false;
      for (const binding of bindings) routing.open(binding);
      throw error;
    }
    topics.delete(topic.name);
    for (const { group } of groups) closed.delete(`subscription/${topic.name}/${group}`);
    const dispatchers = [...topic.subscriptions.values()].map(({ dispatcher }) => dispatcher);
    await this.#end(dispatchers, ids, deleted("TOPIC_NOT_FOUND", topic.name));
    await this.#deleteUnbound(bindings);
  }

  /** What could not be opened can be deleted, unless something is asked about what is in it. */
  async #deleteUnopened(
    kind: "queue" | "topic",
    name: string,
    conditions: DeleteConditions,
  ): Promise<boolean> {
    const { catalog, store, unopened: closed, routing } = this.#existing;
    const definition = kind === "queue" ? catalog.queue(name) : catalog.topic(name);
    if (definition === undefined) return false;
    if (conditions.ifEmpty === true) throw unopened(`The ${kind} ${name}`, closed.get(`${kind}/${name}`));
    const bindings = this.#leadingTo(kind, name);
    const groups = kind === "topic" ? this.#groupsOf(name) : [];
    const forward = kind === "queue" ? this.#forwardOf(name) : [];
    await catalog.removeAll([definition, ...groups, ...bindings, ...forward], store);
    for (const binding of bindings) routing.close(binding);
    await this.#deleteUnbound(bindings);
    closed.delete(`${kind}/${name}`);
    for (const { group } of groups) closed.delete(`subscription/${name}/${group}`);
    const ids = new Set([definition.id, ...groups.map(({ id }) => id)]);
    await this.leftovers.removeLogsOf(ids);
    this.leftovers.forgetSettlements();
    return true;
  }

  /** Takes what is being delivered away from its consumers, and deletes all that is stored. */
  async #end(dispatchers: readonly Dispatcher[], ids: readonly number[], reason: BrokerError): Promise<void> {
    for (const { states } of dispatchers)
      for (const state of states) this.#existing.settlements.remove(state);
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.end(reason)));
    await Promise.all(ids.map((id) => this.#existing.expiries.end(id)));
    for (const id of ids) await this.#deleteLogs(id);
  }

  /** What cannot be deleted now is when the broker is opened again. */
  async #deleteLogs(id: number): Promise<void> {
    const { opener, store, onError } = this.#existing;
    for (const name of opener.takeLogNames(id))
      await store.deleteLog(name).catch((error: unknown) => onError(error, `deleting the log ${name}`));
  }

  /** What cannot be deleted now stays, and leads nowhere. */
  async #deleteUnbound(bindings: readonly BindingDefinition[]): Promise<void> {
    const { routing, onError } = this.#existing;
    await routing
      .deleteUnbound(bindings)
      .catch((error: unknown) => onError(error, "deleting an exchange from which nothing is bound"));
  }

  #letGo(queue: Queue, lifetime: QueueLifetime): void {
    const { turns, onError } = this.#existing;
    const removal = turns
      .run(`queue/${queue.name}`, async () => {
        if (lifetime.isOver) await this.#removeQueue(queue);
      })
      .catch((error: unknown) => {
        lifetime.retryLater();
        onError(error, `deleting queue ${queue.name}, which nobody uses`);
      })
      .finally(() => this.#pending.delete(removal));
    this.#pending.add(removal);
  }

  #leadingTo(kind: "queue" | "topic", name: string) {
    return this.#existing.routing.bindingsOf(kind, name);
  }

  #forwardOf(queue: string) {
    const forward = this.#existing.catalog.forward(queue);
    return forward === undefined ? [] : [forward];
  }

  #groupsOf(topic: string) {
    const subscriptions = [...this.#existing.catalog.definitions].flatMap((definition) =>
      definition.kind === "subscription" ? [definition] : [],
    );
    return subscriptions.filter((definition) => definition.topic === topic);
  }
}

function assertUnused({ name, dispatcher }: Queue): void {
  const consumers = dispatcher.consumers.length;
  if (consumers === 0) return;
  throw new BrokerError(
    "QUEUE_IN_USE",
    `Queue ${name} has ${consumers} consumers and is not deleted. Close them first, or delete it whether or not it is used.`,
    { queue: name, consumers },
  );
}

function assertEmpty({ name, count }: Queue): void {
  if (count === 0) return;
  throw new BrokerError(
    "QUEUE_NOT_EMPTY",
    `Queue ${name} holds ${count} messages and is not deleted. Purge it first, or delete it whether or not it is empty.`,
    { queue: name, count },
  );
}

function deleted(
  code: "QUEUE_NOT_FOUND" | "TOPIC_NOT_FOUND" | "SUBSCRIPTION_NOT_FOUND",
  source: string,
): BrokerError {
  return new BrokerError(code, `${source} was deleted.`, { source });
}
