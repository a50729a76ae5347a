// Opens what the catalog defines: the logs and delivery states of queues, topics and subscriptions, and what each is
// wired to. Nothing here is visible to others before it is registered.

import type { Clock } from "../io/io.js";
import type { Durability, Log, LogOptions } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { StoredRecord } from "../log/record.js";
import type { QueueDefinition, SubscriptionDefinition, TopicDefinition } from "./catalog.js";
import type { Balance } from "./consumer-choice.js";
import { countBodyBytes } from "./count-body-bytes.js";
import type { BurialOptions, DeadLetters, Origin } from "./dead-letters.js";
import type { Assignment } from "./dealing.js";
import { Deduplication } from "./deduplication.js";
import { DeliveryState } from "./delivery-state.js";
import { Dispatcher } from "./dispatcher.js";
import type { Expiries } from "./expiries.js";
import { Inbox } from "./inbox.js";
import {
  QUEUE_DEFAULTS,
  type QueueOptions,
  SUBSCRIPTION_DEFAULTS,
  type SubscriptionOptions,
  TOPIC_DEFAULTS,
  type TopicOptions,
  UNLIMITED,
} from "./limits.js";
import { Queue } from "./queue.js";
import { RecentIds, type RecentIdsOptions } from "./recent-ids.js";
import type { SettlementLog } from "./settlement-log.js";
import { SubjectFilter } from "./subject-filter.js";
import { Subscription } from "./subscription.js";
import { Topic } from "./topic.js";

/** The longest name that a log store takes. */
const LOG_NAME_MAX = 200;
/** A topic that keeps few bytes has segments that are small parts of that, because whole segments are deleted. */
const SEGMENTS_KEPT = 8;
const SEGMENT_BYTES_MIN = 64 * 1024;
const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
/** What is settled of a queue in memory is let go of in pieces of that size. */
const MEMORY_SEGMENT_BYTES = 8 * 1024 * 1024;

/** What everything that is opened is built on. */
export interface SourceParts {
  readonly clock: Clock;
  readonly store: LogStore;
  readonly settlements: SettlementLog;
  readonly deadLetters: () => DeadLetters;
  readonly expiries: Expiries;
  readonly onError: (error: unknown, where: string) => void;
}

/** What a dispatcher is made for. */
interface DispatcherPurpose {
  readonly name: string;
  readonly options: BurialOptions & {
    readonly inFlightMax: number;
    readonly attemptsMax: number;
    readonly balance: Balance;
    readonly singleActiveConsumer: boolean;
  };
  readonly inbox: Inbox | undefined;
  readonly ageMaxMs: number | undefined;
  readonly isWanted: ((record: StoredRecord) => boolean) | undefined;
  readonly isStrict: boolean;
  readonly assignment: Assignment;
  readonly originOf: (partition: number | undefined) => Origin;
}

export class SourceOpener {
  readonly #parts: SourceParts;
  /** The names of the logs that were opened, by the id in them. */
  readonly #logNames = new Map<number, string[]>();

  constructor(parts: SourceParts) {
    this.#parts = parts;
  }

