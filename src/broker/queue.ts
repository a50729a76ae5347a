// A queue: each message goes to one consumer until it is settled. A log, a delivery state, and limits.

import { BrokerError } from "../broker-error.js";
import type { Log } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import { Appended } from "./appended.js";
import type { DeliveryState } from "./delivery-state.js";
import type { Dispatcher } from "./dispatcher.js";
import { assertBodySize, type QueueOptions, UNLIMITED } from "./limits.js";
import type { OutgoingMessage } from "./message.js";
import { readRecords } from "./read-records.js";

/** Messages that were taken and are not committed yet: one entry per batch. */
interface Uncommitted {
  readonly pending: PendingAppend;
  bodyBytes: number;
}

interface RoomWaiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** How many publishers may wait for room in one queue. */
const ROOM_WAITERS_MAX = 10_000;

export class Queue {
  readonly kind = "queue";
  readonly name: string;
  /** Unique for ever: part of the names of what is stored. */
  readonly id: number;
  readonly options: QueueOptions;
  readonly log: Log;
  readonly state: DeliveryState;
  readonly dispatcher: Dispatcher;
  /** The queue or `topic/group` whose dead letters this queue holds. */
  readonly deadLettersOf: string | undefined;
  /** Messages committed since the broker was opened. */
  published = 0;
  readonly #uncommitted: Uncommitted[] = [];
  readonly #waiters: RoomWaiter[] = [];
  readonly #isLimited: boolean;
  #committedBodyBytes: number;

  constructor(
    name: string,
    id: number,
    options: QueueOptions,
    state: DeliveryState,
    dispatcher: Dispatcher,
    deadLettersOf?: string,
  ) {
    this.name = name;
    this.id = id;
    this.options = options;
    this.log = state.log;
    this.state = state;
    this.dispatcher = dispatcher;
    this.deadLettersOf = deadLettersOf;
    this.#isLimited = options.countMax !== UNLIMITED || options.bytesMax !== UNLIMITED;
    this.#committedBodyBytes = estimateBodyBytes(state);
    this.log.onCommit = () => this.#committed();
    dispatcher.onSettled = () => this.#admitWaiters();
    dispatcher.states.push(state);
  }

