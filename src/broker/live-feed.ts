// Follows the ends of the topics' logs and offers what is new, and what is published live, to whoever looks on.

import { BrokerError, isBrokerError } from "../broker-error.js";
import type { Clock, Random } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import type { Followed } from "./live-catch-up.js";
import {
  CommittedMessage,
  type LiveReceiver,
  type MessageRun,
  subjectOf,
  UnstoredMessage,
} from "./live-message.js";
import { type Inbox, LiveRouter } from "./live-router.js";
import { LiveSubscription, type LiveSubscriptionOptions } from "./live-subscription.js";
import type { OutgoingMessage } from "./message.js";
import { RecordCursor } from "./record-cursor.js";
import type { Topic } from "./topic.js";

/** What a feed is built on. */
export interface LiveFeedParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly topics: () => Iterable<Topic>;
  readonly onError: (error: unknown, where: string) => void;
}

export class LiveFeed {
  readonly #parts: LiveFeedParts;
  readonly #router: LiveRouter;
  readonly #open = new Set<LiveSubscription>();
  /** Those that make publishers wait. */
  readonly #holding = new Set<LiveSubscription>();
  readonly #followed = new Map<Log, Followed>();
  #isClosed = false;

  constructor(parts: LiveFeedParts) {
    this.#parts = parts;
    this.#router = new LiveRouter(parts.random);
  }

  /** Whether anybody at all could get a live message. */
  get hasReceivers(): boolean {
    return this.#router.hasReceivers;
  }

  /** Hot: returns how many took it. Errors: INVALID_SUBJECT. */
  publish(message: OutgoingMessage): number {
    return this.#router.hasReceivers ? this.#router.offer(new UnstoredMessage(message)) : 0;
  }

  /** Hot: the same for messages that follow each other; returns how many took any of them. Errors: INVALID_SUBJECT. */
  publishRun(run: MessageRun): number {
    return this.#router.hasReceivers ? this.#router.offerRun(run) : 0;
  }

  /** Hot: whether somebody who makes publishers wait has no room for a message of this subject. Errors: INVALID_SUBJECT. */
  mustWait(subject: string): boolean {
    return this.#holding.size > 0 && this.#full(subject, undefined) !== undefined;
  }

  /**
   * Resolves when there is room for one message, which has to be published before the end of the turn. Errors:
   * INVALID_SUBJECT, TOO_MANY_PENDING when too many wait, CLOSED, the signal's reason.
   */
  async waitForRoom(subject: string, signal: AbortSignal | undefined): Promise<void> {
    let admittedTo: LiveSubscription | undefined;
    for (;;) {
      const full = this.#full(subject, admittedTo);
      if (full === undefined) return;
      await full.waitForRoom(signal);
      admittedTo = full;
    }
  }

  /** Offers what is committed and what is published live from now on. Errors: INVALID_SUBJECT, CLOSED. */
  add(pattern: string, receiver: LiveReceiver): void {
    this.#assertOpen();
    const isFirst = !this.#router.hasPatterns;
    this.#router.add(pattern, receiver);
    if (isFirst) for (const topic of this.#parts.topics()) this.#startAtEnd(topic);
  }

  /** Does nothing for a receiver that was not there. Errors: INVALID_SUBJECT. */
  remove(pattern: string, receiver: LiveReceiver): void {
    this.#router.remove(pattern, receiver);
    if (!this.#router.hasPatterns) this.#followed.clear();
  }

  /** See {@link LiveRouter.openInbox}. Errors: CLOSED. */
  openInbox(receiver: LiveReceiver): Inbox {
    this.#assertOpen();
    return this.#router.openInbox(receiver);
  }

  /** Sees what is committed and what is published live from now on. Errors: INVALID_SUBJECT, INVALID_OPTION, CLOSED. */
  subscribe(options: LiveSubscriptionOptions): LiveSubscription {
    const subscription = new LiveSubscription(options, this.#parts, this.#forget);
    this.add(options.pattern, subscription);
    this.#open.add(subscription);
    if (options.whenFull === "wait") this.#holding.add(subscription);
    return subscription;
  }

  /** Called for each topic when the broker opens or declares it. */
  addTopic(topic: Topic): void {
    topic.onCommit = (_topic, partition) => this.#follow(topic.partitions[partition]!);
    if (this.#router.hasPatterns) this.#startAtEnd(topic);
  }

  /** Called when a topic was deleted. */
  removeTopic({ partitions }: Topic): void {
    for (const log of partitions) this.#followed.delete(log);
  }

  /** Ends all subscriptions: what they have may still be taken. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of [...this.#open]) subscription.close();
  }

  #assertOpen(): void {
    if (this.#isClosed)
      throw new BrokerError("CLOSED", "The broker is closed; there is nothing to look on at.");
  }

  readonly #forget = (subscription: LiveSubscription): void => {
    this.#open.delete(subscription);
    this.#holding.delete(subscription);
    this.remove(subscription.options.pattern, subscription);
  };

  /** One that makes publishers of this subject wait, other than the one that keeps a place for who asks. */
  #full(subject: string, admittedTo: LiveSubscription | undefined): LiveSubscription | undefined {
    for (const receiver of this.#router.receiversOf(subject)) {
      if (receiver === admittedTo || !(receiver instanceof LiveSubscription)) continue;
      if (receiver.mustWait) return receiver;
    }
    return undefined;
  }

  /** Hot: called after each commit; returns at once while nobody looks on. It must not throw. */
  #follow(log: Log): void {
    const followed = this.#followed.get(log);
    if (followed === undefined) return;
    followed.next = Math.max(followed.next, log.logStartOffset);
    try {
      while (followed.next < log.highWatermark) {
        const record = followed.cursor.at(followed.next);
        if (record === undefined) return;
        followed.next = record.offset + 1;
        this.#offer(followed, record);
      }
    } catch (error) {
      this.#parts.onError(error, `following ${followed.topic.name}`);
      followed.next = log.highWatermark;
    }
  }

  /** Hot. */
  #offer(followed: Followed, record: StoredRecord): void {
    const subject = subjectOf(record, followed.topic.name);
    if (this.#router.hasRoute(subject)) this.#router.offer(new CommittedMessage(subject, followed, record));
  }

  #startAtEnd(topic: Topic): void {
    for (const [partition, log] of topic.partitions.entries()) {
      const fetched = (error: unknown): void => {
        const isExpected = isBrokerError(error, "OFFSET_OUT_OF_RANGE") || isBrokerError(error, "CLOSED");
        if (error === undefined || isBrokerError(error, "OFFSET_OUT_OF_RANGE")) this.#follow(log);
        if (error !== undefined && !isExpected) this.#parts.onError(error, `following ${topic.name}`);
      };
      const cursor = new RecordCursor(log, fetched);
      this.#followed.set(log, { topic, partition, log, next: log.highWatermark, cursor });
    }
  }
}
