// A topic: messages kept for a while and read by any number of subscriptions. One log per partition.

import { BrokerError } from "../broker-error.js";
import { partitionOf } from "../bytes/murmur2.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { Appended } from "./appended.js";
import type { Deduplication } from "./deduplication.js";
import type { Dispatcher } from "./dispatcher.js";
import { assertBodySize, type TopicOptions } from "./limits.js";
import type { OutgoingMessage } from "./message.js";
import { readRecords } from "./read-records.js";
import type { SourceExpiry } from "./source-expiry.js";
import type { Subscription } from "./subscription.js";

export class Topic {
  readonly kind = "topic";
  readonly name: string;
  /** Unique for ever: part of the names of what is stored. */
  readonly id: number;
  readonly options: TopicOptions;
  readonly partitions: readonly Log[];
  readonly expiry: SourceExpiry;
  /** Finds publishes with an id that was published before. */
  readonly deduplication: Deduplication | undefined;
  readonly subscriptions = new Map<string, Subscription>();
  /** Whether it was deleted, or is being. It takes nothing any more. */
  isDeleted = false;
  /** Runs after records of a partition became readable. */
  onCommit: ((topic: Topic, partition: number) => void) | undefined = undefined;
  /** Of the groups that have consumers: a commit looks at these only, however many groups there are. */
  readonly #consuming = new Set<Dispatcher>();
  /** Where each partition began at its last commit. */
  readonly #startOffsets: number[];
  /** Messages without a key go to one partition until its batch is committed, then to the next. */
  #nextKeyless = 0;

  constructor(
    name: string,
    id: number,
    options: TopicOptions,
    partitions: readonly Log[],
    expiry: SourceExpiry,
    deduplication: Deduplication | undefined,
  ) {
    this.name = name;
    this.id = id;
    this.options = options;
    this.partitions = partitions;
    this.expiry = expiry;
    this.deduplication = deduplication;
    this.#startOffsets = partitions.map(() => 0);
    for (const [partition, log] of partitions.entries()) log.onCommit = () => this.#committed(partition);
  }

  /**
   * Hot: takes the message into the batch that is being gathered. Equal keys go to the same partition.
   * Errors: MESSAGE_TOO_LARGE, those of the log.
   */
  append(message: OutgoingMessage): Appended {
    const { deduplication } = this;
    if (deduplication === undefined || message.id === undefined) return this.#take(message);
    return deduplication.append(message, (one) => this.#take(one));
  }

  /** What a message with that id got that was published before; undefined when none was, or nobody asks. */
  firstOf(id: string): Appended | undefined {
    return this.deduplication?.firstOf(id);
  }

  addSubscription(subscription: Subscription): void {
    const { dispatcher } = subscription;
    this.subscriptions.set(subscription.group, subscription);
    dispatcher.onConsumersChanged = () => {
      if (dispatcher.hasConsumers) this.#consuming.add(dispatcher);
      else this.#consuming.delete(dispatcher);
    };
  }

  #take(message: OutgoingMessage): Appended {
    if (message.expiresAtMs !== 0 && !this.expiry.hasOwnTimes)
      return this.expiry.begin(() => this.#take(message));
    this.assertAccepts(message);
    const partition = this.#partitionFor(message.key);
    const log = this.partitions[partition]!;
    return new Appended(
      this.name,
      partition,
      log.append(message.timestampMs, message.key, message.value, message.headers),
    );
  }

  /** Of the ids that it, and its groups, remember. */
  get idLogs(): Log[] {
    const inboxes = [...this.subscriptions.values()].map(({ dispatcher }) => dispatcher.inbox);
    return [this.deduplication, ...inboxes].flatMap((remembering) => remembering?.ids.log ?? []);
  }

  get partitionCount(): number {
    return this.partitions.length;
  }

  /** Messages of a partition from an offset or a time up to what is readable now. Errors: OFFSET_OUT_OF_RANGE, LOG_CORRUPT. */
  async *read(
    partition: number,
    from: { offset: number } | { timestampMs: number },
  ): AsyncGenerator<StoredRecord> {
    const log = this.partitions[partition];
    if (log === undefined)
      throw new BrokerError(
        "OFFSET_OUT_OF_RANGE",
        `Topic ${this.name} has no partition ${partition}; it has ${this.partitions.length}, counted from 0.`,
        { partition },
      );
    const start =
      "offset" in from ? Math.max(from.offset, log.logStartOffset) : await log.offsetAtTime(from.timestampMs);
    if (start !== undefined) yield* readRecords(log, start, log.highWatermark);
  }

  /** The groups that are for this subject, have a consumer and are not paused. */
  groupsConsuming(subject: string): string[] {
    const consuming: string[] = [];
    for (const { group, filter, dispatcher } of this.subscriptions.values())
      if (dispatcher.hasConsumers && !dispatcher.isPaused && filter.matches(subject)) consuming.push(group);
    return consuming;
  }

  /** Errors: MESSAGE_TOO_LARGE, TOPIC_NOT_FOUND when it was deleted. */
  assertAccepts(message: OutgoingMessage): void {
    if (this.isDeleted)
      throw new BrokerError("TOPIC_NOT_FOUND", `Topic ${this.name} was deleted. Declare it again.`, {
        topic: this.name,
      });
    assertBodySize(`topic ${this.name}`, message.value, this.options.messageBytesMax);
  }

  #partitionFor(key: string | Uint8Array | null): number {
    if (this.partitions.length === 1) return 0;
    return key === null ? this.#nextKeyless : partitionOf(key, this.partitions.length);
  }

  #committed(partition: number): void {
    this.#nextKeyless = (this.#nextKeyless + 1) % this.partitions.length;
    const start = this.partitions[partition]!.logStartOffset;
    this.expiry.committed(this.partitions[partition]!);
    if (start > this.#startOffsets[partition]!) {
      this.#startOffsets[partition] = start;
      for (const { dispatcher } of this.subscriptions.values()) dispatcher.states[partition]!.skipRemoved();
    }
    for (const dispatcher of this.#consuming) dispatcher.wake();
    this.onCommit?.(this, partition);
  }
}
