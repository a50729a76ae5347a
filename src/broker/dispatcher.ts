// Matches ready messages with consumers that have credit. A queue has one, with a delivery state for each priority; a
// subscription has one over the partitions of its topic.

import { BrokerError, isBrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import { Burials } from "./burials.js";
import { assertConsumerOptions, Consumer, type ConsumerOptions, type ConsumerOwner } from "./consumer.js";
import { type Balance, ConsumerChoice } from "./consumer-choice.js";
import { type DeadLetterEntry, type DeadLetterReason, ERROR_LENGTH_MAX } from "./dead-letter.js";
import type { Assignment, Dealer, Dealing } from "./dealing.js";
import { DealingByKey } from "./dealing-by-key.js";
import { DealingByPartition } from "./dealing-by-partition.js";
import { DealingInTurn } from "./dealing-in-turn.js";
import { Delivery, type NackOptions } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";
import { DispatcherCounters } from "./dispatcher-counters.js";
import type { Failure } from "./failures.js";
import type { Inbox } from "./inbox.js";
import { KeyLanes } from "./key-lanes.js";

/** How many messages one turn looks at at most, before input and output get their turn. */
const TURN_MAX = 1024;

const EXPIRED = "its time was over before it could be delivered";

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
  /** Whether a log only has its turn when those added before it have nothing ready; else all have it in turn. */
  readonly isStrict: boolean;
  readonly balance: Balance;
  readonly singleActiveConsumer: boolean;
  /** Whether any consumer gets any message, or each partition has its consumer. */
  readonly assignment: Assignment;
  /** Messages whose ids it has handled are settled instead of delivered. */
  readonly inbox: Inbox | undefined;
  /** Writes the dead letter and settles the message as one atomic step. Undefined: such messages are dropped. */
  readonly moveToDeadLetters:
    | ((record: StoredRecord, state: DeliveryState, entry: DeadLetterEntry) => Promise<void>)
    | undefined;
  /** Hears of what cannot be told to any caller. */
  readonly onError: (error: unknown, where: string) => void;
}

export class Dispatcher implements ConsumerOwner, Dealer {
  readonly name: string;
  readonly states: DeliveryState[] = [];
  readonly counters = new DispatcherCounters();
  /** Runs after a message has left: settled, dropped, dead-lettered (true), or ready for another try (false). */
  onEnded: ((isSettled: boolean) => void) | undefined = undefined;
  /** Runs after messages were fetched from disk. */
  onFetched: (() => void) | undefined = undefined;
  /** Runs after a consumer has come or gone. */
  onConsumersChanged: ((consumer: Consumer) => void) | undefined = undefined;
  readonly burials: Burials;
  /** How many more messages this turn may look at. */
  turnLeft = 0;
  /** What made this source unreadable; nothing is delivered until the broker is opened again. */
  failure: unknown = undefined;
  /** Whether nothing is handed out. */
  #isPaused = false;
  readonly #options: DispatcherOptions;
  readonly choice: ConsumerChoice;
  readonly clock: Clock;
  readonly isStrict: boolean;
  readonly #dealing: Dealing;
  readonly #due: DueTimer;
  #lanes: KeyLanes | undefined = undefined;
  #nextState = 0;
  #inFlight = 0;
  #isAwake = false;
  #isClosed = false;

  constructor(options: DispatcherOptions) {
    this.name = options.name;
    this.#options = options;
    this.clock = options.clock;
    this.isStrict = options.isStrict;
    this.choice = new ConsumerChoice(options);
    this.#dealing = dealingOf(options, this);
    this.#due = new DueTimer(options.clock, () => this.wake());
    if (options.balance === "key") this.orderByKey();
    this.burials = new Burials({
      ...options,
      counters: this.counters,
      onEnded: (isSettled) => this.#ended(isSettled),
    });
  }

  get attemptsMax(): number {
    return this.#options.attemptsMax;
  }

