// The broker: what protocols and the bus stand on. Publishing, looking on, statistics, maintenance, and its life.

import type { Clock, Io } from "../io/io.js";
import type { Durability, Log } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { Appended } from "./appended.js";
import { type Binding, BUS_EXCHANGE, type ExchangeOptions } from "./binding.js";
import { type Broadcast, liveOnly } from "./broadcast.js";
import { Catalog } from "./catalog.js";
import { Census } from "./census.js";
import type { DeadLetters } from "./dead-letters.js";
import type { Delivery } from "./delivery.js";
import type { Dispatcher } from "./dispatcher.js";
import type { Exchange } from "./exchange.js";
import type { Forward } from "./forwards.js";
import { handOver, withRoom } from "./hand-over.js";
import type { QueueOptions, SubscriptionOptions, TopicOptions } from "./limits.js";
import { LiveFeed } from "./live-feed.js";
import type { MessageRun } from "./live-message.js";
import type { LiveSubscription, LiveSubscriptionOptions } from "./live-subscription.js";
import { Maintenance } from "./maintenance.js";
import type { OutgoingMessage } from "./message.js";
import type { SeekPosition } from "./positions.js";
import type { Queue } from "./queue.js";
import type { DeleteConditions } from "./removal.js";
import { RETAINED_MAX, RetainedMessages } from "./retained-messages.js";
import type { ScheduleTarget } from "./schedule.js";
import { Schedules } from "./schedules.js";
import { Session } from "./session.js";
import { SettlementLog } from "./settlement-log.js";
import type { BrokerStatistics } from "./statistics.js";
import type { Subscription } from "./subscription.js";
import type { Topic } from "./topic.js";
import { Topology } from "./topology.js";
import { Transactions } from "./transactions.js";

/** Synced, so that whatever fails all synced logs fails it. */
const CATALOG = "catalog";
const CATALOG_SEGMENT_BYTES = 256 * 1024;
const SETTLEMENT_SEGMENT_BYTES = 8 * 1024 * 1024;

export interface BrokerOptions {
  /** Of everything that is declared without saying so. */
  readonly durability: Durability;
  /** The store is only looked at: nothing is stored. */
  readonly readOnly: boolean;
  /** Subjects that may have a retained message. @default 100,000 */
  readonly retainedMax?: number | undefined;
  /** Hears of what cannot be told to any caller: a failed background step, an unreadable log. */
  readonly onError: (error: unknown, where: string) => void;
}

export class Broker {
  readonly clock: Clock;
  /** What is published without being stored, and looking on at that and at what is committed to topics. */
  readonly live: LiveFeed;
  /** Messages that are handed over again and again. */
  readonly schedules: Schedules;
  /** The last messages of subjects. */
  readonly retained: RetainedMessages;
  readonly #store: LogStore;
  readonly #census: Census;
  readonly #settlements: SettlementLog;
  readonly #topology: Topology;
  readonly #transactions: Transactions;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #maintenance: Maintenance;
  readonly #sessions = new Set<Session>();
  #closing: Promise<void> | undefined = undefined;

