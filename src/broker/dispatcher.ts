// Matches ready messages with consumers that have credit. A queue has one, with one delivery state; a subscription
// has one over the partitions of its topic.

import { isBrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import { assertConsumerOptions, Consumer, type ConsumerOptions, type ConsumerOwner } from "./consumer.js";
import type { DeadLetterEntry, DeadLetterReason } from "./dead-letter.js";
import { Delivery, type NackOptions } from "./delivery.js";
import type { DeliveryState, Failure } from "./delivery-state.js";

/** How many messages one turn hands out at most, before input and output get their turn. */
const TURN_MAX = 1024;
/** How long a message waits when its dead letter could not be written. */
const DEAD_LETTER_RETRY_MS = 1_000;
/** Delays are due by the wall clock, which may jump: it is looked at this often. */
const CLOCK_CHECK_MS = 30_000;

/** What the dispatcher of one queue or subscription is bound to. */
export interface DispatcherOptions {
  /** The queue, or `topic/group`: shown in statistics and errors, and kept in dead letters. */
  readonly name: string;
  readonly clock: Clock;
  /** Messages in flight over all consumers, at most. */
  readonly inFlightMax: number;
  /** What consumers use that do not say otherwise. */
  readonly attemptsMax: number;
  /** Messages for which it says no are passed over as settled. Undefined: all are wanted. */
  readonly isWanted: ((record: StoredRecord) => boolean) | undefined;
  /** Messages older than this are expired; undefined for no limit. */
  readonly ageMaxMs: number | undefined;
  /** Writes the dead letter and settles the message as one atomic step. Undefined: such messages are dropped. */
  readonly moveToDeadLetters:
    | ((record: StoredRecord, state: DeliveryState, entry: DeadLetterEntry) => Promise<void>)
    | undefined;
  /** Hears of what cannot be told to any caller. */
  readonly onError: (error: unknown, where: string) => void;
}

/** Counted since the broker was opened. */
export interface DispatcherCounters {
  delivered: number;
  settled: number;
  redelivered: number;
  deadLettered: number;
  expired: number;
  dropped: number;
  leasesLost: number;
}

export class Dispatcher implements ConsumerOwner {
  readonly name: string;
  readonly states: DeliveryState[] = [];
  readonly counters: DispatcherCounters = {
    delivered: 0,
    settled: 0,
    redelivered: 0,
    deadLettered: 0,
    expired: 0,
    dropped: 0,
    leasesLost: 0,
  };
  /** Runs after messages were settled, dropped or dead-lettered. */
  onSettled: (() => void) | undefined = undefined;
  /** Messages in flight to the dead letters. */
  burying = 0;
  /** What made this source unreadable; nothing is delivered until the broker is opened again. */
  failure: unknown = undefined;
  readonly #options: DispatcherOptions;
  readonly #consumers: Consumer[] = [];
  readonly #due: DueTimer;
  #nextConsumer = 0;
  #nextState = 0;
  #inFlight = 0;
  #isAwake = false;

  constructor(options: DispatcherOptions) {
    this.name = options.name;
    this.#options = options;
    this.#due = new DueTimer(options.clock, () => this.wake());
  }

  get attemptsMax(): number {
    return this.#options.attemptsMax;
  }

  /** Delivers each key's messages one at a time from now on. */
  orderByKey(): void {
    for (const state of this.states) state.orderByKey();
  }

  get consumers(): readonly Consumer[] {
    return this.#consumers;
  }

  /** Messages in flight, those on their way to the dead letters included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether a message could be handed out now, fetching it from disk included. */
  get hasReady(): boolean {
    const nowMs = this.#options.clock.nowMs();
    return this.states.some((state) => state.hasReady(nowMs));
  }

  /** Whether nothing is in flight and nothing could be handed out now. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.#isAwake && !this.hasReady;
  }

  /** Whether a consumer would get something, or is working on something. */
  get isBusy(): boolean {
    return this.#inFlight > 0 || (this.#consumers.length > 0 && !this.isIdle);
  }

  /** Errors: INVALID_OPTION. */
  addConsumer(options: ConsumerOptions): Consumer {
    assertConsumerOptions(options);
    const consumer = new Consumer(this, this.#options.clock, options);
    this.#consumers.push(consumer);
    this.wake();
    return consumer;
  }

  removeConsumer(consumer: Consumer): void {
    const index = this.#consumers.indexOf(consumer);
    if (index < 0) return;
    this.#consumers.splice(index, 1);
    this.wake();
  }

  /** Hot: something may be ready to be handed out. The work is done in a later turn, once for all calls until then. */
  wake(): void {
    if (this.#isAwake || this.#consumers.length === 0) return;
    this.#isAwake = true;
    this.#options.clock.defer(this.#turn);
  }

  /** A fetch from disk has ended. */
  readonly fetched = (error: unknown): void => {
    if (
      error !== undefined &&
      !isBrokerError(error, "OFFSET_OUT_OF_RANGE") &&
      !isBrokerError(error, "CLOSED")
    ) {
      this.failure = error;
      this.#options.onError(error, `reading ${this.name}`);
    }
    this.wake();
  };

  /** Hot. */
  settle(delivery: Delivery): void {
    delivery.state.settle(delivery.record);
    this.counters.settled += 1;
    this.#ended();
  }

  retry(delivery: Delivery, options: NackOptions): void {
    const failure = this.#failureAfter(delivery, options.error, options.delayMs);
    if (options.delayMs > 0)
      delivery.state.holdUntil(delivery.record, failure.readyAtMs, failure, options.keepsTurn);
    else delivery.state.giveBack(delivery.record.offset, failure);
    this.#ended();
  }

  release(delivery: Delivery, delayMs: number): void {
    const { state, record } = delivery;
    if (delayMs > 0) state.holdUntil(record, this.#options.clock.nowMs() + delayMs, undefined, false);
    else state.giveBack(record.offset, undefined);
    this.#ended();
  }

  leaseRanOut(delivery: Delivery, leaseMs: number): void {
    this.counters.leasesLost += 1;
    const error = `the lease of ${leaseMs} ms ran out in attempt ${delivery.attempt}`;
    delivery.state.giveBack(delivery.record.offset, this.#failureAfter(delivery, error, 0));
    this.#ended();
  }

  /** Resolves when the dead letter is stored. Errors: those of storage; the message is then tried again later. */
  async moveToDeadLetters(delivery: Delivery, reason: DeadLetterReason, error: string): Promise<void> {
    const failure = this.#failureAfter(delivery, error, DEAD_LETTER_RETRY_MS);
    await this.#bury(delivery.record, delivery.state, reason, failure);
  }

  /** Drops the oldest message that is not in flight. False when there is none, or it is not in memory yet. */
  dropOldest(toDeadLetters: boolean): boolean {
    for (const state of this.states) {
      const record = state.takeOldest();
      if (record === undefined) continue;
      this.#inFlight += 1;
      if (toDeadLetters) {
        this.#buryInBackground(
          record,
          state,
          "overflow",
          "the queue was full and this was its oldest message",
        );
      } else {
        state.settle(record);
        this.counters.dropped += 1;
        this.#ended();
      }
      return true;
    }
    return false;
  }

  /** Expires waiting messages that are older than the age limit, oldest first. */
  removeTooOld(nowMs: number): void {
    if (this.#options.ageMaxMs === undefined) return;
    for (const state of this.states) {
      for (
        let record = state.peekOldest();
        record !== undefined && this.#isTooOld(record, nowMs);
        record = state.peekOldest()
      ) {
        state.takeOldest();
        this.#inFlight += 1;
        this.counters.expired += 1;
        this.#buryInBackground(record, state, "expired", "it was older than the queue's age limit");
      }
    }
  }

  close(): void {
    this.#due.cancel();
    for (const consumer of [...this.#consumers]) consumer.close();
  }

  readonly #turn = (): void => {
    this.#isAwake = false;
    if (this.failure !== undefined) return;
    const nowMs = this.#options.clock.nowMs();
    const leaseFromMs = this.#options.clock.monotonicMs();
    let left = TURN_MAX;
    while (left > 0) {
      const consumer = this.#consumerWithCredit();
      if (consumer === undefined) return;
      const deliveries = this.#collect(consumer, Math.min(left, this.#share(consumer)), nowMs, leaseFromMs);
      if (deliveries.length === 0) break;
      left -= deliveries.length;
      consumer.onDeliveries(deliveries);
    }
    if (left <= 0) this.wake();
    else this.#armForDelayed(nowMs, leaseFromMs);
  };

  /** Hot: takes up to `count` ready messages over all logs, beginning where the last turn stopped. */
  #collect(consumer: Consumer, count: number, nowMs: number, leaseFromMs: number): Delivery[] {
    const deliveries: Delivery[] = [];
    const expiresAtMs = leaseFromMs + consumer.leaseMs;
    for (let visited = 0; visited < this.states.length && deliveries.length < count; visited += 1) {
      const state = this.states[(this.#nextState + visited) % this.states.length]!;
      while (deliveries.length < count) {
        const record = state.next(nowMs);
        if (record === undefined) break;
        this.#inFlight += 1;
        const attempts = state.attemptsOf(record.offset);
        if (this.#isUndeliverable(record, state, attempts, consumer, nowMs)) continue;
        if (attempts > 0) this.counters.redelivered += 1;
        const delivery = new Delivery(record, attempts + 1, state, consumer, expiresAtMs);
        consumer.add(delivery);
        deliveries.push(delivery);
      }
    }
    this.#nextState = (this.#nextState + 1) % Math.max(1, this.states.length);
    this.counters.delivered += deliveries.length;
    return deliveries;
  }

  #isUndeliverable(
    record: StoredRecord,
    state: DeliveryState,
    attempts: number,
    consumer: Consumer,
    nowMs: number,
  ): boolean {
    if (this.#options.isWanted?.(record) === false) {
      state.settle(record);
      this.#ended();
      return true;
    }
    if (state.verdict === "expired" || this.#isTooOld(record, nowMs)) {
      this.counters.expired += 1;
      this.#buryInBackground(record, state, "expired", "its time was over before it could be delivered");
      return true;
    }
    if (attempts < consumer.attemptsMax) return false;
    const error = state.failureOf(record.offset)?.error ?? "";
    this.#buryInBackground(record, state, "attempts-exhausted", error);
    return true;
  }

  #isTooOld(record: StoredRecord, nowMs: number): boolean {
    return this.#options.ageMaxMs !== undefined && record.timestampMs + this.#options.ageMaxMs <= nowMs;
  }

  #buryInBackground(
    record: StoredRecord,
    state: DeliveryState,
    reason: DeadLetterReason,
    error: string,
  ): void {
    const nowMs = this.#options.clock.nowMs();
    const earlier = state.failureOf(record.offset);
    const failure: Failure = {
      attempts: earlier?.attempts ?? 0,
      readyAtMs: nowMs + DEAD_LETTER_RETRY_MS,
      error,
      firstFailedAtMs: earlier?.firstFailedAtMs ?? nowMs,
    };
    this.#bury(record, state, reason, failure).catch((problem: unknown) => {
      this.#options.onError(problem, `dead-lettering message ${record.offset} of ${this.name}`);
    });
  }

  async #bury(
    record: StoredRecord,
    state: DeliveryState,
    reason: DeadLetterReason,
    failure: Failure,
  ): Promise<void> {
    this.burying += 1;
    try {
      const isDropped = this.#options.moveToDeadLetters === undefined;
      await this.#options.moveToDeadLetters?.(record, state, this.#entry(record, state, reason, failure));
      state.settle(record);
      if (isDropped) this.counters.dropped += 1;
      else this.counters.deadLettered += 1;
    } catch (error) {
      state.holdUntil(record, failure.readyAtMs, failure, true);
      throw error;
    } finally {
      this.burying -= 1;
      this.#ended();
    }
  }

  #entry(
    record: StoredRecord,
    state: DeliveryState,
    reason: DeadLetterReason,
    failure: Failure,
  ): DeadLetterEntry {
    return {
      source: this.name,
      partition: state.partition,
      offset: record.offset,
      reason,
      error: failure.error,
      attempts: failure.attempts,
      firstFailedAtMs: failure.firstFailedAtMs,
      deadAtMs: this.#options.clock.nowMs(),
    };
  }

  #failureAfter(delivery: Delivery, error: string, delayMs: number): Failure {
    const nowMs = this.#options.clock.nowMs();
    return {
      attempts: delivery.attempt,
      readyAtMs: delayMs > 0 ? nowMs + delayMs : 0,
      error,
      firstFailedAtMs: delivery.state.failureOf(delivery.record.offset)?.firstFailedAtMs ?? nowMs,
    };
  }

  /** Hot: a message is no longer in flight. */
  #ended(): void {
    this.#inFlight -= 1;
    this.onSettled?.();
    this.wake();
  }

  #consumerWithCredit(): Consumer | undefined {
    if (this.#inFlight >= this.#options.inFlightMax) return undefined;
    for (let tried = 0; tried < this.#consumers.length; tried += 1) {
      const consumer = this.#consumers[this.#nextConsumer % this.#consumers.length]!;
      this.#nextConsumer = (this.#nextConsumer + 1) % this.#consumers.length;
      if (consumer.credit > 0) return consumer;
    }
    return undefined;
  }

  /** An equal part of what is waiting for each consumer that has credit, so that one does not take it all. */
  #share(consumer: Consumer): number {
    const room = Math.min(consumer.credit, this.#options.inFlightMax - this.#inFlight);
    if (this.#consumers.length === 1) return room;
    const withCredit = this.#consumers.filter((other) => other.credit > 0).length;
    const waiting = this.states.reduce((sum, state) => sum + state.unsettledCount, 0) - this.#inFlight;
    return Math.max(1, Math.min(room, Math.ceil(waiting / withCredit)));
  }

  #armForDelayed(nowMs: number, monotonicMs: number): void {
    for (const state of this.states) {
      if (state.nextDueMs === Number.POSITIVE_INFINITY) continue;
      const delayMs = Math.max(0, state.nextDueMs - nowMs);
      this.#due.armAt(monotonicMs + Math.min(delayMs, CLOCK_CHECK_MS));
    }
  }
}