  /** Options that the definition does not know, because it is older, are the defaults. Errors: those of opening a log. */
  async openQueue(stored: QueueDefinition): Promise<Queue> {
    const definition = { ...stored, options: { ...QUEUE_DEFAULTS, ...stored.options } };
    const { name, id, options } = definition;
    const ageMaxMs = options.ageMaxMs === UNLIMITED ? undefined : options.ageMaxMs;
    const dispatcher = this.#dispatcher({
      name,
      options,
      inbox: await this.#openInbox(id, name, options, options.durability),
      ageMaxMs,
      isWanted: undefined,
      isStrict: true,
      assignment: "shared",
      originOf: (partition) => ({ name, partition }),
    });
    const states: DeliveryState[] = [];
    for (let level = 0; level < options.priorities; level += 1)
      states.push(await this.#openLevel(definition, level, dispatcher));
    dispatcher.setPaused(definition.isPaused === true);
    const expiry = this.#parts.expiries.of(id, ageMaxMs);
    const logs = states.map(({ log }) => log);
    const deduplication = await this.#openDeduplication(id, name, options, logs);
    return new Queue(definition, states, dispatcher, expiry, this.#parts.clock, deduplication);
  }

  /** A queue without priorities is one that has only their lowest level. */
  async #openLevel(
    { id, name, options }: QueueDefinition,
    level: number,
    dispatcher: Dispatcher,
  ): Promise<DeliveryState> {
    const logName = level === 0 ? `queue.${id}.${name}` : `queue.${id}.p${level}.${name}`;
    const log = await this.#openLog(logName, queueLogOptions(options));
    const state = this.#ownState(log, options.priorities > 1 ? level : undefined, dispatcher);
    await countBodyBytes(state);
    return state;
  }

  async openTopic(definition: TopicDefinition): Promise<Topic> {
    const { name, id } = definition;
    const options = { ...TOPIC_DEFAULTS, ...definition.options };
    const logOptions = topicLogOptions(options);
    const partitions: Log[] = [];
    for (let partition = 0; partition < options.partitions; partition += 1)
      partitions.push(await this.#openLog(`topic.${id}.${partition}.${name}`, logOptions));
    const expiry = this.#parts.expiries.of(id, undefined);
    const deduplication = await this.#openDeduplication(id, name, options, partitions);
    return new Topic(name, id, options, partitions, expiry, deduplication);
  }

  async openSubscription(stored: SubscriptionDefinition, topic: Topic): Promise<Subscription> {
    const definition = { ...stored, options: { ...SUBSCRIPTION_DEFAULTS, ...stored.options } };
    const { id, group, options } = definition;
    const filter = new SubjectFilter(options.subjects);
    const dispatcher = this.#dispatcher({
      name: `${topic.name}/${group}`,
      options,
      inbox: await this.#openInbox(id, group, options, topic.options.durability),
      ageMaxMs: undefined,
      isWanted: (record) => filter.passes(record, topic.name),
      isStrict: false,
      assignment: options.assignment,
      originOf: (partition) => ({ name: topic.name, partition }),
    });
    const states = topic.partitions.map((_log, partition) =>
      this.openSubscriptionState(definition, topic, partition, dispatcher),
    );
    dispatcher.setPaused(definition.isPaused === true);
    const subscription = new Subscription(definition, dispatcher, filter, states);
    if (this.#parts.store.hasLog(returnsName(subscription))) await this.openReturns(subscription, topic);
    return subscription;
  }

  /** How far a group is in one partition of its topic. */
  openSubscriptionState(
    definition: SubscriptionDefinition,
    topic: Topic,
    partition: number,
    dispatcher: Dispatcher,
  ): DeliveryState {
    const state = this.#state(
      new DeliveryState({
        name: subscriptionStateName(definition, partition),
        partition,
        log: topic.partitions[partition]!,
        ownsLog: false,
        startOffset: definition.startOffsets[partition] ?? 0,
        onFetched: dispatcher.fetched,
        onChanged: this.#parts.settlements.changed,
      }),
    );
    topic.expiry.watch(state, dispatcher);
    return state;
  }

  /** The log of messages that come back to one group alone. */
  async openReturns(subscription: Subscription, topic: Topic): Promise<void> {
    if (subscription.returns !== undefined) return;
    const { durability } = topic.options;
    const log = await this.#openLog(returnsName(subscription), { durability });
    subscription.addReturns(this.#ownState(log, undefined, subscription.dispatcher));
  }

  /** A state for which the log is there alone. */
  #ownState(log: Log, partition: number | undefined, dispatcher: Dispatcher): DeliveryState {
    return this.#state(
      new DeliveryState({
        name: log.name,
        partition,
        log,
        ownsLog: true,
        startOffset: 0,
        onFetched: dispatcher.fetched,
        onChanged: this.#parts.settlements.changed,
      }),
    );
  }

  #state(state: DeliveryState): DeliveryState {
    this.#parts.settlements.restore(state);
    return state;
  }

  /** Forgets the logs of what has that id, which is being deleted, and returns their names. */
  takeLogNames(id: number): readonly string[] {
    const names = this.#logNames.get(id) ?? [];
    this.#logNames.delete(id);
    return names;
  }

  async #openLog(wanted: string, options: LogOptions): Promise<Log> {
    const name = wanted.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, LOG_NAME_MAX);
    const log = await this.#parts.store.openLog(name, options);
    const id = Number(name.split(".")[1]);
    this.#logNames.set(id, [...(this.#logNames.get(id) ?? []), name]);
    return log;
  }

  async #openDeduplication(
    id: number,
    name: string,
    { durability, deduplicateMs, deduplicateIdsMax }: QueueOptions | TopicOptions,
    logs: readonly Log[],
  ): Promise<Deduplication | undefined> {
    if (deduplicateMs === 0) return undefined;
    const options = { windowMs: deduplicateMs, idsMax: deduplicateIdsMax };
    const ids = await this.#openIds(`ids.${id}.${name}`, options, durability);
    return new Deduplication(name, this.#parts.store, ids, logs);
  }

  async #openInbox(
    id: number,
    name: string,
    { inboxMs, inboxIdsMax }: QueueOptions | SubscriptionOptions,
    durability: Durability,
  ): Promise<Inbox | undefined> {
    if (inboxMs === 0) return undefined;
    const options = { windowMs: inboxMs, idsMax: inboxIdsMax };
    const ids = await this.#openIds(`inbox.${id}.${name}`, options, durability);
    return new Inbox(this.#parts.store, this.#parts.settlements, ids);
  }

  async #openIds(name: string, options: RecentIdsOptions, durability: Durability): Promise<RecentIds> {
    const log = await this.#openLog(name, RecentIds.logOptions(durability, options));
    return await RecentIds.open(log, this.#parts.clock, options);
  }

  #dispatcher({ originOf, options, ...purpose }: DispatcherPurpose): Dispatcher {
    const { clock, onError, deadLetters } = this.#parts;
    const { inFlightMax, attemptsMax, balance, singleActiveConsumer } = options;
    return new Dispatcher({
      ...purpose,
      clock,
      inFlightMax,
      attemptsMax,
      balance,
      singleActiveConsumer,
      moveToDeadLetters:
        options.deadLetter || options.deadLetterTo !== undefined
          ? (record, state, entry) =>
              deadLetters().bury(record, state, entry, originOf(state.partition), options)
          : undefined,
      onError,
    });
  }
}

