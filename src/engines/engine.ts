// The port between the bus and what carries its messages. The embedded engine is the reference; an engine on a
// distributed broker implements the same with that broker's client.

import type { Binding, ExchangeOptions } from "../broker/binding.js";
import type { DeadLetterEntry, DeadLetterReason } from "../broker/dead-letter.js";
import type { NackOptions } from "../broker/delivery.js";
import type { Forward } from "../broker/forwards.js";
import type { QueueOptions, SubscriptionOptions, TopicOptions } from "../broker/limits.js";
import type { LiveSubscriptionOptions } from "../broker/live-subscription.js";
import type { OutgoingMessage } from "../broker/message.js";
import type { MessageStatus } from "../broker/message-status.js";
import type { SeekPosition } from "../broker/positions.js";
import type { DeleteConditions } from "../broker/removal.js";
import type { ScheduleOptions, ScheduleStatistics } from "../broker/schedule.js";
import type { BrokerStatistics } from "../broker/statistics.js";
import type { BrokerError } from "../broker-error.js";
import type { Clock, Random } from "../io/io.js";

/** What an engine can do. The type flows into the bus, so that asking for what it cannot do does not compile. */
export interface Capabilities {
  /** Holding a message back until a time. */
  readonly delay: boolean;
  /** Ending a message's life at a time. */
  readonly expiry: boolean;
  /** One message at a time of each key, others in parallel. */
  readonly orderByKey: boolean;
  /** Looking on without a durable cursor. */
  readonly live: boolean;
  /** Reading messages without consuming them. */
  readonly browse: boolean;
  /** Exchanges beside the bus itself. */
  readonly exchanges: boolean;
  /** Queues that hand out urgent messages first. */
  readonly priorities: boolean;
  /** One consumer that gets everything while others stand by. */
  readonly singleActiveConsumer: boolean;
  /** Consumers that come before others. */
  readonly consumerPriority: boolean;
  /** Choosing the consumer by how much it has to do, or by the key. */
  readonly balance: boolean;
  /** Groups of which each member has partitions of its own. */
  readonly assignment: boolean;
  /** Finding messages with an id that was sent, or handled, before. */
  readonly deduplication: boolean;
  /** Settling messages and handing others over as one: all of it or nothing. */
  readonly transactions: boolean;
  /** Holding back, durably, what a queue or group would hand out. */
  readonly pause: boolean;
  /** Moving a group forward and back, and beginning one at any place. */
  readonly replay: boolean;
  /** Queues that go by themselves: unused, left by their consumers, or with the bus that declared them. */
  readonly temporaryQueues: boolean;
  /** Sending messages again and again, by cron expressions and intervals. */
  readonly schedules: boolean;
  /** Moving the messages of a queue on to an exchange by itself. */
  readonly forwards: boolean;
  /** Keeping the last message of a subject for those who come later. */
  readonly retained: boolean;
}

/** How an engine is opened; made by `embedded(...)` and its like. */
export interface EngineFactory<C extends Capabilities = Capabilities> {
  /** `onError` hears of what cannot be told to any caller. */
  open(onError: (error: unknown, where: string) => void): Promise<Engine<C>>;
}

export interface Engine<C extends Capabilities = Capabilities> {
  readonly name: string;
  readonly capabilities: C;
  readonly clock: Clock;
  readonly random: Random;
  /** Opened for looking only: the bus refuses whatever would change something. */
  readonly isReadOnly: boolean;
  readonly broker: EngineBroker;
}

