// Everything that exists, by name: declaring and opening it.

import { BrokerError } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import type { Durability, Log } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type {
  Catalog,
  Definition,
  QueueDefinition,
  SubscriptionDefinition,
  TopicDefinition,
} from "./catalog.js";
import { DeadLetters, type ReturnTarget } from "./dead-letters.js";
import { assertSame, given } from "./declared-options.js";
import type { Dispatcher } from "./dispatcher.js";
import type { Destination } from "./exchange.js";
import type { Existing } from "./existing.js";
import { Expiries } from "./expiries.js";
import { Forwards } from "./forwards.js";
import {
  assertOptions,
  assertSharing,
  BODY_BYTES_MAX,
  QUEUE_DEFAULTS,
  type QueueOptions,
  SUBSCRIPTION_DEFAULTS,
  type SubscriptionOptions,
  TOPIC_DEFAULTS,
  type TopicOptions,
  UNLIMITED,
} from "./limits.js";
import { NamedTurns } from "./named-turns.js";
import { assertName } from "./names.js";
import { offsetsAt } from "./positions.js";
import type { Queue } from "./queue.js";
import { Removal } from "./removal.js";
import { Routing } from "./routing.js";
import type { Session } from "./session.js";
import type { SettlementLog } from "./settlement-log.js";
import { SourceChanges } from "./source-changes.js";
import { SourceOpener } from "./source-opening.js";
import type { Subscription } from "./subscription.js";
import type { Topic } from "./topic.js";
import { Unopened, unopened } from "./unopened.js";

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
  readonly readOnly: boolean;
  readonly onError: (error: unknown, where: string) => void;
  readonly onTopic: (topic: Topic) => void;
}

export class Topology {
  readonly queues = new Map<string, Queue>();
  readonly topics = new Map<string, Topic>();
  readonly routing: Routing;
  readonly forwards: Forwards;
  readonly deadLetters: DeadLetters;
  readonly expiries: Expiries;
  readonly #parts: TopologyParts;
  readonly removal: Removal;
  readonly changes: SourceChanges;
  readonly #opener: SourceOpener;
  /** What exists and could not be opened, by `queue/name`, `topic/name` and `subscription/topic/group`. */
  readonly #unopened = new Map<string, unknown>();
  /** Where bindings to queues and topics lead that could not be opened. */
  readonly #unreachable = new Map<string, Unopened>();
  readonly #declaring = new NamedTurns();

