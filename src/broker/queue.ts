// A queue: each message goes to one consumer until it is settled. A log and a delivery state per level, and limits.

import { BrokerError } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import { Appended } from "./appended.js";
import type { QueueDefinition } from "./catalog.js";
import type { Deduplication } from "./deduplication.js";
import type { DeliveryState } from "./delivery-state.js";
import type { Dispatcher } from "./dispatcher.js";
import { assertBodySize, type QueueOptions, UNLIMITED } from "./limits.js";
import { type OutgoingMessage, priorityOf } from "./message.js";
import { look, type PlacedMessage, type SeenMessage } from "./message-status.js";
import { QueueLevel } from "./queue-level.js";
import { RoomWaiters } from "./room-waiters.js";
import type { Session } from "./session.js";
import type { SourceExpiry } from "./source-expiry.js";

export class Queue {
  readonly kind = "queue";
  readonly name: string;
  /** Unique for ever: part of the names of what is stored. */
  readonly id: number;
  readonly options: QueueOptions;
  /** One for each priority, the lowest first. */
  readonly states: readonly DeliveryState[];
  readonly dispatcher: Dispatcher;
  /** The queue or `topic/group` whose dead letters this queue holds. */
  readonly deadLettersOf: string | undefined;
  /** Finds publishes with an id that was published before. */
  readonly deduplication: Deduplication | undefined;
  /** Messages committed since the broker was opened, replayed dead letters included. */
  published = 0;
  /** Whether it was deleted, or is being. It takes nothing any more. */
  isDeleted = false;
  /** Who alone uses it, where it is exclusive. */
  session: Session | undefined = undefined;
  readonly #levels: readonly QueueLevel[];
  readonly #waiters: RoomWaiters;
  readonly #expiry: SourceExpiry;
  readonly #isLimited: boolean;
  /** Whether publishers are told or held up when the queue is full; else its oldest messages go. */
  readonly #refuses: boolean;

  constructor(
    definition: QueueDefinition,
    states: readonly DeliveryState[],
    dispatcher: Dispatcher,
    expiry: SourceExpiry,
    clock: Clock,
    deduplication: Deduplication | undefined,
  ) {
    const { name, id, options, deadLettersOf } = definition;
    this.name = name;
    this.id = id;
    this.options = options;
    this.states = states;
    this.#levels = states.map((state) => new QueueLevel(state, (count) => this.#committed(state, count)));
    this.dispatcher = dispatcher;
    this.deadLettersOf = deadLettersOf;
    this.deduplication = deduplication;
    this.#waiters = new RoomWaiters(`queue ${name}`, clock, (besides) => this.#hasRoom(besides));
    this.#isLimited = options.countMax !== UNLIMITED || options.bytesMax !== UNLIMITED;
    this.#refuses = options.overflow === "reject" || options.overflow === "wait";
    dispatcher.onEnded = (isSettled) => this.#ended(isSettled);
    dispatcher.onFetched = () => this.#dropExcess();
    this.#expiry = expiry;
    for (const state of states.toReversed()) {
      dispatcher.addState(state);
      expiry.watch(state, dispatcher);
    }
  }

  /** Messages that are not settled, those on their way to disk included. */
  get count(): number {
    const levels = this.#levels;
    let count = levels[0]!.count;
    for (let priority = 1; priority < levels.length; priority += 1) count += levels[priority]!.count;
    return count;
  }

  /** Committed messages that are not settled. */
  get unsettledCount(): number {
    let count = 0;
    for (const state of this.states) count += state.unsettledCount;
    return count;
  }

  /** Body bytes of the messages that are not settled, those on their way to disk included. */
  get bodyBytes(): number {
    const levels = this.#levels;
    let bytes = levels[0]!.bodyBytes;
    for (let priority = 1; priority < levels.length; priority += 1) bytes += levels[priority]!.bodyBytes;
    return bytes;
  }

  /** Whether the next message would be refused, or its publisher should wait. */
  get isFull(): boolean {
    return !this.#hasRoom(0);
  }

  /** Whether publishers wait when it is full. */
  get makesWait(): boolean {
    return this.options.overflow === "wait";
  }

