// Seeing messages as they are committed, without a cursor that is kept: for looking on, not for work.

import { BrokerError } from "../broker-error.js";
import { PatternTrie } from "../collections/pattern-trie.js";
import { Ring } from "../collections/ring.js";
import type { StoredRecord } from "../log/record.js";
import { SUBJECT_HEADER } from "./message.js";
import { RecordCursor } from "./record-cursor.js";
import { parsePattern, parseSubject } from "./subject.js";
import type { Topic } from "./topic.js";

/** What happens to a message that a live subscription has no room for. */
export type FullPolicy = "drop-newest" | "drop-oldest" | "disconnect";

export interface LiveSubscriptionOptions {
  readonly pattern: string;
  /** Messages that may wait to be taken. */
  readonly bufferMax: number;
  readonly whenFull: FullPolicy;
}

/** A message that a live subscription saw. */
export interface LiveMessage {
  /** The topic's name. */
  readonly source: string;
  readonly partition: number;
  readonly record: StoredRecord;
}

export class LiveSubscription {
  readonly options: LiveSubscriptionOptions;
  /** Messages that were not taken in time. */
  dropped = 0;
  readonly #buffer = new Ring<LiveMessage>();
  readonly #onClose: (subscription: LiveSubscription) => void;
  #wakeTaker: (() => void) | undefined = undefined;
  #isClosed = false;
  #error: BrokerError | undefined = undefined;

  constructor(options: LiveSubscriptionOptions, onClose: (subscription: LiveSubscription) => void) {
    this.options = options;
    this.#onClose = onClose;
  }

  /** The next message, or undefined after {@link close}. Errors: SLOW_SUBSCRIBER once it was disconnected, the signal's reason. */
  async take(signal?: AbortSignal): Promise<LiveMessage | undefined> {
    for (;;) {
      signal?.throwIfAborted();
      const message = this.#buffer.shift();
      if (message !== undefined) return message;
      if (this.#error !== undefined) throw this.#error;
      if (this.#isClosed) return undefined;
      await this.#arrival(signal);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose(this);
    this.#wakeTaker?.();
  }

  /** Called by the feed for each message that matches. */
  offer(message: LiveMessage): void {
    if (this.#buffer.size >= this.options.bufferMax && !this.#makeRoom()) return;
    this.#buffer.push(message);
    this.#wakeTaker?.();
  }

  #makeRoom(): boolean {
    this.dropped += 1;
    if (this.options.whenFull === "drop-newest") return false;
    if (this.options.whenFull === "drop-oldest") {
      this.#buffer.shift();
      return true;
    }
    this.#error = new BrokerError(
      "SLOW_SUBSCRIBER",
      `The live subscription to ${this.options.pattern} was disconnected: ${this.options.bufferMax} messages waited to be taken. Take them faster, enlarge its buffer, or let it drop messages.`,
      { pattern: this.options.pattern, bufferMax: this.options.bufferMax },
    );
    this.close();
    return false;
  }

  #arrival(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener("abort", wake);
        this.#wakeTaker = undefined;
        resolve();
      };
      this.#wakeTaker = wake;
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}

/** Follows the ends of the topics' logs and hands what is new to the live subscriptions that it matches. */
export class LiveFeed {
  readonly #subscriptions = new PatternTrie<LiveSubscription>();
  readonly #positions = new Map<string, { next: number; cursor: RecordCursor }>();
  readonly #onError: (error: unknown, where: string) => void;

  constructor(onError: (error: unknown, where: string) => void) {
    this.#onError = onError;
  }

  /** Sees what is committed from now on. Errors: INVALID_SUBJECT, INVALID_OPTION. */
  subscribe(options: LiveSubscriptionOptions, topics: Iterable<Topic>): LiveSubscription {
    if (!(options.bufferMax >= 1)) {
      throw new BrokerError(
        "INVALID_OPTION",
        `The option buffer of a live subscription is ${options.bufferMax}; give a whole number of at least 1.`,
      );
    }
    const pattern = parsePattern(options.pattern);
    if (this.#subscriptions.size === 0) for (const topic of topics) this.#startAtEnd(topic);
    const subscription = new LiveSubscription(options, (closed) =>
      this.#subscriptions.remove(pattern, closed),
    );
    this.#subscriptions.add(pattern, subscription);
    return subscription;
  }

  /** Called for each topic when the broker opens or declares it, while somebody may be subscribed. */
  add(topic: Topic): void {
    topic.onCommit = (_topic, partition) => this.#committed(topic, partition);
    if (this.#subscriptions.size > 0) this.#startAtEnd(topic);
  }

  /** Hot: called after each commit; returns at once while nobody looks on. */
  #committed(topic: Topic, partition: number): void {
    if (this.#subscriptions.size === 0) return;
    const log = topic.partitions[partition]!;
    const position = this.#positions.get(log.name);
    if (position === undefined) return;
    position.next = Math.max(position.next, log.logStartOffset);
    while (position.next < log.highWatermark) {
      const record = position.cursor.at(position.next);
      if (record === undefined) return;
      position.next = record.offset + 1;
      this.#offer({ source: topic.name, partition, record });
    }
  }

  #offer(message: LiveMessage): void {
    const subject = message.record.header(SUBJECT_HEADER)?.toString("utf8") ?? message.source;
    for (const subscription of this.#subscriptions.match(parseSubject(subject))) subscription.offer(message);
  }

  #startAtEnd(topic: Topic): void {
    for (const [partition, log] of topic.partitions.entries()) {
      const fetched = (error: unknown): void => {
        if (error === undefined) this.#committed(topic, partition);
        else this.#onError(error, `following ${topic.name}`);
      };
      this.#positions.set(log.name, { next: log.highWatermark, cursor: new RecordCursor(log, fetched) });
    }
  }
}
