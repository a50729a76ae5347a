// Seeing messages as they are committed, without a cursor that is kept: for looking on, not for work.

import { BrokerError, isBrokerError } from "../broker-error.js";
import { PatternTrie } from "../collections/pattern-trie.js";
import { Ring } from "../collections/ring.js";
import type { Log } from "../log/log.js";
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
  /** Of those who wait in {@link take}. */
  readonly #wakeTakers = new Set<() => void>();
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
    this.#wakeAll();
  }

  /** Called by the feed for each message that matches. */
  offer(message: LiveMessage): void {
    if (this.#buffer.size >= this.options.bufferMax && !this.#makeRoom()) return;
    this.#buffer.push(message);
    if (this.#wakeTakers.size > 0) this.#wakeAll();
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

  #wakeAll(): void {
    for (const wake of [...this.#wakeTakers]) wake();
  }

  #arrival(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener("abort", wake);
        this.#wakeTakers.delete(wake);
        resolve();
      };
      this.#wakeTakers.add(wake);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}

/** Follows the ends of the topics' logs and hands what is new to the live subscriptions that it matches. */
export class LiveFeed {
  readonly #subscriptions = new PatternTrie<LiveSubscription>();
  readonly #open = new Set<LiveSubscription>();
  readonly #positions = new Map<Log, Position>();
  readonly #onError: (error: unknown, where: string) => void;
  #isClosed = false;

  constructor(onError: (error: unknown, where: string) => void) {
    this.#onError = onError;
  }

  /** Sees what is committed from now on. Errors: INVALID_SUBJECT, INVALID_OPTION, CLOSED. */
  subscribe(options: LiveSubscriptionOptions, topics: Iterable<Topic>): LiveSubscription {
    assertOptions(options);
    const pattern = parsePattern(options.pattern);
    if (this.#isClosed)
      throw new BrokerError("CLOSED", "The broker is closed; there is nothing to look on at.");
    if (this.#open.size === 0) for (const topic of topics) this.#startAtEnd(topic);
    const subscription = new LiveSubscription(options, (closed) => {
      this.#subscriptions.remove(pattern, closed);
      this.#open.delete(closed);
      if (this.#open.size === 0) this.#positions.clear();
    });
    this.#subscriptions.add(pattern, subscription);
    this.#open.add(subscription);
    return subscription;
  }

  /** Called for each topic when the broker opens or declares it, while somebody may be subscribed. */
  add(topic: Topic): void {
    topic.onCommit = (_topic, partition) => this.#follow(topic, partition);
    if (this.#open.size > 0) this.#startAtEnd(topic);
  }

  /** Ends all subscriptions: what they have may still be taken. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of [...this.#open]) subscription.close();
  }

  /** Hot: called after each commit; returns at once while nobody looks on. It must not throw. */
  #follow(topic: Topic, partition: number): void {
    const log = topic.partitions[partition]!;
    const position = this.#positions.get(log);
    if (position === undefined) return;
    position.next = Math.max(position.next, log.logStartOffset);
    try {
      while (position.next < log.highWatermark) {
        const record = position.cursor.at(position.next);
        if (record === undefined) return;
        position.next = record.offset + 1;
        this.#offer({ source: topic.name, partition, record });
      }
    } catch (error) {
      this.#onError(error, `following ${topic.name}`);
      position.next = log.highWatermark;
    }
  }

  #offer(message: LiveMessage): void {
    const subject = message.record.header(SUBJECT_HEADER)?.toString("utf8") ?? message.source;
    const levels = levelsOf(subject);
    if (levels === undefined) return;
    for (const subscription of this.#subscriptions.match(levels)) subscription.offer(message);
  }

  #startAtEnd(topic: Topic): void {
    for (const [partition, log] of topic.partitions.entries()) {
      const fetched = (error: unknown): void => {
        const isExpected = isBrokerError(error, "OFFSET_OUT_OF_RANGE") || isBrokerError(error, "CLOSED");
        if (error === undefined || isBrokerError(error, "OFFSET_OUT_OF_RANGE"))
          this.#follow(topic, partition);
        if (error !== undefined && !isExpected) this.#onError(error, `following ${topic.name}`);
      };
      this.#positions.set(log, { next: log.highWatermark, cursor: new RecordCursor(log, fetched) });
    }
  }
}

/** How far a partition was followed. */
interface Position {
  next: number;
  readonly cursor: RecordCursor;
}

const FULL_POLICIES: readonly string[] = ["drop-newest", "drop-oldest", "disconnect"] satisfies FullPolicy[];

function assertOptions({ bufferMax, whenFull }: LiveSubscriptionOptions): void {
  if (!(Number.isInteger(bufferMax) && bufferMax >= 1)) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The option buffer of a live subscription is ${bufferMax}; give a whole number of at least 1.`,
      { option: "buffer", value: String(bufferMax) },
    );
  }
  if (!FULL_POLICIES.includes(whenFull)) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The option whenFull of a live subscription is ${String(whenFull)}; give one of ${FULL_POLICIES.join(", ")}.`,
      { option: "whenFull", value: String(whenFull) },
    );
  }
}

/** Undefined for what was stored under a subject that is none: no pattern matches it. */
function levelsOf(subject: string): string[] | undefined {
  try {
    return parseSubject(subject);
  } catch (error) {
    if (isBrokerError(error, "INVALID_SUBJECT")) return undefined;
    throw error;
  }
}