/** What the bus asks of an engine. The embedded engine's broker is one as it is. */
export interface EngineBroker {
  readonly queues: Iterable<EngineQueue>;
  readonly topics: Iterable<EngineTopic>;
  readonly exchanges: Iterable<EngineExchange>;
  readonly bindings: readonly Binding[];
  readonly forwards: readonly Forward[];
  readonly deadLetters: EngineDeadLetters;
  readonly schedules: EngineSchedules;
  readonly live: EngineLiveFeed;
  readonly retained: EngineRetained;
  /** Whether no consumer has, or could be given, anything now. */
  readonly isIdle: boolean;
  queue(name: string): EngineQueue | undefined;
  topic(name: string): EngineTopic | undefined;
  /** Makes it, durably, or finds it. Errors: INVALID_NAME, INVALID_OPTION, QUEUE_MISMATCH. */
  declareQueue(name: string, options?: Partial<QueueOptions>, session?: EngineSession): Promise<EngineQueue>;
  declareTopic(name: string, options?: Partial<TopicOptions>): Promise<EngineTopic>;
  declareSubscription(
    topic: string,
    group: string,
    options?: Partial<SubscriptionOptions>,
  ): Promise<EngineSubscription>;
  /** Whose exclusive queues are deleted with it. */
  openSession(name: string): EngineSession;
  /** These return whether it was there. Errors: QUEUE_NOT_EMPTY, QUEUE_IN_USE, QUEUE_EXCLUSIVE, those of storage. */
  deleteQueue(name: string, conditions?: DeleteConditions, session?: EngineSession): Promise<boolean>;
  deleteTopic(name: string): Promise<boolean>;
  deleteSubscription(topic: string, group: string): Promise<boolean>;
  /** Hands nothing out, durably, until it is resumed. Errors: QUEUE_NOT_FOUND, QUEUE_EXCLUSIVE. */
  pauseQueue(name: string, session?: EngineSession): Promise<void>;
  resumeQueue(name: string, session?: EngineSession): Promise<void>;
  /** Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
  pauseSubscription(topic: string, group: string): Promise<void>;
  resumeSubscription(topic: string, group: string): Promise<void>;
  /** Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, INVALID_OPTION, OFFSET_OUT_OF_RANGE. */
  seekSubscription(topic: string, group: string, to: SeekPosition): Promise<void>;
  /** Returns whether the group had asked for the subject. Errors: as {@link seekSubscription}. */
  unsubscribe(topic: string, group: string, subject: string): Promise<boolean>;
  /** See {@link declareQueue}. Errors: INVALID_NAME, INVALID_OPTION, EXCHANGE_MISMATCH, EXCHANGE_NOT_FOUND. */
  declareExchange(name: string, options?: Partial<ExchangeOptions>): Promise<EngineExchange>;
  deleteExchange(name: string): Promise<void>;
  /** Leads what is published to an exchange, or to the bus itself, to a queue, a topic or an exchange, durably. */
  bind(binding: Binding): Promise<void>;
  unbind(binding: Binding): Promise<void>;
  /** Moves every message of a queue on to an exchange, durably. Errors: QUEUE_NOT_FOUND, EXCHANGE_NOT_FOUND, FORWARD_MISMATCH. */
  declareForward(forward: Forward): Promise<void>;
  removeForward(queue: string): Promise<void>;
  /** Hands the message to everything that the exchange, or the bus itself, leads it to, topics first; to nothing when that is nothing. */
  publish(message: OutgoingMessage, exchange?: string): EngineAppended[];
  /** What `action` hands over before it returns, however, is taken as one: all of it, or nothing when it throws. */
  atomically(action: () => void): void;
  /** Hands the message to whoever looks on, and stores it nowhere; returns how many took it. Its bytes stay as they are. */
  publishLive(message: OutgoingMessage): number;
  /**
   * Acknowledges `deliveries` and takes what `append` hands over as one. Throws at once, with nothing done: LEASE_LOST,
   * what `append` throws. Resolves when all of it is committed; when it rejects, nothing of it is there and the
   * deliveries are leased anew.
   */
  commit(deliveries: readonly EngineDelivery[], append: () => readonly EngineAppended[]): Promise<void>;
  subscribeLive(options: LiveSubscriptionOptions): EngineLive;
  statistics(): BrokerStatistics;
  /** Resolves when everything that was accepted or settled before is stored. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export type EngineScheduleStatistics = ScheduleStatistics;

/** What is sent again and again. Errors, beside those of storage: SCHEDULE_NOT_FOUND. */
export interface EngineSchedules extends Iterable<EngineScheduleStatistics> {
  /** Makes it, durably, or finds it. Errors: INVALID_NAME, INVALID_OPTION, SCHEDULE_MISMATCH. */
  declare(name: string, options: ScheduleOptions): Promise<EngineScheduleStatistics>;
  pause(name: string): Promise<void>;
  resume(name: string): Promise<void>;
  /** Returns whether it was there. */
  remove(name: string): Promise<boolean>;
}

/** A message on its way to being durable. */
export interface EngineAppended {
  readonly destination: string;
  /** Of the topic; of a queue with priorities, the level; undefined for any other queue. */
  readonly partition: number | undefined;
  /** When the message was first sent, if one with its id had been taken before: then nothing was stored for this one. */
  readonly firstSentMs: number | undefined;
  readonly committed: Promise<void>;
  /** Known once committed. */
  readonly offset: number;
}

export interface EngineSession {
  readonly name: string;
}

export interface EngineQueue {
  readonly name: string;
  /** It takes nothing any more: it has to be declared again. */
  readonly isDeleted: boolean;
  readonly source: EngineSource;
  /** Whether publishers wait when it is full. */
  readonly makesWait: boolean;
  /** Whether {@link waitForRoom} comes before {@link append}. */
  readonly mustWait: boolean;
  waitForRoom(signal?: AbortSignal): Promise<void>;
  append(message: OutgoingMessage): EngineAppended;
  /** Messages that are not settled, or all that are stored, from the oldest, without consuming them. */
  browse(isAll?: boolean): AsyncIterable<EngineSeenMessage>;
  purge(): number;
}

export interface EngineTopic {
  readonly name: string;
  /** It takes nothing any more: it has to be declared again. */
  readonly isDeleted: boolean;
  readonly partitionCount: number;
  /** The groups that are for this subject, have a consumer and are not paused. Errors: INVALID_SUBJECT. */
  groupsConsuming(subject: string): string[];
  append(message: OutgoingMessage): EngineAppended;
  /** From an offset, a time, or the first message kept, up to what is readable now. */
  read(partition: number, from: { offset: number } | { timestampMs: number }): AsyncIterable<EngineRecord>;
}

export interface EngineExchange {
  readonly name: string;
  readonly isDeleted: boolean;
  readonly options: ExchangeOptions;
}

export interface EngineSubscription {
  readonly source: EngineSource;
  /** Messages that it has not settled, or all that are stored and that it is for, without consuming them. */
  browse(isAll?: boolean): AsyncIterable<EngineSeenMessage>;
  /** Passes over everything that is not in flight and returns how many messages that were. */
  purge(): number;
}

/** What messages are consumed from: a queue, or one group's subscription. */
export interface EngineSource {
  readonly name: string;
  readonly attemptsMax: number;
  readonly hasConsumers: boolean;
  /** Whether nothing is handed out for now. */
  readonly isPaused: boolean;
  orderByKey(): void;
  addConsumer(options: EngineConsumerOptions): EngineConsumer;
}

export interface EngineConsumerOptions {
  readonly name: string;
  readonly prefetch: number;
  /** Bytes of bodies before it gets no more; one message it gets in any case. @default no limit */
  readonly prefetchBytes?: number;
  readonly leaseMs: number;
  readonly attemptsMax: number;
  /** Whether it says with {@link EngineDelivery.begin} when it starts on a message. Until then a crash is no try of it. @default false */
  readonly startsExplicitly?: boolean;
  /** Consumers with less get messages only while none of those with more takes any. @default 0 */
  readonly priority?: number;
  /** Hears of partitions that it has from now on, where each has one consumer. */
  readonly onAssigned?: ((partitions: readonly number[]) => void) | undefined;
  /** Hears of partitions that it has no longer. */
  readonly onRevoked?: ((partitions: readonly number[]) => void) | undefined;
  /** Whether it takes what is there and goes. @default false */
  readonly isBrief?: boolean;
  /** Runs when what it consumes from was deleted, with why. What it had is lost to it. */
  readonly onEnded?: (reason: BrokerError) => void;
  readonly onDeliveries: (deliveries: EngineDelivery[]) => void;
}

export interface EngineConsumer {
  /** Messages that it has and that are not settled. */
  readonly inFlight: number;
  /** Whether a message could be handed to it now. */
  readonly hasReady: boolean;
  setPrefetch(prefetch: number, prefetchBytes?: number): void;
  setAttemptsMax(attemptsMax: number): void;
  /** Renews the leases of everything it holds. */
  renewAll(): void;
  /** Takes no more messages. */
  stop(): void;
  /** Gives back, untried, what is not settled. */
  close(): void;
}

export interface EngineDelivery {
  readonly record: EngineRecord;
  /** The first try is 1. */
  readonly attempt: number;
  /** Of the topic; of a queue with priorities, the level; undefined for any other queue. */
  readonly partition: number | undefined;
  readonly isLeased: boolean;
  /** What has become of the message by now. */
  readonly status: MessageStatus;
  onLeaseLost: (() => void) | undefined;
  /** Its consumer starts on the message. */
  begin(): void;
  /** Errors of all of these: LEASE_LOST. */
  ack(): void;
  nack(options: NackOptions): void;
  /** Gives the message back untried, to be handed out again after `delayMs`. @default 0 */
  release(delayMs?: number): void;
  deadLetter(reason: DeadLetterReason, error: string): Promise<void>;
  extend(leaseMs: number): void;
}

/** A message that was looked at. */
export interface EngineSeenMessage {
  readonly record: EngineRecord;
  /** See {@link EngineDelivery.partition}. */
  readonly partition: number | undefined;
  /** What has become of it by now. */
  readonly status: MessageStatus;
}

/** A message as an engine hands it over. Views live as long as it does. */
export interface EngineRecord {
  /** -1 when it is stored nowhere. */
  readonly offset: number;
  readonly timestampMs: number;
  readonly value: Buffer | null;
  valueText(): string;
  keyText(): string | null;
  header(name: string): Buffer | undefined;
  /** Hot: whether the header has this value; undefined when there is none. */
  headerEquals(name: Uint8Array, value: Uint8Array): boolean | undefined;
  headers(): readonly (readonly [name: string, value: Uint8Array | string | null])[];
}

/** What is published live and stored nowhere. */
export interface EngineLiveFeed {
  /** Whether anybody at all could get a live message. */
  readonly hasReceivers: boolean;
  /** Whether somebody who makes publishers wait has no room for a message of this subject. */
  mustWait(subject: string): boolean;
  waitForRoom(subject: string, signal: AbortSignal | undefined): Promise<void>;
  /** A private subject: what is published live to it, or below it, goes to the receiver alone. */
  openInbox(receiver: EngineLiveReceiver): { readonly subject: string; close(): void };
}

export interface EngineLiveReceiver {
  readonly group: string | undefined;
  /** Returns false when it did not take the message. It must not throw. */
  offer(message: EngineLiveMessage): boolean;
}

export interface EngineLiveMessage {
  readonly subject: string;
  /** The topic; undefined when it was published live. */
  readonly source: string | undefined;
  /** Of the topic; undefined when it was published live. */
  readonly partition: number | undefined;
  readonly record: EngineRecord;
}

/** The last messages of subjects for which they were to be kept. */
export interface EngineRetained {
  /** Has to come before {@link append}. */
  open(): Promise<void>;
  /** Undefined when an empty body found nothing to end. */
  append(message: OutgoingMessage): EngineAppended | undefined;
  /**
   * Those of this moment; `isFollowed` leaves out what is replaced after the call. Errors: INVALID_SUBJECT; while reading
   * those of storage.
   */
  read(pattern: string, isFollowed?: boolean): AsyncIterable<EngineLiveMessage>;
  clear(pattern: string): Promise<number>;
}

export interface EngineLive {
  readonly dropped: number;
  take(signal?: AbortSignal): Promise<EngineLiveMessage | undefined>;
  close(): void;
}

export interface EngineDeadLetter {
  readonly record: EngineRecord;
  /** All its deaths, the latest last. */
  readonly history: readonly DeadLetterEntry[];
}

export interface EngineDeadLetters {
  /** Those that are still there; of one source, or of all. */
  list(source?: string): AsyncIterable<EngineDeadLetter>;
  replay(letters: readonly EngineDeadLetter[]): Promise<number>;
  discard(letters: readonly EngineDeadLetter[]): Promise<number>;
}
