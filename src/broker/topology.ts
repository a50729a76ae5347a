// Everything that exists, by name: declaring, opening and binding it, and what each part is wired to.

import { BrokerError, type BrokerErrorCode } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import type { Durability, Log, LogOptions } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { StoredRecord } from "../log/record.js";
import type {
  BindingDefinition,
  Catalog,
  Definition,
  QueueDefinition,
  SubscriptionDefinition,
  TopicDefinition,
} from "./catalog.js";
import { DeadLetters, type Origin } from "./dead-letters.js";
import { DeliveryState } from "./delivery-state.js";
import { Dispatcher } from "./dispatcher.js";
import { type Destination, Exchange } from "./exchange.js";
import {
  assertOptions,
  BODY_BYTES_MAX,
  QUEUE_DEFAULTS,
  type QueueOptions,
  SUBSCRIPTION_DEFAULTS,
  type SubscriptionOptions,
  TOPIC_DEFAULTS,
  type TopicOptions,
  UNLIMITED,
} from "./limits.js";
import { assertName } from "./names.js";
import { Queue } from "./queue.js";
import type { SettlementLog } from "./settlement-log.js";
import { SubjectFilter } from "./subject-filter.js";
import { Subscription } from "./subscription.js";
import { Topic } from "./topic.js";

/** Dead letters of `orders` are in the queue `dead/orders`; a slash is not allowed in names that users give. */
const DEAD_LETTER_PREFIX = "dead/";

/** What a topology is built on. */
export interface TopologyParts {
  readonly clock: Clock;
  readonly store: LogStore;
  readonly catalog: Catalog;
  readonly settlements: SettlementLog;
  /** Of everything that is declared without saying so. */
  readonly durability: Durability;
  readonly onError: (error: unknown, where: string) => void;
  readonly onTopic: (topic: Topic) => void;
}

export class Topology {
  readonly queues = new Map<string, Queue>();
  readonly topics = new Map<string, Topic>();
  readonly exchange = new Exchange();
  readonly deadLetters: DeadLetters;
  readonly #parts: TopologyParts;
  /** Declarations under way, so that two of one name become one. */
  readonly #declaring = new Map<string, Promise<unknown>>();

  constructor(parts: TopologyParts) {
    this.#parts = parts;
    this.deadLetters = new DeadLetters({
      store: parts.store,
      clock: parts.clock,
      settlements: parts.settlements,
      queues: () => this.#deadLetterQueues(),
      queueFor: (source) => this.#deadLetterQueue(source),
      returnTo: (source) => this.#returnsTo(source),
    });
  }

  /** Opens what the catalog names. What cannot be read is reported and left out; the rest opens. */
  async openAll(): Promise<void> {
    const definitions = [...this.#parts.catalog.definitions];
    for (const kind of ["queue", "topic", "subscription", "binding"] as const) {
      for (const definition of definitions) {
        if (definition.kind !== kind) continue;
        await this.#open(definition).catch((error: unknown) =>
          this.#parts.onError(error, `opening a ${kind}`),
        );
      }
    }
  }

  /** The queue that holds the dead letters of a queue or of `topic/group`, once there were any. */
  deadLettersOf(source: string): Queue | undefined {
    return this.queues.get(DEAD_LETTER_PREFIX + source);
  }

  async declareQueue(name: string, options: Partial<QueueOptions>): Promise<Queue> {
    assertName("queue", name);
    return await this.#declareQueue(name, options, undefined);
  }