  constructor(parts: TopologyParts) {
    this.#parts = parts;
    const { clock, onError, store, catalog } = parts;
    const atomically = (action: () => void): void => store.atomically(action);
    this.expiries = new Expiries({ clock, onError, catalog, atomically });
    this.#opener = new SourceOpener({
      ...parts,
      deadLetters: () => this.deadLetters,
      expiries: this.expiries,
    });
    this.routing = new Routing({
      store: parts.store,
      catalog: parts.catalog,
      destination: (kind, name) => this.destination(kind, name),
      storedDestination: (kind, name) => this.#storedDestination(kind, name),
    });
    this.forwards = new Forwards({
      ...parts,
      turns: this.#declaring,
      routing: this.routing,
      queue: (name) => this.#queue(name),
    });
    const existing: Existing = {
      ...parts,
      routing: this.routing,
      forwards: this.forwards,
      expiries: this.expiries,
      opener: this.#opener,
      queues: this.queues,
      topics: this.topics,
      unopened: this.#unopened,
      turns: this.#declaring,
      queue: (name) => this.#queue(name),
      topic: (name) => this.#topic(name),
      subscription: (topic, group) => this.#subscription(topic, group),
    };
    this.removal = new Removal(existing);
    this.changes = new SourceChanges(existing);
    this.deadLetters = new DeadLetters({
      store: parts.store,
      clock: parts.clock,
      settlements: parts.settlements,
      routing: this.routing,
      queue: (name) => this.queues.get(name),
      queues: () => this.#deadLetterQueues(),
      queueFor: (source) => this.#deadLetterQueue(source),
      returnTo: (source) => this.#returnsTo(source),
    });
  }

  /** Errors: QUEUE_NOT_FOUND, TOPIC_NOT_FOUND, those of what could not be opened. */
  destination(kind: "queue" | "topic", name: string): Queue | Topic {
    return kind === "queue" ? this.#queue(name) : this.#topic(name);
  }

  /** Opens what the catalog names. What cannot be read is reported and left out; the rest opens. */
  async openAll(): Promise<void> {
    if (!this.#parts.readOnly) await this.removal.leftovers.remove();
    const definitions = [...this.#parts.catalog.definitions];
    for (const kind of ["queue", "topic", "subscription", "exchange", "binding", "forward"] as const) {
      for (const definition of definitions) {
        if (definition.kind !== kind) continue;
        await this.#open(definition).catch((error: unknown) => this.#leaveOut(definition, error));
      }
    }
    this.removal.leftovers.forgetSettlements();
    if (!this.#parts.readOnly) this.expiries.start();
  }

  /** The queue that holds the dead letters of a queue or of `topic/group`, once there were any. */
  deadLettersOf(source: string): Queue | undefined {
    return this.queues.get(DEAD_LETTER_PREFIX + source);
  }

  async declareQueue(
    name: string,
    options: Partial<QueueOptions>,
    session: Session | undefined,
  ): Promise<Queue> {
    assertName("queue", name);
    return await this.#declareQueue(name, options, undefined, session);
  }

  async declareTopic(name: string, options: Partial<TopicOptions>): Promise<Topic> {
    assertName("topic", name);
    return await this.#declaring.run(`topic/${name}`, async () => {
      const asked = given(options);
      assertOptions(`topic ${name}`, asked, TOPIC_DEFAULTS);
      this.#assertOpened(`topic/${name}`, `The topic ${name}`);
      const existing = this.topics.get(name);
      if (existing !== undefined) {
        assertSame("TOPIC_MISMATCH", `Topic ${name}`, existing.options, asked);
        return existing;
      }
      const definition: TopicDefinition = {
        kind: "topic",
        id: this.#parts.catalog.nextId(),
        name,
        options: {
          ...TOPIC_DEFAULTS,
          durability: this.#parts.durability,
          // The last message of a key is needed however old it is.
          ...(asked.compact === true ? { retentionMs: UNLIMITED } : {}),
          ...asked,
        },
      };
      const topic = await this.#opener.openTopic(definition);
      await this.#put(definition, [...topic.partitions, ...topic.idLogs]);
      this.#addTopic(topic);
      return topic;
    });
  }

  async declareSubscription(
    topicName: string,
    group: string,
    options: Partial<SubscriptionOptions>,
  ): Promise<Subscription> {
    assertName("group", group);
    return await this.#declaring.run(`subscription/${topicName}/${group}`, async () => {
      const asked = given(options);
      assertOptions(`group ${group} of topic ${topicName}`, asked, SUBSCRIPTION_DEFAULTS);
      const topic = this.#topic(topicName);
      this.#assertOpened(`subscription/${topicName}/${group}`, `Group ${group} of topic ${topicName}`);
      const existing = topic.subscriptions.get(group);
      if (existing !== undefined) {
        const { from: _, subjects = [], ...same } = asked;
        const what = `Group ${group} of topic ${topicName}`;
        assertSame("SUBSCRIPTION_MISMATCH", what, existing.options, same);
        await this.#widen(existing, subjects);
        return existing;
      }
      const complete = { ...SUBSCRIPTION_DEFAULTS, ...asked };
      assertSharing(`group ${group} of topic ${topicName}`, complete);
      const definition: SubscriptionDefinition = {
        kind: "subscription",
        id: this.#parts.catalog.nextId(),
        topic: topicName,
        group,
        options: complete,
        startOffsets: (await offsetsAt(topic, complete.from)).map((offset) => offset ?? 0),
      };
      const subscription = await this.#opener.openSubscription(definition, topic);
      await this.#put(definition, subscription.idLogs);
      if (topic.isDeleted) {
        // It took its groups with it, but not this one.
        await this.#parts.catalog.remove(definition);
        this.#topic(topicName);
      }
      this.#addSubscription(topic, subscription);
      return subscription;
    });
  }

  #queue(name: string): Queue {
    const queue = this.queues.get(name);
    if (queue !== undefined && !queue.isDeleted) return queue;
    this.#assertOpened(`queue/${name}`, `The queue ${name}`);
    throw new BrokerError("QUEUE_NOT_FOUND", `There is no queue ${name}. Declare it first.`, { queue: name });
  }

  #topic(name: string): Topic {
    const topic = this.topics.get(name);
    if (topic !== undefined && !topic.isDeleted) return topic;
    this.#assertOpened(`topic/${name}`, `The topic ${name}`);
    throw new BrokerError("TOPIC_NOT_FOUND", `There is no topic ${name}. Declare it first.`, { topic: name });
  }

  #subscription(topicName: string, group: string): Subscription {
    const subscription = this.#topic(topicName).subscriptions.get(group);
    if (subscription !== undefined) return subscription;
    this.#assertOpened(`subscription/${topicName}/${group}`, `Group ${group} of topic ${topicName}`);
    throw new BrokerError(
      "SUBSCRIPTION_NOT_FOUND",
      `There is no group ${group} of topic ${topicName}. Declare it first.`,
      { topic: topicName, group },
    );
  }

  async #declareQueue(
    name: string,
    options: Partial<QueueOptions>,
    deadLettersOf: string | undefined,
    session: Session | undefined,
  ): Promise<Queue> {
    return await this.#declaring.run(`queue/${name}`, async () => {
      const asked = given(options);
      assertOptions(`queue ${name}`, asked, QUEUE_DEFAULTS);
      this.#assertOpened(`queue/${name}`, `The queue ${name}`);
      const existing = this.queues.get(name);
      if (existing !== undefined) {
        existing.assertUsableBy(session);
        assertSame("QUEUE_MISMATCH", `Queue ${name}`, existing.options, asked);
        this.removal.touch(existing);
        return existing;
      }
      if (asked.exclusive === true) assertSession(name, session);
      const definition: QueueDefinition = {
        kind: "queue",
        id: this.#parts.catalog.nextId(),
        name,
        options: { ...QUEUE_DEFAULTS, durability: this.#parts.durability, ...asked },
        ...(deadLettersOf === undefined ? {} : { deadLettersOf }),
      };
      const queue = await this.#opener.openQueue(definition);
      await this.#put(definition, [...queue.states.map(({ log }) => log), ...queue.idLogs]);
      if (asked.exclusive === true) queue.session = session;
      this.#addQueue(queue);
      return queue;
    });
  }

  #deadLetterQueues(): Queue[] {
    return [...this.queues.values()].filter(({ deadLettersOf }) => deadLettersOf !== undefined);
  }

  async #deadLetterQueue(source: string): Promise<Queue> {
    const options = { messageBytesMax: BODY_BYTES_MAX, deadLetter: false };
    return (
      this.deadLettersOf(source) ??
      (await this.#declareQueue(DEAD_LETTER_PREFIX + source, options, source, undefined))
    );
  }

  /** Where a source's replayed dead letters go: into the queue itself, or where the group alone reads. */
  async #returnsTo(source: string): Promise<ReturnTarget> {
    const [topicName, group] = source.split("/");
    if (group === undefined) return this.#queue(source);
    const topic = this.#topic(topicName!);
    const subscription = this.#subscription(topicName!, group);
    await this.#declaring.run(`returns/${source}`, async () => {
      if (subscription.returns !== undefined) return;
      await this.#opener.openReturns(subscription, topic);
      this.#parts.settlements.add(subscription.returns!);
    });
    return subscription;
  }

  /** A subscription for all subjects stays one. */
  async #widen(subscription: Subscription, subjects: readonly string[]): Promise<void> {
    const { definition, filter } = subscription;
    const known = filter.patterns;
    const added = subjects.filter((subject) => !known.includes(subject));
    if (known.length === 0 || added.length === 0) return;
    const options = { ...definition.options, subjects: [...known, ...added] };
    const wider = { ...definition, options };
    await this.#parts.catalog.put(wider);
    subscription.definition = wider;
    for (const subject of added) filter.add(subject);
  }

  /** Stores a definition. When that fails, what was made for it goes again, for nobody has seen it. */
  async #put(definition: Definition, logs: readonly Log[]): Promise<void> {
    try {
      await this.#parts.catalog.put(definition);
    } catch (error) {
      for (const { name } of logs) await this.#parts.store.deleteLog(name).catch(() => undefined);
      throw error;
    }
  }

  async #open(definition: Definition): Promise<void> {
    switch (definition.kind) {
      case "queue":
        this.#addQueue(await this.#opener.openQueue(definition));
        return;
      case "topic":
        this.#addTopic(await this.#opener.openTopic(definition));
        return;
      case "subscription": {
        const topic = this.#topic(definition.topic);
        const kept = await this.#keepStart(definition, topic);
        this.#addSubscription(topic, await this.#opener.openSubscription(kept, topic));
        return;
      }
      case "exchange":
        this.routing.openExchange(definition);
        return;
      case "binding":
        this.routing.open(definition);
        return;
      case "forward":
        this.forwards.open(definition);
    }
  }

  #storedDestination(kind: "queue" | "topic", name: string): Destination | undefined {
    const key = `${kind}/${name}`;
    const cause = this.#unopened.get(key);
    if (cause !== undefined) {
      const destination = this.#unreachable.get(key) ?? new Unopened(kind, name, cause);
      this.#unreachable.set(key, destination);
      return destination;
    }
    const destination = (kind === "queue" ? this.queues : this.topics).get(name);
    return destination?.isDeleted === true ? undefined : destination;
  }

  /**
   * A topic that lost its end, in a power failure or because it is in memory, gives offsets a second time: a group
   * that began behind that end must not miss them.
   */
  async #keepStart(definition: SubscriptionDefinition, topic: Topic): Promise<SubscriptionDefinition> {
    const startOffsets = topic.partitions.map(({ highWatermark }, partition) =>
      Math.min(definition.startOffsets[partition] ?? 0, highWatermark),
    );
    const kept = { ...definition, startOffsets };
    const isSame = startOffsets.every((offset, partition) => offset === definition.startOffsets[partition]);
    if (!isSame && !this.#parts.readOnly) await this.#parts.catalog.put(kept);
    return kept;
  }

  /** Others open; whoever asks for this one is told why it is not there. */
  #leaveOut(definition: Definition, error: unknown): void {
    const { kind } = definition;
    if (kind === "subscription") {
      this.#unopened.set(`subscription/${definition.topic}/${definition.group}`, error);
      // The topic itself has been reported.
      if (this.#unopened.has(`topic/${definition.topic}`)) return;
    } else if (kind === "forward") {
      // So has its queue.
      if (this.#unopened.has(`queue/${definition.queue}`)) return;
    } else if (kind === "queue" || kind === "topic") {
      this.#unopened.set(`${kind}/${definition.name}`, error);
    }
    this.#parts.onError(error, `opening a ${kind}`);
  }

  #assertOpened(key: string, what: string): void {
    const cause = this.#unopened.get(key);
    if (cause !== undefined) throw unopened(what, cause);
  }

  #addQueue(queue: Queue): void {
    this.queues.set(queue.name, queue);
    this.#keepSettlements(queue.dispatcher);
    queue.session?.own(queue);
    if (!this.#parts.readOnly) this.removal.watch(queue);
  }

  #addTopic(topic: Topic): void {
    this.topics.set(topic.name, topic);
    this.#parts.onTopic(topic);
  }

  #addSubscription(topic: Topic, subscription: Subscription): void {
    topic.addSubscription(subscription);
    this.#keepSettlements(subscription.dispatcher);
  }

  #keepSettlements({ states }: Dispatcher): void {
    for (const state of states) this.#parts.settlements.add(state);
  }
}

/** Errors: INVALID_OPTION, CLOSED. */
function assertSession(queue: string, session: Session | undefined): void {
  session?.assertOpen();
  if (session !== undefined) return;
  throw new BrokerError(
    "INVALID_OPTION",
    `Queue ${queue} is to be exclusive, and no session is given whose it would be. Open one, and declare the queue with it.`,
    { option: "exclusive", queue },
  );
}
