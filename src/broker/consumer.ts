// One receiver of a queue's or subscription's messages: how many it takes at a time and how long it may keep them.

import { BrokerError } from "../broker-error.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import { type Delivery, type DeliveryHolder, type DeliverySettler, LeaseList } from "./delivery.js";
import type { DeliveryState } from "./delivery-state.js";

/** When the first lease is found to have ended so long ago, nothing could run for as long: not even what renews it. */
const STOOD_STILL_MS = 1_000;

export interface ConsumerOptions {
  /** Shown in statistics and errors. */
  readonly name: string;
  /** How many unsettled messages it may have at most; with 0 it gets none for now. May be changed later. */
  readonly prefetch: number;
  /** How many bytes of bodies it may have before it gets no more; one message it gets in any case. May be changed later. @default no limit */
  readonly prefetchBytes?: number;
  /** How long a delivery stays with it unless extended. */
  readonly leaseMs: number;
  /** A message handed out this often without being acknowledged goes to the dead letters instead of out again. */
  readonly attemptsMax: number;
  /**
   * Whether it says with {@link Delivery.begin} when it starts on a message, which it may keep a while before that. Until
   * then a crash is no try of the message. @default false: it starts at once on all that it gets
   */
  readonly startsExplicitly?: boolean;
  /** Whether it takes what is there and goes: its leaving is not that of a consumer that stays. @default false */
  readonly isBrief?: boolean;
  /** Whether it waits while another consumer is the single active one. @default true */
  readonly standsBy?: boolean;
  /** Runs when what it consumes from was deleted, with why. What it had is lost to it. */
  readonly onEnded?: (reason: BrokerError) => void;
  /** A whole number: consumers with less get messages only while none of those with more takes any. @default 0 */
  readonly priority?: number;
  /** Partitions are its own from now on, where each has one consumer. Must not throw. */
  readonly onAssigned?: ((partitions: readonly number[]) => void) | undefined;
  /** Partitions are no longer its own, and it has nothing of them any more. Must not throw. */
  readonly onRevoked?: ((partitions: readonly number[]) => void) | undefined;
  /** Gets what was handed over. Must not throw; an error counts as a bug of the caller. */
  readonly onDeliveries: (deliveries: Delivery[]) => void;
}

/** What a consumer needs of the dispatcher that serves it. */
export interface ConsumerOwner extends DeliverySettler {
  /** Something may be ready to be handed out. */
  wake(): void;
  removeConsumer(consumer: Consumer): void;
  /** It takes no more messages from now on, and leaves when it has none. */
  consumerStopped(): void;
  /** It is no consumer any more, and may still have messages. */
  consumerLeft(consumer: Consumer): void;
  /** Whether something could be handed out to it, fetching it from disk included. */
  hasReadyFor(consumer: Consumer): boolean;
  /** `isTry`: the consumer was working on the message. */
  leaseRanOut(delivery: Delivery, leaseMs: number, isTry: boolean): void;
  /** A message is in flight no more, and what became of it does not matter. */
  forgot(): void;
}

/**
 * A consumer gets messages while it has fewer than `prefetch` unsettled ones. A delivery whose lease was lost counts
 * until the consumer answers for it, so that a stuck one is not fed without end.
 */
export class Consumer implements DeliveryHolder {
  readonly name: string;
  readonly dispatcher: ConsumerOwner;
  readonly leaseMs: number;
  attemptsMax: number;
  readonly startsExplicitly: boolean;
  readonly isBrief: boolean;
  readonly standsBy: boolean;
  readonly priority: number;
  readonly onAssigned: ((partitions: readonly number[]) => void) | undefined;
  readonly onRevoked: ((partitions: readonly number[]) => void) | undefined;
  readonly onDeliveries: (deliveries: Delivery[]) => void;
  readonly #onEnded: ((reason: BrokerError) => void) | undefined;
  readonly #clock: Clock;
  readonly #leases = new LeaseList();
  readonly #expiry: DueTimer;
  #prefetch: number;
  #prefetchBytes: number;
  #lostUnanswered = 0;
  /** Deliveries whose settlement is on its way to disk. */
  #settling = 0;
  #isStopped = false;
  #isClosed = false;