  /** Whether publishers should {@link waitForRoom} before they append. */
  get mustWait(): boolean {
    return this.makesWait && this.#waiters.mustWait;
  }

  /**
   * Hot: takes the message into the batch that is being gathered.
   * Errors: MESSAGE_TOO_LARGE, QUEUE_FULL (overflow `reject`, or `wait` without {@link waitForRoom}), those of the log.
   */
  append(message: OutgoingMessage): Appended {
    const { deduplication } = this;
    if (deduplication === undefined || message.id === undefined) return this.#take(message);
    return deduplication.append(message, (one) => this.#take(one));
  }

  #take(message: OutgoingMessage): Appended {
    if (message.expiresAtMs !== 0 && !this.#expiry.hasOwnTimes)
      return this.#expiry.begin(() => this.#take(message));
    const bodyBytes = this.#assertTakes(message);
    const { timestampMs, key, value, headers } = message;
    const level = this.#levelOf(message.priority ?? 0);
    const pending = level.state.log.append(timestampMs, key, value, headers);
    this.#track(level, pending, bodyBytes);
    if (this.#waiters.arrive() && this.#waiters.size > 0) this.#waiters.admit();
    return new Appended(this.name, level.state.partition, pending);
  }

  /** Takes a replayed dead letter, however full the queue is. Errors: those of the log. */
  appendReturned(record: StoredRecord, timestampMs: number): PendingAppend {
    const level = this.#levelOf(priorityOf(record));
    const pending = level.state.log.append(timestampMs, record.key, record.value, record.headersEncoded());
    this.#track(level, pending, record.valueSizeBytes);
    return pending;
  }

  /** Errors: MESSAGE_TOO_LARGE, QUEUE_FULL, when {@link append} would refuse a message whose publisher has not waited. */
  assertAccepts(message: OutgoingMessage): void {
    if (message.id !== undefined && this.deduplication?.firstOf(message.id) !== undefined) return;
    if (this.mustWait) throw this.#full();
    this.#assertTakes(message);
  }

  /**
   * Resolves when there is room for one message, which has to be appended at once, before the end of the turn.
   * Errors: TOO_MANY_PENDING when too many wait, CLOSED, or the signal's reason.
   */
  waitForRoom(signal?: AbortSignal): Promise<void> {
    return this.#waiters.wait(signal);
  }

  /** Of the ids that it remembers. */
  get idLogs(): Log[] {
    return [this.deduplication?.ids.log, this.dispatcher.inbox?.ids.log].filter((log) => log !== undefined);
  }

  get source(): Dispatcher {
    return this.dispatcher;
  }

  /** Messages that are not settled, or all that are stored, without consuming them: the highest level first, oldest first within each. */
  async *browse(isAll = false): AsyncGenerator<SeenMessage> {
    for (const state of this.states.toReversed()) yield* look(state, isAll, this.dispatcher.holders);
  }

  /** Removes everything that is not in flight and returns how many messages that were. */
  purge(): number {
    const purged = this.states.reduce((sum, state) => sum + state.purge(), 0);
    this.dispatcher.counters.dropped += purged;
    this.#waiters.admit();
    this.dispatcher.wake();
    return purged;
  }

  /** Settles a message that is not in flight, counted as dropped or settled; false when it is, or was settled before. */
  removeWaiting({ state, record }: PlacedMessage, counter: "dropped" | "settled"): boolean {
    if (!state.settleWaiting(record)) return false;
    this.dispatcher.counters[counter] += 1;
    this.#waiters.admit();
    this.dispatcher.wake();
    return true;
  }

  /** Errors: QUEUE_EXCLUSIVE. */
  assertUsableBy(session: Session | undefined): void {
    if (this.session === undefined || this.session === session) return;
    throw new BrokerError(
      "QUEUE_EXCLUSIVE",
      `Queue ${this.name} is exclusive to the session ${this.session.name}. Use it there, or take another queue.`,
      { queue: this.name, session: this.session.name },
    );
  }

  /** Publishers that wait for room are told `reason`. @default that it was closed */
  close(reason?: BrokerError): void {
    this.#waiters.close(reason);
  }

  /** A message of unknown size may exceed `bytesMax` by itself, but those that are expected count as large as allowed. */
  #hasRoom(besides: number): boolean {
    if (!this.#isLimited) return true;
    const { countMax, bytesMax, messageBytesMax } = this.options;
    return (
      this.count - this.#countOutside + besides < countMax &&
      this.bodyBytes - this.#bytesOutside + besides * messageBytesMax < bytesMax
    );
  }

  /** Returns the size of the body. */
  #assertTakes(message: OutgoingMessage): number {
    if (this.isDeleted) throw this.#gone();
    const { countMax, bytesMax, messageBytesMax, overflow } = this.options;
    const size = assertBodySize(`queue ${this.name}`, message.value, messageBytesMax, bytesMax);
    if (!this.#isLimited || !this.#refuses) return size;
    if (this.count - this.#countOutside >= countMax) throw this.#full();
    const bytes = this.bodyBytes - this.#bytesOutside;
    if (overflow === "wait" ? bytes >= bytesMax : bytes + size > bytesMax) throw this.#full();
    return size;
  }

  #full(): BrokerError {
    const { countMax, bytesMax } = this.options;
    return new BrokerError(
      "QUEUE_FULL",
      `Queue ${this.name} is full: ${this.count} messages (limit ${shown(countMax)}) with ${this.bodyBytes} bytes (limit ${shown(bytesMax)}). Add consumers, raise its limits, or choose another overflow policy.`,
      { queue: this.name, count: this.count, bytes: this.bodyBytes },
    );
  }

  #gone(): BrokerError {
    return new BrokerError("QUEUE_NOT_FOUND", `Queue ${this.name} was deleted. Declare it again.`, {
      queue: this.name,
    });
  }

  #levelOf(priority: number): QueueLevel {
    return this.#levels[Math.min(priority, this.#levels.length - 1)]!;
  }

