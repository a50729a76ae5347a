// Matches ready messages with consumers that have credit. A queue has one, with a delivery state for each priority; a
// subscription has one over the partitions of its topic.

import { BrokerError, isBrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import { isOutOfFiles } from "../log/storage-errors.js";
import { Burials } from "./burials.js";
import { assertConsumerOptions, Consumer, type ConsumerOptions, type ConsumerOwner } from "./consumer.js";
import { type DeadLetterReason, ERROR_LENGTH_MAX } from "./dead-letter.js";
import type { Delivery, NackOptions } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";
import { DispatcherCounters } from "./dispatcher-counters.js";
import type { DispatcherOptions } from "./dispatcher-options.js";
import type { Failure } from "./failures.js";
import { EXPIRED, HandingOut, type HandingOutOwner } from "./handing-out.js";
import type { Inbox } from "./inbox.js";
import { KeyLanes } from "./key-lanes.js";

/** How long after a file could not be opened, for there were too many, it is tried again. */
const FILES_RETRY_MS = 5_000;

export class Dispatcher implements ConsumerOwner, HandingOutOwner {
  readonly name: string;
  readonly counters = new DispatcherCounters();
  /** Runs after a message has left: settled, dropped, dead-lettered (true), or ready for another try (false). */
  onEnded: ((isSettled: boolean) => void) | undefined = undefined;
  /** Runs after messages were fetched from disk. */
  onFetched: (() => void) | undefined = undefined;
  /** Runs after a consumer has come or gone. */
  onConsumersChanged: ((consumer: Consumer) => void) | undefined = undefined;
  readonly burials: Burials;
  /** What made this source unreadable; nothing is delivered until the broker is opened again. */
  failure: unknown = undefined;
  /** Whether nothing is handed out. */
  #isPaused = false;
  readonly #options: DispatcherOptions;
  readonly #clock: Clock;
  readonly #handing: HandingOut;
  readonly #due: DueTimer;
  readonly #left = new Set<Consumer>();
  #lanes: KeyLanes | undefined = undefined;
  #isAwake = false;
  #isClosed = false;

  constructor(options: DispatcherOptions) {
    this.name = options.name;
    this.#options = options;
    this.#clock = options.clock;
    this.#due = new DueTimer(options.clock, () => this.wake());
    this.burials = new Burials({
      ...options,
      counters: this.counters,
      onEnded: (isSettled) => this.#ended(isSettled),
    });
    this.#handing = new HandingOut(options, this, this.#due);
    if (options.balance === "key") this.orderByKey();
  }

  get states(): readonly DeliveryState[] {
    return this.#handing.states;
  }

  get attemptsMax(): number {
    return this.#options.attemptsMax;
  }

  /** Delivers from one more log. */
  addState(state: DeliveryState): void {
    this.#handing.states.push(state);
    this.#handing.dealing.addState(state);
    if (this.#lanes !== undefined) state.orderByKey(this.#lanes);
    this.wake();
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** While paused, nothing is handed out. What consumers have stays with them. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.wake();
  }

  /** Goes on with another state of the same log. What is in flight of the earlier one is taken away from its consumers. */
  replaceState(earlier: DeliveryState, state: DeliveryState): void {
    const index = this.states.indexOf(earlier);
    this.#handing.states[index] = state;
    for (const consumer of this.holders) consumer.revoke(earlier);
    earlier.retire();
    this.#handing.dealing.addState(state, earlier);
    if (this.#lanes !== undefined) state.orderByKey(this.#lanes);
    this.wake();
  }

  /** Delivers each key's messages one at a time from now on. */
  orderByKey(): void {
    this.#lanes ??= new KeyLanes();
    for (const state of this.states) state.orderByKey(this.#lanes);
  }

  get hasConsumers(): boolean {
    return this.consumers.length > 0;
  }

  get consumers(): readonly Consumer[] {
    return this.#handing.choice.all;
  }

  /** Those who may have messages: the consumers, and those who have left and not settled everything. */
  get holders(): readonly Consumer[] {
    return this.#left.size === 0 ? this.consumers : [...this.consumers, ...this.#left];
  }

  /** Messages in flight, those on their way to the dead letters included. */
  get inFlight(): number {
    return this.#handing.inFlight;
  }

  /** Whether a message could be handed out now, fetching it from disk included. */
  get hasReady(): boolean {
    if (this.#isHeldUp) return false;
    const nowMs = this.#clock.nowMs();
    return this.states.some((state) => state.hasReady(nowMs));
  }

  /** Whether nothing is in flight and nothing could be handed out now. */
  get isIdle(): boolean {
    return this.#handing.inFlight === 0 && !this.#isAwake && !this.hasReady;
  }

  /** Whether a consumer would get something, or is working on something. */
  get isBusy(): boolean {
    return this.#handing.inFlight > 0 || (this.consumers.length > 0 && !this.isIdle);
  }

  /** Errors: INVALID_OPTION, CLOSED. */
  addConsumer(options: ConsumerOptions): Consumer {
    assertConsumerOptions(options);
    if (this.#isClosed) {
      throw new BrokerError("CLOSED", `${this.name} was closed; ${options.name} cannot consume from it.`, {
        source: this.name,
      });
    }
    const consumer = new Consumer(this, this.#clock, options);
    this.#handing.choice.add(consumer);
    this.#handing.dealing.consumersChanged();
    this.onConsumersChanged?.(consumer);
    this.wake();
    return consumer;
  }

  removeConsumer(consumer: Consumer): void {
    this.#left.delete(consumer);
    if (!this.#handing.choice.remove(consumer)) return;
    this.#handing.dealing.consumersChanged();
    this.onConsumersChanged?.(consumer);
    this.wake();
  }

  consumerStopped(): void {
    this.#handing.dealing.consumersChanged();
    this.wake();
  }

  consumerLeft(consumer: Consumer): void {
    this.removeConsumer(consumer);
    this.#left.add(consumer);
  }

  hasReadyFor(consumer: Consumer): boolean {
    return !this.#isHeldUp && this.#handing.dealing.hasReadyFor(consumer, this.#clock.nowMs());
  }

  /** Whether the consumer may get messages when it has credit: another may be the single active one. */
  mayGet(consumer: Consumer): boolean {
    return this.#handing.choice.mayGet(consumer);
  }

  /** The partitions that the consumer has; undefined where any consumer gets any message. */
  partitionsOf(consumer: Consumer): readonly number[] | undefined {
    return this.#handing.dealing.partitionsOf(consumer);
  }

  /** Hot: something may be ready to be handed out. The work is done in a later turn, once for all calls until then. */
  wake(): void {
    if (this.#isAwake || this.#handing.choice.isEmpty) return;
    this.#isAwake = true;
    this.#clock.defer(this.#turn);
  }

  /** A fetch from disk has ended. */
  readonly fetched = (error: unknown): void => {
    // Retention may remove what is being read: the next look passes over it.
    if (error !== undefined && !isBrokerError(error, "OFFSET_OUT_OF_RANGE")) this.fail(error);
    this.onFetched?.();
    this.wake();
  };

  get inbox(): Inbox | undefined {
    return this.#options.inbox;
  }

  /** Hot. */
  ack(delivery: Delivery): void {
    const { inbox } = this.#options;
    if (inbox === undefined || !inbox.remembers(delivery.record)) this.settle(delivery);
    else void inbox.ack(delivery, this, this.#options.onError);
  }

  /** Hot. */
  settle(delivery: Delivery): void {
    delivery.state.settle(delivery.record);
    this.counters.settled += 1;
    this.#ended(true);
  }

  retry(delivery: Delivery, { delayMs, error, keepsTurn }: NackOptions): void {
    const { state, record } = delivery;
    const failure = this.#failureAfter(delivery, error, delayMs, !keepsTurn);
    if (delayMs > 0) state.holdUntil(record, failure.readyAtMs, failure, keepsTurn);
    else state.giveBack(record, failure);
    this.#ended(false);
  }

  release(delivery: Delivery, delayMs: number, keepsTurn = false): void {
    const { state, record } = delivery;
    state.noteGivenBack(record.offset);
    if (delayMs > 0) state.holdUntil(record, this.#clock.nowMs() + delayMs, undefined, keepsTurn);
    else state.giveBack(record, undefined);
    this.#ended(false);
  }

  passOver(record: StoredRecord, state: DeliveryState): void {
    this.#handing.inFlight += 1;
    state.settle(record);
    this.counters.duplicates += 1;
    this.#ended(true);
  }

  leaseRanOut(delivery: Delivery, leaseMs: number, isTry: boolean): void {
    this.counters.leasesLost += 1;
    const error = `the lease of ${leaseMs} ms ran out in attempt ${delivery.attempt}`;
    const failure = isTry ? this.#failureAfter(delivery, error, 0, false) : undefined;
    if (!isTry) delivery.state.noteGivenBack(delivery.record.offset);
    delivery.state.giveBack(delivery.record, failure);
    this.#ended(false);
  }

  forgot(): void {
    this.#ended(false);
  }

  /** Resolves when the dead letter is stored. Errors: those of storage; the message is then tried again later. */
  moveToDeadLetters(delivery: Delivery, reason: DeadLetterReason, error: string): Promise<void> {
    const failure = this.#failureAfter(delivery, error, 0, false);
    return this.burials.bury(delivery.record, delivery.state, reason, failure);
  }

  /**
   * Drops the oldest message that is not in flight, of the lowest priority that has one. False when there is none, it is
   * not in memory yet (then {@link onFetched} follows), or many are being dead-lettered (then {@link onEnded} does).
   */
  dropOldest(toDeadLetters: boolean): boolean {
    if (toDeadLetters && this.burials.isFull) return false;
    for (const state of this.states.toReversed()) {
      const record = this.#takeOldest(state);
      if (record === undefined) {
        if (state.isFetchingOldest) return false;
        continue;
      }
      this.#handing.inFlight += 1;
      if (toDeadLetters) {
        const error = "the queue was full and this was its oldest message";
        void this.burials.buryWaiting(record, state, "overflow", error);
      } else {
        state.settle(record);
        this.counters.dropped += 1;
        this.#ended(true);
      }
      return true;
    }
    return false;
  }

  /** The oldest message of one of its logs that is not in flight; undefined when there is none, or it is not in memory. */
  #takeOldest(state: DeliveryState): StoredRecord | undefined {
    try {
      return this.failure === undefined ? state.takeOldest() : undefined;
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      this.fail(error);
      return undefined;
    }
  }

  /**
   * Ends the life of a message whose time is over. Resolves, when it has left, with whether it has: it is tried again
   * later when its dead letter cannot be stored. Undefined when it does not wait any more.
   */
  expire(record: StoredRecord, state: DeliveryState): Promise<boolean> | undefined {
    if (this.failure !== undefined || this.#isClosed || !state.takeWaiting(record)) return undefined;
    if (this.#options.isWanted?.(record) === false) {
      state.settle(record);
      return undefined;
    }
    if (this.#options.inbox?.hasHandled(record) === true) {
      this.passOver(record, state);
      return undefined;
    }
    this.#handing.inFlight += 1;
    return this.burials.buryWaiting(record, state, "expired", EXPIRED);
  }

  /** Nothing is delivered from here any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What it delivers was deleted: takes everything away from its consumers. Resolves as {@link close} does. */
  async end(reason: BrokerError): Promise<void> {
    for (const consumer of [...this.holders]) consumer.end(reason);
    await this.close();
  }

  /** Gives back what is in flight. Resolves when nothing is on its way to the dead letters. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const consumer of [...this.holders]) consumer.close();
    this.#due.cancel();
    await this.burials.ended();
  }

  readonly #turn = (): void => {
    this.#isAwake = false;
    if (this.failure !== undefined || this.#isPaused) return;
    if (this.#handing.turn()) this.wake();
  };

  /** Nothing is handed out until the broker is opened again; when only files to open are short, until there are some. */
  fail(error: unknown): void {
    this.failure = error;
    if (!isBrokerError(error, "CLOSED")) this.#options.onError(error, `reading ${this.name}`);
    if (isOutOfFiles(error)) this.#clock.setTimer(() => this.#tryAgain(error), FILES_RETRY_MS, true);
  }

  #tryAgain(after: unknown): void {
    if (this.failure !== after) return;
    this.failure = undefined;
    this.wake();
  }

  #failureAfter(delivery: Delivery, error: string, delayMs: number, isParked: boolean): Failure {
    const nowMs = this.#clock.nowMs();
    return {
      attempts: delivery.attempt,
      readyAtMs: delayMs > 0 ? nowMs + delayMs : 0,
      error: error.slice(0, ERROR_LENGTH_MAX),
      firstFailedAtMs: delivery.state.failureOf(delivery.record.offset)?.firstFailedAtMs ?? nowMs,
      isParked,
    };
  }

  /** Whether nothing is handed out, whatever is ready. */
  get #isHeldUp(): boolean {
    return (
      this.failure !== undefined || this.#isPaused || this.#handing.inFlight >= this.#options.inFlightMax
    );
  }

  /** Hot: a message is no longer in flight. */
  #ended(isSettled: boolean): void {
    this.#handing.inFlight -= 1;
    this.onEnded?.(isSettled);
    this.wake();
  }
}