  constructor(dispatcher: ConsumerOwner, clock: Clock, options: ConsumerOptions) {
    this.dispatcher = dispatcher;
    this.name = options.name;
    this.leaseMs = options.leaseMs;
    this.attemptsMax = options.attemptsMax;
    this.startsExplicitly = options.startsExplicitly ?? false;
    this.isBrief = options.isBrief ?? false;
    this.standsBy = options.standsBy ?? true;
    this.priority = options.priority ?? 0;
    this.onAssigned = options.onAssigned;
    this.onRevoked = options.onRevoked;
    this.onDeliveries = options.onDeliveries;
    this.#onEnded = options.onEnded;
    this.#prefetch = options.prefetch;
    this.#prefetchBytes = options.prefetchBytes ?? Number.POSITIVE_INFINITY;
    this.#clock = clock;
    this.#expiry = new DueTimer(clock, () => {
      const foundMs = clock.monotonicMs();
      clock.defer(() => this.#loseExpired(foundMs));
    });
  }

  /** How many more messages it takes now. */
  get credit(): number {
    return this.#isStopped || this.isSated ? 0 : this.#prefetch - this.inFlight - this.#lostUnanswered;
  }

  /** Hot: whether it has as many bytes as it may have. */
  get isSated(): boolean {
    return this.#leases.bytes >= this.#prefetchBytes;
  }

  /** Whether it takes no more messages, and leaves when it has none. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Whether it could be handed something, fetching it from disk included. */
  get hasReady(): boolean {
    return this.dispatcher.hasReadyFor(this);
  }

  /** Of the bodies that it has. */
  get bytesInFlight(): number {
    return this.#leases.bytes;
  }

  get inFlight(): number {
    return this.#leases.size + this.#settling;
  }

  /** With a `prefetch` of 0 it gets nothing for now; what it has stays with it. Errors: INVALID_OPTION. */
  setPrefetch(prefetch: number, prefetchBytes = Number.POSITIVE_INFINITY): void {
    assertAtLeast(this.name, "prefetch", prefetch, 0);
    assertAtLeast(this.name, "prefetchBytes", prefetchBytes, 1);
    const hadCredit = this.credit > 0;
    this.#prefetch = prefetch;
    this.#prefetchBytes = prefetchBytes;
    if (!hadCredit && this.credit > 0) this.dispatcher.wake();
  }

  setAttemptsMax(attemptsMax: number): void {
    this.attemptsMax = attemptsMax;
  }

  /** Hot: called by the dispatcher for each message handed over. */
  add(delivery: Delivery): void {
    this.#leases.insert(delivery);
    this.#expiry.armAt(delivery.leaseExpiresAtMs);
  }

  /** The delivery of the message, when this consumer has it. */
  find(state: DeliveryState, offset: number): Delivery | undefined {
    let delivery = this.#leases.first;
    while (delivery !== undefined && (delivery.state !== state || delivery.record.offset !== offset))
      delivery = delivery.following;
    return delivery;
  }

  /** Hot: called by the delivery that is settled. */
  remove(delivery: Delivery): void {
    this.#leases.remove(delivery);
    if (this.#isStopped) this.#endWhenSettled();
  }

  beginSettling(delivery: Delivery): void {
    this.#leases.remove(delivery);
    this.#settling += 1;
  }

  endSettling(delivery: Delivery, isLeased: boolean): void {
    this.#settling -= 1;
    if (isLeased) this.#lease(delivery, this.leaseMs);
    if (isLeased && delivery.state.isRetired) this.revoke(delivery.state);
    else if (isLeased && this.#isClosed) delivery.release();
    if (this.#isStopped) this.#endWhenSettled();
  }

  extend(delivery: Delivery, leaseMs: number): void {
    this.#leases.remove(delivery);
    this.#lease(delivery, leaseMs);
  }

  /** Renews every lease that it holds: for a consumer that is known to be alive. */
  renewAll(): void {
    const expiresAtMs = this.#clock.monotonicMs() + this.leaseMs;
    for (let delivery = this.#leases.first; delivery !== undefined; delivery = delivery.following) {
      delivery.leaseExpiresAtMs = Math.max(delivery.leaseExpiresAtMs, expiresAtMs);
    }
  }

  freeLostSlot(): void {
    this.#lostUnanswered -= 1;
    this.dispatcher.wake();
  }

  /** Takes no more messages. It ends by itself when what it has is settled, or its leases have run out. */
  stop(): void {
    this.#stop();
    this.#endWhenSettled();
  }

  /** Takes no more messages, and makes way for others at once; what it has stays with it. */
  leave(): void {
    this.#isStopped = true;
    this.dispatcher.consumerLeft(this);
    this.#endWhenSettled();
  }

  /** Gives back, untried, what it has not settled. */
  close(): void {
    this.#stop();
    this.#isClosed = true;
    for (let delivery = this.#leases.first; delivery !== undefined; delivery = this.#leases.first)
      delivery.release();
    this.#endWhenSettled();
  }

  /** Takes away what it has of one log, or all: it is told, and what it answers is refused. */
  revoke(state: DeliveryState | undefined): void {
    const revoked: Delivery[] = [];
    for (let delivery = this.#leases.first; delivery !== undefined; delivery = delivery.following)
      if (state === undefined || delivery.state === state) revoked.push(delivery);
    for (const delivery of revoked) {
      this.#leases.remove(delivery);
      this.#lostUnanswered += 1;
      this.dispatcher.forgot();
    }
    for (const delivery of revoked) delivery.lose();
  }

  /** What it consumes from was deleted. */
  end(reason: BrokerError): void {
    this.#isStopped = true;
    this.revoke(undefined);
    this.#endWhenSettled();
    this.#onEnded?.(reason);
  }

  #lease(delivery: Delivery, leaseMs: number): void {
    delivery.leaseExpiresAtMs = this.#clock.monotonicMs() + leaseMs;
    this.#leases.insert(delivery);
    this.#expiry.armAt(delivery.leaseExpiresAtMs);
  }

  #stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.dispatcher.consumerStopped();
  }

  #endWhenSettled(): void {
    if (this.inFlight > 0) return;
    this.#expiry.cancel();
    this.dispatcher.removeConsumer(this);
  }

  /**
   * In a later turn than that of the timer, which found leases that had run out at `foundMs`: when this thread was blocked,
   * answers and renewals may lie behind it. What has run out since then may be renewed first, too.
   */
  #loseExpired(foundMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#leases.first?.leaseExpiresAtMs ?? nowMs) >= STOOD_STILL_MS) this.renewAll();
    try {
      for (
        let first = this.#leases.first;
        first !== undefined && first.leaseExpiresAtMs <= foundMs;
        first = this.#leases.first
      ) {
        this.#leases.remove(first);
        this.#lostUnanswered += 1;
        this.dispatcher.leaseRanOut(first, this.leaseMs, first.isBegun || !this.startsExplicitly);
        first.lose();
      }
    } finally {
      // Whatever a listener throws, the other leases run out too.
      if (this.#leases.first !== undefined) this.#expiry.armAt(this.#leases.first.leaseExpiresAtMs);
      if (this.#isStopped) this.#endWhenSettled();
    }
  }
}

/** Errors: INVALID_OPTION. */
export function assertConsumerOptions(options: ConsumerOptions): void {
  const { name, prefetch, prefetchBytes = Number.POSITIVE_INFINITY, priority = 0 } = options;
  assertAtLeast(name, "prefetch", prefetch, 0);
  assertAtLeast(name, "prefetchBytes", prefetchBytes, 1);
  assertAtLeast(name, "leaseMs", options.leaseMs, 1);
  assertAtLeast(name, "attemptsMax", options.attemptsMax, 1);
  if (Number.isSafeInteger(priority)) return;
  throw new BrokerError(
    "INVALID_OPTION",
    `The option priority of consumer ${name} is ${String(priority)}; give a whole number.`,
    { option: "priority", value: String(priority) },
  );
}

/** Infinity is no limit. */
function assertAtLeast(consumer: string, option: string, value: unknown, least: 0 | 1): void {
  if (typeof value === "number" && (value === 0 ? least === 0 : value >= 1)) return;
  throw new BrokerError(
    "INVALID_OPTION",
    `The option ${option} of consumer ${consumer} is ${String(value)}; give a number of at least ${least}.`,
    { option, value: String(value) },
  );
}