  #track(level: QueueLevel, pending: PendingAppend, bodyBytes: number): void {
    const isNew = level.track(pending, bodyBytes);
    // A commit that fails makes room and tells nobody else.
    if (isNew && this.makesWait) pending.committed.catch(() => this.#waiters.admit());
  }

  #committed({ log }: DeliveryState, count: number): void {
    this.published += count;
    this.#expiry.committed(log);
    this.#dropExcess();
    this.dispatcher.wake();
  }

  #ended(isSettled: boolean): void {
    // What was given back waits again.
    if (!isSettled && !this.options.countsInFlight) this.#dropExcess();
    if (!isSettled) return;
    if (this.#waiters.size > 0) this.#waiters.admit();
    // Dead-lettering the oldest goes on where it stopped because many were under way.
    if (this.options.overflow === "dead-letter-oldest") this.#dropExcess();
  }

  /** Those policies that remove messages do so once the new ones are safe. */
  #dropExcess(): void {
    // One that is being closed drops what is too much when it is open again.
    if (!this.#isLimited || this.#refuses || this.dispatcher.isClosed) return;
    const toDeadLetters = this.options.overflow === "dead-letter-oldest";
    while (this.#isExceeded()) if (!this.dispatcher.dropOldest(toDeadLetters)) return;
  }

  #isExceeded(): boolean {
    const { countMax, bytesMax } = this.options;
    const { burials } = this.dispatcher;
    const { countsInFlight } = this.options;
    let bytes = countsInFlight ? -burials.bytes : -this.#bytesOutside;
    for (const state of this.states) bytes += state.bodyBytes.unsettled;
    const count = this.unsettledCount - (countsInFlight ? burials.count : this.#countOutside);
    return count > countMax || bytes > bytesMax;
  }

  /** Messages that the limits do not count. */
  get #countOutside(): number {
    return this.options.countsInFlight ? 0 : this.dispatcher.inFlight;
  }

  get #bytesOutside(): number {
    const { holders, burials } = this.dispatcher;
    if (this.options.countsInFlight) return 0;
    return holders.reduce((sum, { bytesInFlight }) => sum + bytesInFlight, burials.bytes);
  }
}

function shown(limit: number): string {
  return limit === UNLIMITED ? "none" : String(limit);
}