  private constructor(
    clock: Clock,
    store: LogStore,
    settlements: SettlementLog,
    topology: Topology,
    live: LiveFeed,
    options: BrokerOptions,
  ) {
    this.clock = clock;
    this.#store = store;
    this.#census = new Census(clock, topology, store.syncStatistics, options.onError);
    this.#settlements = settlements;
    this.#topology = topology;
    this.live = live;
    const { durability, retainedMax: subjectsMax = RETAINED_MAX, onError } = options;
    this.retained = new RetainedMessages({ clock, store, durability, subjectsMax, onError });
    this.#transactions = new Transactions(store, settlements);
    this.#onError = options.onError;
    const append = (target: ScheduleTarget, message: OutgoingMessage): void =>
      this.#appendTo(target, message);
    this.schedules = new Schedules({ ...options, clock, store, append });
    this.#maintenance = new Maintenance({
      clock,
      queues: () => this.queues,
      topics: () => this.topics,
      dispatchers: () => this.dispatchers(),
      schedules: this.schedules,
      retained: this.retained,
      onError,
    });
  }

  /**
   * Opens everything that was declared in `store`. A log that cannot be read is reported to `onError` and left out;
   * the others open. Errors: LOG_CORRUPT when the catalog or the settlements cannot be read.
   */
  static async open(io: Io, store: LogStore, options: BrokerOptions): Promise<Broker> {
    const { clock } = io;
    const { durability, readOnly, onError } = options;
    const catalogLog = await store.openLog(CATALOG, {
      durability: "synced",
      segmentBytes: CATALOG_SEGMENT_BYTES,
      compact: true,
      tombstoneAgeMs: 0,
    });
    const settlementLog = await store.openLog("settlements", {
      durability: "written",
      segmentBytes: SETTLEMENT_SEGMENT_BYTES,
    });
    const catalog = new Catalog(catalogLog, clock);
    const settlements = new SettlementLog(settlementLog, clock, readOnly, onError);
    try {
      await catalog.load();
      if (!readOnly) await compactCatalog(catalogLog, onError);
      await settlements.load();
      const topics = (): Iterable<Topic> => topology.topics.values();
      const live = new LiveFeed({ clock, random: io.random, topics, onError });
      const onTopic = (topic: Topic): void => live.addTopic(topic);
      const topology: Topology = new Topology({
        clock,
        store,
        catalog,
        settlements,
        durability,
        readOnly,
        onError,
        onTopic,
      });
      await topology.openAll();
      if (settlements.isCut) await secure(settlements, store);
      const broker = new Broker(clock, store, settlements, topology, live, options);
      await broker.retained
        .openExisting()
        .catch((error: unknown) => onError(error, "opening the retained messages"));
      topology.forwards.start();
      await broker.schedules.open();
      if (!readOnly) broker.#maintenance.start();
      return broker;
    } catch (error) {
      settlements.abandon();
      throw error;
    }
  }

  get queues(): Iterable<Queue> {
    return this.#topology.queues.values();
  }

  get topics(): Iterable<Topic> {
    return this.#topology.topics.values();
  }

  get deadLetters(): DeadLetters {
    return this.#topology.deadLetters;
  }

  queue(name: string): Queue | undefined {
    const queue = this.#topology.queues.get(name);
    return queue?.isDeleted === true ? undefined : queue;
  }

  topic(name: string): Topic | undefined {
    const topic = this.#topology.topics.get(name);
    return topic?.isDeleted === true ? undefined : topic;
  }

  /**
   * Makes the queue, durably, or finds it. Options left out are what it was declared with, else their defaults.
   * Errors: INVALID_NAME, INVALID_OPTION, QUEUE_MISMATCH when an option differs from what it was declared with.
   */
  declareQueue(name: string, options: Partial<QueueOptions> = {}, session?: Session): Promise<Queue> {
    return this.#topology.declareQueue(name, options, session);
  }

  /** See {@link declareQueue}. Errors: INVALID_NAME, INVALID_OPTION, TOPIC_MISMATCH. */
  declareTopic(name: string, options: Partial<TopicOptions> = {}): Promise<Topic> {
    return this.#topology.declareTopic(name, options);
  }

  /** See {@link declareQueue}; `from` matters only when it is made. Errors: INVALID_NAME, INVALID_OPTION, TOPIC_NOT_FOUND, SUBSCRIPTION_MISMATCH. */
  declareSubscription(
    topic: string,
    group: string,
    options: Partial<SubscriptionOptions> = {},
  ): Promise<Subscription> {
    return this.#topology.declareSubscription(topic, group, options);
  }

  /** Somebody who uses the broker for a while. Its exclusive queues are deleted when it is closed, or the process ends. */
  openSession(name: string): Session {
    const session = new Session(
      name,
      (queue) => this.#topology.removal.remove(queue),
      (closed) => this.#sessions.delete(closed),
    );
    this.#sessions.add(session);
    return session;
  }

  /**
   * Deletes the queue with everything in it, its bindings and its files. Its dead letters stay. Returns whether it was
   * there. Errors: QUEUE_NOT_EMPTY, QUEUE_IN_USE, QUEUE_EXCLUSIVE, those of storage; then it stays.
   */
  deleteQueue(name: string, conditions: DeleteConditions = {}, session?: Session): Promise<boolean> {
    return this.#topology.removal.deleteQueue(name, conditions, session);
  }

  /** Deletes the topic with its groups, its bindings and its files. Dead letters stay. Returns whether it was there. */
  async deleteTopic(name: string): Promise<boolean> {
    const topic = this.topic(name);
    const isDeleted = await this.#topology.removal.deleteTopic(name);
    if (topic !== undefined) this.live.removeTopic(topic);
    return isDeleted;
  }

  /** Deletes the group; its dead letters stay. Returns whether it was there. */
  deleteSubscription(topic: string, group: string): Promise<boolean> {
    return this.#topology.removal.deleteSubscription(topic, group);
  }

  /** Hands nothing out any more, durably; what is published is taken. Errors: QUEUE_NOT_FOUND, QUEUE_EXCLUSIVE. */
  pauseQueue(name: string, session?: Session): Promise<void> {
    return this.#topology.changes.setQueuePaused(name, true, session);
  }

  /** Errors: QUEUE_NOT_FOUND, QUEUE_EXCLUSIVE. */
  resumeQueue(name: string, session?: Session): Promise<void> {
    return this.#topology.changes.setQueuePaused(name, false, session);
  }

  /** See {@link pauseQueue}. Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
  pauseSubscription(topic: string, group: string): Promise<void> {
    return this.#topology.changes.setSubscriptionPaused(topic, group, true);
  }

  /** Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
  resumeSubscription(topic: string, group: string): Promise<void> {
    return this.#topology.changes.setSubscriptionPaused(topic, group, false);
  }

  /**
   * Moves a group of a topic forward or back, durably, in all partitions or one as one atomic step. What is in flight
   * there is taken away from its consumers. Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, INVALID_OPTION,
   * OFFSET_OUT_OF_RANGE.
   */
  seekSubscription(topic: string, group: string, to: SeekPosition): Promise<void> {
    return this.#topology.changes.seek(topic, group, to);
  }

  /**
   * Takes a subject back from a group that asked for it. Returns whether it had. Errors: TOPIC_NOT_FOUND,
   * SUBSCRIPTION_NOT_FOUND, INVALID_OPTION for the last one.
   */
  unsubscribe(topic: string, group: string, subject: string): Promise<boolean> {
    return this.#topology.changes.unsubscribe(topic, group, subject);
  }

  get exchanges(): Iterable<Exchange> {
    return this.#topology.routing.exchanges.values();
  }

  exchange(name: string): Exchange | undefined {
    return this.#topology.routing.exchanges.get(name);
  }

  get bindings(): readonly Binding[] {
    return this.#topology.routing.bindings;
  }

  /** See {@link declareQueue}; a topic exchange unless it says otherwise. Errors: INVALID_NAME, INVALID_OPTION, EXCHANGE_MISMATCH, EXCHANGE_NOT_FOUND for the alternate, unless it may be missing: until it is there it gets nothing. */
  declareExchange(
    name: string,
    options: Partial<ExchangeOptions> = {},
    mayLackAlternate = false,
  ): Promise<Exchange> {
    return this.#topology.routing.declare(name, options, mayLackAlternate);
  }

  /** Removes the exchange, with everything that is bound from it and to it. Errors: EXCHANGE_NOT_FOUND. */
  deleteExchange(name: string): Promise<void> {
    return this.#topology.routing.delete(name);
  }

  /** Leads what is published to an exchange on, durably. Errors: INVALID_OPTION, INVALID_SUBJECT, QUEUE_NOT_FOUND, TOPIC_NOT_FOUND, EXCHANGE_NOT_FOUND. */
  bind(binding: Binding): Promise<void> {
    return this.#topology.routing.bind(binding);
  }

  /** Nothing happens when there is no such binding. Errors: those of {@link bind}. */
  unbind(binding: Binding): Promise<void> {
    return this.#topology.routing.unbind(binding);
  }

  get forwards(): readonly Forward[] {
    return this.#topology.forwards.all;
  }

  /**
   * Moves every message of the queue on to an exchange from now on, durably: each is appended there and settled here as
   * one atomic step. Errors: QUEUE_NOT_FOUND, EXCHANGE_NOT_FOUND, INVALID_SUBJECT, FORWARD_MISMATCH when it is forwarded
   * elsewhere.
   */
  declareForward({ queue, ...options }: Forward): Promise<void> {
    return this.#topology.forwards.declare(queue, options);
  }

  /** Ends it, durably: messages stay in the queue. Nothing happens when there is none. */
  removeForward(queue: string): Promise<void> {
    return this.#topology.forwards.remove(queue);
  }

  /**
   * Hot: hands the message to every queue and topic that the exchange leads it to, as one atomic step where that is
   * more than one. Returns an entry for each, topics first; none when it leads nowhere. Errors: EXCHANGE_NOT_FOUND,
   * INVALID_SUBJECT, and those of the destinations; then none has it.
   */
  publish(message: OutgoingMessage, exchange = BUS_EXCHANGE): Appended[] {
    return handOver(this.#store, this.#topology.routing.route(message, exchange).destinations, message);
  }

  /**
   * Hot: publishes the message, and shows it to everybody who looks on at its subject when it comes past the bus: once it
   * is committed to a topic, if it leads to one, else at once. What is published to an inbox is only live. Nobody may
   * change its bytes from then on. `alsoBy` are more subjects that it is routed by. Errors: those of {@link publish}; then
   * nobody has seen it.
   */
  broadcast(message: OutgoingMessage, exchange = BUS_EXCHANGE, alsoBy?: readonly string[]): Broadcast {
    const { routing } = this.#topology;
    const { destinations, isSeenAtOnce } =
      alsoBy === undefined ? routing.route(message, exchange) : routing.routeByAll(message, exchange, alsoBy);
    if (destinations.length === 0) return liveOnly(isSeenAtOnce ? this.live.publish(message) : 0);
    const appended = handOver(this.#store, destinations, message);
    return { appended, receivers: isSeenAtOnce ? this.live.publish(message) : 0 };
  }

  /**
   * Hot: {@link broadcast} of messages that follow each other on a subject that nothing is bound to. Returns how many took
   * any of them; undefined when something may be bound: then nothing has happened, and each is to be broadcast.
   */
  broadcastRun(run: MessageRun): number | undefined {
    return this.#topology.routing.isUnbound(run.subject) ? this.live.publishRun(run) : undefined;
  }

  /** As {@link broadcast}, past the queues that are full: for a message that it has refused with QUEUE_FULL. */
  broadcastPastFull(
    message: OutgoingMessage,
    exchange = BUS_EXCHANGE,
    alsoBy: readonly string[] = [],
  ): Broadcast {
    const route = this.#topology.routing.routeByAll(message, exchange, alsoBy);
    const appended = handOver(this.#store, withRoom(route.destinations, message), message);
    return { appended, receivers: route.isSeenAtOnce ? this.live.publish(message) : 0 };
  }

  /** What `action` hands over before it returns, however, is taken as one: all of it, or nothing when it throws. */
  atomically(action: () => void): void {
    this.#store.atomically(action);
  }

  /**
   * Hot: hands the message to whoever looks on at its subject, and stores it nowhere; returns how many took it. Nobody
   * may change its bytes from then on. Errors: INVALID_SUBJECT.
   */
  publishLive(message: OutgoingMessage): number {
    return this.live.publish(message);
  }

  /** Acknowledges `deliveries` and takes what `append` hands over, as one: see {@link Transactions.commit}. */
  commit(deliveries: readonly Delivery[], append: () => readonly Appended[]): Promise<void> {
    return this.#transactions.commit(deliveries, append);
  }

  /** Looks on at what is committed to topics and what is published live from now on. Errors: INVALID_SUBJECT, INVALID_OPTION. */
  subscribeLive(options: LiveSubscriptionOptions): LiveSubscription {
    return this.live.subscribe(options);
  }

  /** Whether no consumer has, or could be given, anything now, and nothing is expiring. Delayed messages wait for their time and do not count. */
  get isIdle(): boolean {
    for (const dispatcher of this.dispatchers()) if (dispatcher.isBusy) return false;
    return !this.#topology.expiries.isBusy && !this.schedules.isBusy;
  }

  /** Of every queue and every subscription. */
  *dispatchers(): Generator<Dispatcher> {
    for (const queue of this.queues) yield queue.dispatcher;
    for (const topic of this.topics)
      for (const { dispatcher } of topic.subscriptions.values()) yield dispatcher;
  }

  /** Why nothing can be stored for now, in words; undefined when it can. Cheap, unlike {@link statistics}. */
  get trouble(): string | undefined {
    const stalledMs = this.#census.stalledMs;
    if (stalledMs > 0) return `a sync to disk has not come back for ${Math.round(stalledMs)} ms`;
    return this.#store.failureOf(CATALOG)?.message;
  }

  statistics(): BrokerStatistics {
    return this.#census.statistics();
  }

  /** Resolves when everything that was accepted or settled before is stored. */
  async flush(): Promise<void> {
    await this.#settlements.flush();
    await this.#store.flush();
  }

  /** Gives back what is in flight, stores what is known, and closes the store. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Enforces retention and compaction. Runs by itself every 30 seconds. Never rejects. */
  maintain(): Promise<void> {
    return this.#maintenance.run();
  }

  async #close(): Promise<void> {
    this.#maintenance.stop();
    this.live.close();
    await this.#endSessions();
    for (const queue of this.queues) queue.close();
    await this.schedules.close();
    await this.#topology.expiries.close();
    await this.#topology.forwards.close();
    await Promise.all([...this.dispatchers()].map((dispatcher) => dispatcher.close()));
    await this.#maintenance.ended();
    await this.#settlements.close();
    await this.#store.close().finally(() => this.#census.close());
  }

  /** Errors: QUEUE_NOT_FOUND, TOPIC_NOT_FOUND, EXCHANGE_NOT_FOUND, those of the target. */
  #appendTo({ kind, name }: ScheduleTarget, message: OutgoingMessage): void {
    if (kind === "exchange") this.publish(message, name);
    else this.#topology.destination(kind, name).append(message);
  }

  /** What could not be deleted is when the broker is opened again. */
  async #endSessions(): Promise<void> {
    const report = (error: unknown): void => this.#onError(error, "deleting the queues of a session");
    await Promise.all([...this.#sessions].map((session) => session.close().catch(report)));
    await this.#topology.removal.close();
  }
}

/** After a power failure that took the ends of logs: that those are gone must be known before they grow again. */
async function secure(settlements: SettlementLog, store: LogStore): Promise<void> {
  await settlements.flush();
  await store.checkpoint();
}

/** It grows by what was replaced and removed only, so that a failure can wait. */
async function compactCatalog(log: Log, onError: BrokerOptions["onError"]): Promise<void> {
  try {
    await log.compact();
  } catch (error) {
    onError(error, "compacting the catalog");
  }
}