  async declareTopic(name: string, options: Partial<TopicOptions>): Promise<Topic> {
    assertName("topic", name);
    return await this.#once(`topic/${name}`, async () => {
      const existing = this.topics.get(name);
      if (existing !== undefined) {
        assertSame("TOPIC_MISMATCH", `Topic ${name}`, existing.options, options);
        return existing;
      }
      const complete = { ...TOPIC_DEFAULTS, durability: this.#parts.durability, ...given(options) };
      assertOptions(`topic ${name}`, complete);
      const definition: TopicDefinition = {
        kind: "topic",
        id: this.#parts.catalog.nextId(),
        name,
        options: complete,
      };
      const topic = await this.#openTopic(definition);
      await this.#parts.catalog.put(definition);
      return topic;
    });
  }

  async declareSubscription(
    topicName: string,
    group: string,
    options: Partial<SubscriptionOptions>,
  ): Promise<Subscription> {
    assertName("group", group);
    return await this.#once(`subscription/${topicName}/${group}`, async () => {
      const topic = this.#topic(topicName);
      const existing = topic.subscriptions.get(group);
      if (existing !== undefined) {
        const { from: _, subjects = [], ...comparable } = options;
        assertSame(
          "SUBSCRIPTION_MISMATCH",
          `Group ${group} of topic ${topicName}`,
          existing.options,
          comparable,
        );
        await this.#widen(existing, subjects);
        return existing;
      }
      const complete = { ...SUBSCRIPTION_DEFAULTS, ...given(options) };
      assertOptions(`group ${group} of topic ${topicName}`, complete);
      const startOffsets = topic.partitions.map((log) =>
        complete.from === "beginning" ? log.logStartOffset : log.highWatermark,
      );
      const id = this.#parts.catalog.nextId();
      const definition: SubscriptionDefinition = {
        kind: "subscription",
        id,
        topic: topicName,
        group,
        options: complete,
        startOffsets,
      };
      const subscription = await this.#openSubscription(definition);
      await this.#parts.catalog.put(definition);
      return subscription;
    });
  }

  /** A subscription for all subjects stays one. */
  async #widen(subscription: Subscription, subjects: readonly string[]): Promise<void> {
    if (subscription.filter.patterns.length === 0) return;
    const added = subjects.filter((subject) => subscription.filter.add(subject));
    if (added.length === 0) return;
    const { definition, filter } = subscription;
    const options = { ...definition.options, subjects: filter.patterns };
    await this.#parts.catalog.put({ ...definition, options });
  }

  async bind(pattern: string, kind: "queue" | "topic", name: string): Promise<void> {
    const destination = kind === "queue" ? this.#queue(name) : this.#topic(name);
    const definition = bindingOf(pattern, destination);
    await this.#once(`binding/${destination.kind}/${destination.name}/${pattern}`, async () => {
      if (this.exchange.bind(pattern, destination)) await this.#parts.catalog.put(definition);
    });
  }

  async unbind(pattern: string, kind: "queue" | "topic", name: string): Promise<void> {
    const destination = kind === "queue" ? this.#queue(name) : this.#topic(name);
    if (this.exchange.unbind(pattern, destination))
      await this.#parts.catalog.remove(bindingOf(pattern, destination));
  }

  #queue(name: string): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined)
      throw new BrokerError("QUEUE_NOT_FOUND", `There is no queue ${name}. Declare it first.`, {
        queue: name,
      });
    return queue;
  }

  #topic(name: string): Topic {
    const topic = this.topics.get(name);
    if (topic === undefined)
      throw new BrokerError("TOPIC_NOT_FOUND", `There is no topic ${name}. Declare it first.`, {
        topic: name,
      });
    return topic;
  }

  async #declareQueue(
    name: string,
    options: Partial<QueueOptions>,
    deadLettersOf: string | undefined,
  ): Promise<Queue> {
    return await this.#once(`queue/${name}`, async () => {
      const existing = this.queues.get(name);
      if (existing !== undefined) {
        assertSame("QUEUE_MISMATCH", `Queue ${name}`, existing.options, options);
        return existing;
      }
      const complete = { ...QUEUE_DEFAULTS, durability: this.#parts.durability, ...given(options) };
      assertOptions(`queue ${name}`, complete);
      const definition: QueueDefinition = {
        kind: "queue",
        id: this.#parts.catalog.nextId(),
        name,
        options: complete,
        ...(deadLettersOf === undefined ? {} : { deadLettersOf }),
      };
      const queue = await this.#openQueue(definition);
      await this.#parts.catalog.put(definition);
      return queue;
    });
  }

  #deadLetterQueues(): Queue[] {
    return [...this.queues.values()].filter(({ deadLettersOf }) => deadLettersOf !== undefined);
  }

  #deadLetterQueue(source: string): Promise<Queue> {
    return this.#declareQueue(
      DEAD_LETTER_PREFIX + source,
      { messageBytesMax: BODY_BYTES_MAX, deadLetter: false },
      source,
    );
  }

  /** The log to which a source's replayed dead letters go: the queue's own, or one that the group alone reads. */
  async #returnsTo(source: string): Promise<Log> {
    const queue = this.queues.get(source);
    if (queue !== undefined) return queue.log;
    const slash = source.lastIndexOf("/");
    const subscription = this.topics.get(source.slice(0, slash))?.subscriptions.get(source.slice(slash + 1));
    if (subscription === undefined) {
      throw new BrokerError(
        "SUBSCRIPTION_NOT_FOUND",
        `The dead letters came from ${source}, which is no longer there. Declare it again before replaying them.`,
        { source },
      );
    }
    await this.#once(`returns/${source}`, () => this.#openReturns(subscription));
    return subscription.returns!.log;
  }

  async #open(definition: Definition): Promise<void> {
    switch (definition.kind) {
      case "queue":
        await this.#openQueue(definition);
        return;
      case "topic":
        await this.#openTopic(definition);
        return;
      case "subscription":
        await this.#openSubscription(definition);
        return;
      case "binding": {
        const of = definition.destinationKind === "queue" ? this.queues : this.topics;
        const destination = of.get(definition.destination);
        if (destination !== undefined) this.exchange.bind(definition.pattern, destination);
      }
    }
  }

  async #openQueue(definition: QueueDefinition): Promise<Queue> {
    const { name, id, options } = definition;
    const log = await this.#openLog(`queue.${id}.${name}`, { durability: options.durability });
    const origin: Origin = { name, partition: undefined };
    const dispatcher = this.#dispatcher(name, options, options.ageMaxMs, () => origin);
    const state = this.#state(log, undefined, true, dispatcher);
    const queue = new Queue(name, id, options, state, dispatcher, definition.deadLettersOf);
    this.queues.set(name, queue);
    return queue;
  }

  async #openTopic(definition: TopicDefinition): Promise<Topic> {
    const { name, id, options } = definition;
    const partitions: Log[] = [];
    for (let partition = 0; partition < options.partitions; partition += 1) {
      partitions.push(await this.#openLog(`topic.${id}.${name}.${partition}`, topicLogOptions(options)));
    }
    const topic = new Topic(name, id, options, partitions);
    this.topics.set(name, topic);
    this.#parts.onTopic(topic);
    return topic;
  }

  async #openSubscription(definition: SubscriptionDefinition): Promise<Subscription> {
    const topic = this.#topic(definition.topic);
    const { group, id, options } = definition;
    const filter = new SubjectFilter(options.subjects);
    const dispatcher = this.#dispatcher(
      `${topic.name}/${group}`,
      options,
      undefined,
      (partition) => ({ name: topic.name, partition }),
      (record) => filter.passes(record, topic.name),
    );
    const states = topic.partitions.map((log, partition) => {
      const state = this.#state(log, partition, false, dispatcher, `subscription.${id}.${partition}`);
      state.startAt(Math.min(definition.startOffsets[partition] ?? 0, log.highWatermark));
      return state;
    });
    const subscription = new Subscription(definition, dispatcher, filter, states);
    topic.subscriptions.set(group, subscription);
    if (this.#parts.store.hasLog(returnsName(subscription))) await this.#openReturns(subscription);
    return subscription;
  }

  async #openReturns(subscription: Subscription): Promise<void> {
    if (subscription.returns !== undefined) return;
    const log = await this.#openLog(returnsName(subscription), {
      durability: this.#topic(subscription.topic).options.durability,
    });
    subscription.addReturns(this.#state(log, undefined, true, subscription.dispatcher));
  }

  #openLog(name: string, options: LogOptions): Promise<Log> {
    return this.#parts.store.openLog(name.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, LOG_NAME_MAX), options);
  }

  #state(
    log: Log,
    partition: number | undefined,
    ownsLog: boolean,
    dispatcher: Dispatcher,
    name = log.name,
  ): DeliveryState {
    const { settlements } = this.#parts;
    const state = new DeliveryState(name, partition, log, ownsLog, dispatcher.fetched, settlements.changed);
    settlements.add(state);
    return state;
  }

  #dispatcher(
    name: string,
    options: { inFlightMax: number; attemptsMax: number; deadLetter: boolean },
    ageMaxMs: number | undefined,
    originOf: (partition: number | undefined) => Origin,
    isWanted?: (record: StoredRecord) => boolean,
  ): Dispatcher {
    const { clock, onError } = this.#parts;
    return new Dispatcher({
      name,
      clock,
      inFlightMax: options.inFlightMax,
      attemptsMax: options.attemptsMax,
      isWanted,
      ageMaxMs: ageMaxMs === UNLIMITED ? undefined : ageMaxMs,
      moveToDeadLetters: options.deadLetter
        ? (record, state, entry) => this.deadLetters.bury(record, state, entry, originOf(state.partition))
        : undefined,
      onError,
    });
  }

  async #once<T>(key: string, declare: () => Promise<T>): Promise<T> {
    const earlier = this.#declaring.get(key);
    const turn = (earlier ?? Promise.resolve()).catch(() => undefined).then(declare);
    this.#declaring.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#declaring.get(key) === turn) this.#declaring.delete(key);
    }
  }
}