/** A partition to which the group was moved has a state of its own each time, so that what was stored before is void. */
export function subscriptionStateName({ id, moves = [] }: SubscriptionDefinition, partition: number): string {
  const move = moves[partition] ?? 0;
  return `subscription.${id}.${partition}${move === 0 ? "" : `.${move}`}`;
}

function returnsName(subscription: Subscription): string {
  return `returns.${subscription.id}`;
}

function queueLogOptions({ durability }: QueueOptions): LogOptions {
  return durability === "memory" ? { durability, segmentBytes: MEMORY_SEGMENT_BYTES } : { durability };
}

function topicLogOptions(options: TopicOptions): LogOptions {
  const { durability, compact, retentionMs, retentionBytes, retentionCount } = options;
  const segmentBytes = Math.min(
    SEGMENT_BYTES_MAX,
    Math.max(SEGMENT_BYTES_MIN, Math.floor(retentionBytes / SEGMENTS_KEPT)),
  );
  return {
    durability,
    compact,
    segmentBytes,
    retention: {
      ...(retentionMs === UNLIMITED ? {} : { ageMs: retentionMs }),
      ...(retentionBytes === UNLIMITED ? {} : { bytes: retentionBytes }),
      ...(retentionCount === UNLIMITED ? {} : { count: retentionCount }),
    },
  };
}