  /** Messages that are not settled, those on their way to disk included. */
  get count(): number {
    let count = this.state.unsettledCount;
    for (const { pending } of this.#uncommitted)
      if (pending.state === "pending") count += pending.recordCount;
    return count;
  }

  /** Body bytes of messages that are not settled. After a restart an estimate until the queue was empty once. */
  get bodyBytes(): number {
    let bytes = this.#committedBodyBytes - this.state.settledBodyBytes;
    for (const entry of this.#uncommitted) if (entry.pending.state === "pending") bytes += entry.bodyBytes;
    return Math.max(0, bytes);
  }

  /** Whether the next message would be refused, or its publisher should wait. */
  get isFull(): boolean {
    if (!this.#isLimited) return false;
    return this.count >= this.options.countMax || this.bodyBytes >= this.options.bytesMax;
  }

  /** Whether publishers should {@link waitForRoom} before they append. */
  get mustWait(): boolean {
    return this.options.overflow === "wait" && (this.#waiters.length > 0 || this.isFull);
  }

  /**
   * Hot: takes the message into the batch that is being gathered.
   * Errors: MESSAGE_TOO_LARGE, QUEUE_FULL (overflow `reject`, or `wait` without {@link waitForRoom}), those of the log.
   */
  append(message: OutgoingMessage): Appended {
    const bodyBytes = this.assertAccepts(message);
    const pending = this.log.append(message.timestampMs, message.key, message.value, message.headers);
    const newest = this.#uncommitted.at(-1);
    if (newest?.pending === pending) newest.bodyBytes += bodyBytes;
    else this.#uncommitted.push({ pending, bodyBytes });
    return new Appended(this.name, undefined, pending);
  }

  /** Errors: MESSAGE_TOO_LARGE, QUEUE_FULL, when {@link append} would refuse the message. */
  assertAccepts(message: OutgoingMessage): number {
    const bodyBytes = assertBodySize(`queue ${this.name}`, message.value, this.options.messageBytesMax);
    if (this.#isLimited && (this.options.overflow === "reject" || this.options.overflow === "wait"))
      this.#assertRoom();
    return bodyBytes;
  }

  /** Resolves when there may be room. Errors: TOO_MANY_PENDING when too many wait, CLOSED, or the signal's reason. */
  waitForRoom(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#waiters.length >= ROOM_WAITERS_MAX) {
      throw new BrokerError(
        "TOO_MANY_PENDING",
        `${ROOM_WAITERS_MAX} publishers wait for room in queue ${this.name} already. Await each publish, or add consumers.`,
        { queue: this.name },
      );
    }
    return new Promise((resolve, reject) => {
      const waiter: RoomWaiter = { resolve, reject };
      this.#waiters.push(waiter);
      signal?.addEventListener("abort", () => this.#giveUp(waiter, signal.reason), { once: true });
    });
  }

  get source(): Dispatcher {
    return this.dispatcher;
  }

  /** Messages that are not settled, oldest first, without consuming them. */
  async *browse(): AsyncGenerator<StoredRecord> {
    for (const [start, end] of this.state.unsettledRanges()) yield* readRecords(this.log, start, end);
  }

  /** Removes everything that is not in flight and returns how many messages that were. */
  purge(): number {
    const purged = this.state.purge();
    this.dispatcher.counters.dropped += purged;
    this.#committedBodyBytes = this.state.settledBodyBytes;
    this.#admitWaiters();
    return purged;
  }

  close(): void {
    for (const waiter of this.#waiters.splice(0)) {
      waiter.reject(
        new BrokerError("CLOSED", `Queue ${this.name} was closed while a publisher waited for room.`, {
          queue: this.name,
        }),
      );
    }
  }

  #assertRoom(): void {
    if (!this.isFull) return;
    throw new BrokerError(
      "QUEUE_FULL",
      `Queue ${this.name} is full: ${this.count} messages (limit ${shown(this.options.countMax)}) with ${this.bodyBytes} bytes (limit ${shown(this.options.bytesMax)}). Add consumers, raise its limits, or choose another overflow policy.`,
      { queue: this.name, count: this.count, bytes: this.bodyBytes },
    );
  }

  #committed(): void {
    while (this.#uncommitted.length > 0 && this.#uncommitted[0]!.pending.state !== "pending") {
      const { pending, bodyBytes } = this.#uncommitted.shift()!;
      if (pending.state !== "committed") continue;
      this.published += pending.recordCount;
      this.#committedBodyBytes += bodyBytes;
    }
    if (this.#isLimited) this.#dropExcess();
    this.dispatcher.wake();
  }

  /** Those policies that remove messages do so once the new ones are safe. */
  #dropExcess(): void {
    const { overflow, countMax, bytesMax } = this.options;
    if (overflow !== "drop-oldest" && overflow !== "dead-letter-oldest") return;
    while (this.state.unsettledCount - this.dispatcher.burying > countMax || this.bodyBytes > bytesMax) {
      if (!this.dispatcher.dropOldest(overflow === "dead-letter-oldest")) return;
    }
  }

  #admitWaiters(): void {
    if (this.state.unsettledCount === 0) this.#committedBodyBytes = this.state.settledBodyBytes;
    if (this.#waiters.length === 0 || this.isFull) return;
    const room = Math.max(1, this.options.countMax - this.count);
    for (const waiter of this.#waiters.splice(0, room)) waiter.resolve();
  }

  #giveUp(waiter: RoomWaiter, reason: unknown): void {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return;
    this.#waiters.splice(index, 1);
    waiter.reject(reason);
  }
}

function shown(limit: number): string {
  return limit === UNLIMITED ? "none" : String(limit);
}

function estimateBodyBytes(state: DeliveryState): number {
  const { log } = state;
  return log.recordCount === 0 ? 0 : Math.round((log.sizeBytes * state.unsettledCount) / log.recordCount);
}