/** The longest name that a log store takes. */
const LOG_NAME_MAX = 200;

function returnsName(subscription: Subscription): string {
  return `returns.${subscription.id}`;
}

function topicLogOptions(options: TopicOptions): LogOptions {
  return {
    durability: options.durability,
    compact: options.compact,
    retention: {
      ...(options.retentionMs === UNLIMITED ? {} : { ageMs: options.retentionMs }),
      ...(options.retentionBytes === UNLIMITED ? {} : { bytes: options.retentionBytes }),
      ...(options.retentionCount === UNLIMITED ? {} : { count: options.retentionCount }),
    },
  };
}

function bindingOf(pattern: string, destination: Destination): BindingDefinition {
  return { kind: "binding", pattern, destinationKind: destination.kind, destination: destination.name };
}

/** The options that were given: one that is undefined was not. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function assertSame<T extends object>(
  code: BrokerErrorCode,
  what: string,
  existing: T,
  wanted: Partial<T>,
): void {
  for (const [option, value] of Object.entries(given(wanted))) {
    const was = existing[option as keyof T];
    if (was === value) continue;
    throw new BrokerError(
      code,
      `${what} was declared with ${option} ${JSON.stringify(was)} and is now asked for with ${JSON.stringify(value)}. Use the same value, leave the option out, or choose another name.`,
      { option, existing: String(was), wanted: String(value) },
    );
  }
}
