// Hands the messages of one queue or subscription out: takes what is ready, sees whether it may still be delivered, and
// leases it to a consumer. Which messages whom, is for the way of dealing.

import { isBrokerError } from "../broker-error.js";
import type { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import type { Burials } from "./burials.js";
import type { Consumer } from "./consumer.js";
import { ConsumerChoice } from "./consumer-choice.js";
import type { Dealer, Dealing } from "./dealing.js";
import { DealingByKey } from "./dealing-by-key.js";
import { DealingByPartition } from "./dealing-by-partition.js";
import { DealingInTurn } from "./dealing-in-turn.js";
import { Delivery } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";
import type { DispatcherCounters } from "./dispatcher-counters.js";
import type { DispatcherOptions } from "./dispatcher-options.js";
import type { Inbox, InboxOwner } from "./inbox.js";

/** How many messages one turn looks at at most, before input and output get their turn. */
const TURN_MAX = 1024;
/**
 * While something is being committed, a reader that is far behind gets so many messages of up to 512 bytes in a turn and
 * then waits: whoever publishes has most of the thread. See docs/decisions/016-publishers-before-backlogs.md.
 */
const BEHIND_TURN_MAX = 128;
const BEHIND_PAUSE_MS = 1;

/** Why a message becomes a dead letter whose time was over. */
export const EXPIRED = "its time was over before it could be delivered";

/** What it is a part of. */
export interface HandingOutOwner extends InboxOwner {
  readonly counters: DispatcherCounters;
  readonly burials: Burials;
  /** A log cannot be read. */
  fail(error: unknown): void;
}

export class HandingOut implements Dealer {
  readonly clock: Clock;
  readonly choice: ConsumerChoice;
  readonly states: DeliveryState[] = [];
  readonly isStrict: boolean;
  readonly dealing: Dealing;
  /** Messages in flight, those on their way to the dead letters included. */
  inFlight = 0;
  turnLeft = 0;
  readonly #options: DispatcherOptions;
  readonly #owner: HandingOutOwner;
  readonly #burials: Burials;
  readonly #counters: DispatcherCounters;
  readonly #inbox: Inbox | undefined;
  readonly #due: DueTimer;
  #nextState = 0;
  /** In the clock's monotonic time: until then nothing is handed out. */
  #pausedUntilMs = 0;

  /** `due` makes a turn when it is due. The owner has its burials by now. */
  constructor(options: DispatcherOptions, owner: HandingOutOwner, due: DueTimer) {
    this.clock = options.clock;
    this.choice = new ConsumerChoice(options);
    this.isStrict = options.isStrict;
    this.dealing = dealingOf(options, this);
    this.#options = options;
    this.#owner = owner;
    this.#burials = owner.burials;
    this.#counters = owner.counters;
    this.#inbox = options.inbox;
    this.#due = due;
  }

  get room(): number {
    return this.#burials.isFull ? 0 : this.#options.inFlightMax - this.inFlight;
  }

  get waitingCount(): number {
    let unsettled = 0;
    for (const state of this.states) unsettled += state.unsettledCount;
    return unsettled - this.inFlight;
  }

  /** Hot: hands out what is ready. Returns whether another turn has to follow. */
  turn(): boolean {
    if (this.#pausedUntilMs > 0 && !this.#isPauseOver()) return false;
    this.turnLeft = TURN_MAX;
    this.dealing.deal();
    return this.turnLeft <= 0;
  }

  /** Hot: beginning where the last turn stopped, or always with the first log where the order of logs is strict. */
  collect(consumer: Consumer, states: readonly DeliveryState[], count: number): Delivery[] {
    const { clock, isStrict } = this;
    const deliveries: Delivery[] = [];
    const nowMs = clock.nowMs();
    const expiresAtMs = clock.monotonicMs() + consumer.leaseMs;
    for (let visited = 0; visited < states.length; visited += 1) {
      const state = states[(this.#nextState + visited) % states.length]!;
      while (deliveries.length < count && !consumer.isSated && this.turnLeft > 0 && !this.#burials.isFull) {
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
      if (record === undefined) return undefined;
      if (state.isBehind && state.log.isDiskAwaited) this.#spendBehind(record);
      else this.turnLeft -= 1;
      return record;
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      this.#owner.fail(error);
      return undefined;
    }
  }

  #spendBehind(record: StoredRecord): void {
    this.turnLeft -= (TURN_MAX / BEHIND_TURN_MAX) * (1 + (record.sizeBytes >>> 9));
    if (this.turnLeft > 0) return;
    this.#pausedUntilMs = this.clock.monotonicMs() + BEHIND_PAUSE_MS;
    this.#due.armAt(this.#pausedUntilMs);
  }

  #isPauseOver(): boolean {
    if (this.clock.monotonicMs() < this.#pausedUntilMs) {
      this.#due.armAt(this.#pausedUntilMs);
      return false;
    }
    this.#pausedUntilMs = 0;
    return true;
  }

  lease(record: StoredRecord, state: DeliveryState, consumer: Consumer, leaseExpiresAtMs: number): Delivery {
    const attempts = state.attemptsOf(record.offset);
    this.inFlight += 1;
    if (attempts > 0) this.#counters.redelivered += 1;
    const delivery = new Delivery(record, attempts + 1, state, consumer, leaseExpiresAtMs);
    consumer.add(delivery);
    this.#inbox?.handedOut(delivery);
    return delivery;
  }

  give(consumer: Consumer, deliveries: Delivery[]): void {
    if (deliveries.length === 0) return;
    this.#counters.delivered += deliveries.length;
    consumer.onDeliveries(deliveries);
    if (consumer.startsExplicitly) keepUnbegun(deliveries);
  }

  /** When not, the message is settled, or on its way to the dead letters. */
  isDeliverable(record: StoredRecord, state: DeliveryState, consumer: Consumer, nowMs: number): boolean {
    if (this.#options.isWanted?.(record) === false) {
      state.settle(record);
      return false;
    }
    if (this.#inbox?.admits(record, state, nowMs, this.#owner) === false) return false;
    const isExpired = state.verdict === "expired" || this.#isTooOld(record, nowMs);
    if (!isExpired && state.attemptsOf(record.offset) < consumer.attemptsMax) return true;
    this.inFlight += 1;
    const error = isExpired ? EXPIRED : (state.failureOf(record.offset)?.error ?? "");
    void this.#burials.buryWaiting(record, state, isExpired ? "expired" : "attempts-exhausted", error);
    return false;
  }

  #isTooOld(record: StoredRecord | undefined, nowMs: number): boolean {
    if (record === undefined || this.#options.ageMaxMs === undefined) return false;
    return record.timestampMs + this.#options.ageMaxMs <= nowMs;
  }

  awaitDelayed(states: readonly DeliveryState[]): void {
    for (const state of states) this.#due.armAtTime(state.nextDueMs);
  }

  reportThrown(error: unknown): void {
    this.#options.onError(error, `telling a consumer of ${this.#options.name} about its partitions`);
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