  /** Delivers from one more log. */
  addState(state: DeliveryState): void {
    this.states.push(state);
    this.#dealing.addState(state);
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
    this.states[index] = state;
    for (const consumer of this.consumers) consumer.revoke(earlier);
    earlier.retire();
    this.#dealing.addState(state, earlier);
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

  get room(): number {
    return this.burials.isFull ? 0 : this.#options.inFlightMax - this.#inFlight;
  }

  get waitingCount(): number {
    let unsettled = 0;
    for (const state of this.states) unsettled += state.unsettledCount;
    return unsettled - this.#inFlight;
  }

  get consumers(): readonly Consumer[] {
    return this.choice.all;
  }

  /** Messages in flight, those on their way to the dead letters included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether a message could be handed out now, fetching it from disk included. */
  get hasReady(): boolean {
    if (this.#isHeldUp) return false;
    const nowMs = this.clock.nowMs();
    return this.states.some((state) => state.hasReady(nowMs));
  }

  /** Whether nothing is in flight and nothing could be handed out now. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.#isAwake && !this.hasReady;
  }

  /** Whether a consumer would get something, or is working on something. */
  get isBusy(): boolean {
    return this.#inFlight > 0 || (this.consumers.length > 0 && !this.isIdle);
  }

  /** Errors: INVALID_OPTION, CLOSED. */
  addConsumer(options: ConsumerOptions): Consumer {
    assertConsumerOptions(options);
    if (this.#isClosed) {
      throw new BrokerError("CLOSED", `${this.name} was closed; ${options.name} cannot consume from it.`, {
        source: this.name,
      });
    }
    const consumer = new Consumer(this, this.#options.clock, options);
    this.choice.add(consumer);
    this.#dealing.consumersChanged();
    this.onConsumersChanged?.(consumer);
    this.wake();
    return consumer;
  }

  removeConsumer(consumer: Consumer): void {
    if (!this.choice.remove(consumer)) return;
    this.#dealing.consumersChanged();
    this.onConsumersChanged?.(consumer);
    this.wake();
  }

  consumerStopped(): void {
    this.#dealing.consumersChanged();
    this.wake();
  }

  hasReadyFor(consumer: Consumer): boolean {
    return !this.#isHeldUp && this.#dealing.hasReadyFor(consumer, this.clock.nowMs());
  }

  /** The partitions that the consumer has; undefined where any consumer gets any message. */
  partitionsOf(consumer: Consumer): readonly number[] | undefined {
    return this.#dealing.partitionsOf(consumer);
  }

  reportThrown(error: unknown): void {
    this.#options.onError(error, `telling a consumer of ${this.name} about its partitions`);
  }

  /** Hot: something may be ready to be handed out. The work is done in a later turn, once for all calls until then. */
  wake(): void {
    if (this.#isAwake || this.choice.isEmpty) return;
    this.#isAwake = true;
    this.#options.clock.defer(this.#turn);
  }

  /** A fetch from disk has ended. */
  readonly fetched = (error: unknown): void => {
    // Retention may remove what is being read: the next look passes over it.
    if (error !== undefined && !isBrokerError(error, "OFFSET_OUT_OF_RANGE")) this.#fail(error);
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
    if (delayMs > 0) state.holdUntil(record, this.#options.clock.nowMs() + delayMs, undefined, keepsTurn);
    else state.giveBack(record, undefined);
    this.#ended(false);
  }

  passOver(record: StoredRecord, state: DeliveryState): void {
    this.#inFlight += 1;
    state.settle(record);
    this.counters.duplicates += 1;
    this.#ended(true);
  }

  leaseRanOut(delivery: Delivery, leaseMs: number, isTry: boolean): void {
    this.counters.leasesLost += 1;
    const error = `the lease of ${leaseMs} ms ran out in attempt ${delivery.attempt}`;
    const failure = isTry ? this.#failureAfter(delivery, error, 0, false) : undefined;
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

  /** The oldest message of one of its logs that is not in flight; undefined when there is none, or it is not in memory. */
  oldestOf(state: DeliveryState): StoredRecord | undefined {
    try {
      return this.failure === undefined ? state.peekOldest() : undefined;
    } catch (error) {
      this.#failUnlessBug(error);
      return undefined;
    }
  }

  /**
   * Drops the oldest message that is not in flight, of the lowest priority that has one. False when there is none, it is not in memory yet (then
   * {@link onFetched} follows), or many are being dead-lettered (then {@link onEnded} does).
   */
  dropOldest(toDeadLetters: boolean): boolean {
    if (toDeadLetters && this.burials.isFull) return false;
    for (const state of this.states.toReversed()) {
      if (this.oldestOf(state) === undefined) {
        if (state.isFetchingOldest) return false;
        continue;
      }
      const record = state.takeOldest()!;
      this.#inFlight += 1;
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
    this.#inFlight += 1;
    return this.burials.buryWaiting(record, state, "expired", EXPIRED);
  }

  /** Nothing is delivered from here any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What it delivers was deleted: takes everything away from its consumers. Resolves as {@link close} does. */
  async end(reason: BrokerError): Promise<void> {
    for (const consumer of [...this.consumers]) consumer.end(reason);
    await this.close();
  }

  /** Gives back what is in flight. Resolves when nothing is on its way to the dead letters. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const consumer of [...this.consumers]) consumer.close();
    this.#due.cancel();
    await this.burials.ended();
  }

  readonly #turn = (): void => {
    this.#isAwake = false;
    if (this.failure !== undefined || this.#isPaused) return;
    this.turnLeft = TURN_MAX;
    this.#dealing.deal();
    if (this.turnLeft <= 0) this.wake();
  };

  /** Hot: beginning where the last turn stopped, or always with the first log where the order of logs is strict. */
  collect(consumer: Consumer, states: readonly DeliveryState[], count: number): Delivery[] {
    const { clock, isStrict } = this;
    const deliveries: Delivery[] = [];
    const nowMs = clock.nowMs();
    const expiresAtMs = clock.monotonicMs() + consumer.leaseMs;
    for (let visited = 0; visited < states.length; visited += 1) {
      const state = states[(this.#nextState + visited) % states.length]!;
      while (deliveries.length < count && this.turnLeft > 0 && !this.burials.isFull) {
        const record = this.next(state, nowMs);
        if (record === undefined) break;
        if (this.isDeliverable(record, state, consumer, nowMs))
          deliveries.push(this.lease(record, state, consumer, expiresAtMs));
      }
      // What is ready and was not taken is being fetched from disk: nothing of a lower priority overtakes it.
      if (isStrict && state.hasReady(nowMs)) break;
    }
    if (!isStrict) this.#nextState = (this.#nextState + 1) % Math.max(1, this.states.length);
    return deliveries;
  }

  next(state: DeliveryState, nowMs: number): StoredRecord | undefined {
    try {
      const record = state.next(nowMs);
      if (record !== undefined) this.turnLeft -= 1;
      return record;
    } catch (error) {
      this.#failUnlessBug(error);
      return undefined;
    }
  }

  lease(record: StoredRecord, state: DeliveryState, consumer: Consumer, leaseExpiresAtMs: number): Delivery {
    const attempts = state.attemptsOf(record.offset);
    this.#inFlight += 1;
    this.counters.delivered += 1;
    if (attempts > 0) this.counters.redelivered += 1;
    const delivery = new Delivery(record, attempts + 1, state, consumer, leaseExpiresAtMs);
    consumer.add(delivery);
    this.#options.inbox?.handedOut(delivery);
    return delivery;
  }

  give(consumer: Consumer, deliveries: Delivery[]): void {
    if (deliveries.length > 0) consumer.onDeliveries(deliveries);
    if (consumer.startsExplicitly) keepUnbegun(deliveries);
  }

  #failUnlessBug(error: unknown): void {
    if (!isBrokerError(error)) throw error;
    this.#fail(error);
  }

  /** When not, the message is settled, or on its way to the dead letters. */
  isDeliverable(record: StoredRecord, state: DeliveryState, consumer: Consumer, nowMs: number): boolean {
    if (this.#options.isWanted?.(record) === false) {
      state.settle(record);
      return false;
    }
    if (this.#options.inbox?.admits(record, state, nowMs, this) === false) return false;
    const isExpired = state.verdict === "expired" || this.#isTooOld(record, nowMs);
    if (!isExpired && state.attemptsOf(record.offset) < consumer.attemptsMax) return true;
    this.#inFlight += 1;
    const error = isExpired ? EXPIRED : (state.failureOf(record.offset)?.error ?? "");
    void this.burials.buryWaiting(record, state, isExpired ? "expired" : "attempts-exhausted", error);
    return false;
  }

  #isTooOld(record: StoredRecord | undefined, nowMs: number): boolean {
    if (record === undefined || this.#options.ageMaxMs === undefined) return false;
    return record.timestampMs + this.#options.ageMaxMs <= nowMs;
  }

  #fail(error: unknown): void {
    this.failure = error;
    if (!isBrokerError(error, "CLOSED")) this.#options.onError(error, `reading ${this.name}`);
  }

  #failureAfter(delivery: Delivery, error: string, delayMs: number, isParked: boolean): Failure {
    const nowMs = this.#options.clock.nowMs();
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
    return this.failure !== undefined || this.#isPaused || this.#inFlight >= this.#options.inFlightMax;
  }

  /** Hot: a message is no longer in flight. */
  #ended(isSettled: boolean): void {
    this.#inFlight -= 1;
    this.onEnded?.(isSettled);
    this.wake();
  }

  awaitDelayed(states: readonly DeliveryState[]): void {
    for (const state of states) this.#due.armAtTime(state.nextDueMs);
  }
}

function dealingOf({ balance, assignment }: DispatcherOptions, dealer: Dealer): Dealing {
  if (assignment === "partitions") return new DealingByPartition(dealer);
  return balance === "key" ? new DealingByKey(dealer) : new DealingInTurn(dealer);
}

/** Hot: what waits at its consumer is not being tried. What was begun in this turn, and mostly settled, costs nothing more. */
function keepUnbegun(deliveries: readonly Delivery[]): void {
  for (const delivery of deliveries) {
    if (!delivery.isBegun && delivery.isLeased) delivery.state.keepUnbegun(delivery.record.offset);
  }
}
