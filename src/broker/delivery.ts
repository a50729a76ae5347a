// One hand-over of a message to a consumer, and the list of those that a consumer has not settled.

import { BrokerError } from "../broker-error.js";
import type { PendingAppend } from "../log/pending-append.js";
import type { StoredRecord } from "../log/record.js";
import type { DeadLetterReason } from "./dead-letter.js";
import type { DeliveryState } from "./delivery-state.js";
import { type MessageStatus, statusOf } from "./message-status.js";

const LEASED = 0;
const SETTLED = 1;
const LOST = 2;
const SETTLING = 3;

/** How a nack wants the message back. */
export interface NackOptions {
  /** Milliseconds until it may be handed out again. 0 is at once, ahead of later messages. */
  readonly delayMs: number;
  /** What went wrong; kept with the message and shown with its dead letter. */
  readonly error: string;
  /** With order by key: whether later messages of the key wait for this one. */
  readonly keepsTurn: boolean;
}

/** What a delivery needs of the consumer that has it. */
export interface DeliveryHolder {
  readonly name: string;
  readonly dispatcher: DeliverySettler;
  /** Tries of a message before it is dead-lettered. */
  readonly attemptsMax: number;
  find(state: DeliveryState, offset: number): Delivery | undefined;
  remove(delivery: Delivery): void;
  /** Its settlement is on its way to disk: it keeps its slot, and its lease does not run out. */
  beginSettling(delivery: Delivery): void;
  /** `isLeased`: it could not be settled, and is leased anew. */
  endSettling(delivery: Delivery, isLeased: boolean): void;
  extend(delivery: Delivery, leaseMs: number): void;
  /** A delivery whose lease was lost has been answered. */
  freeLostSlot(): void;
}

/** What a delivery needs of the dispatcher that made it. */
export interface DeliverySettler {
  readonly holders: readonly DeliveryHolder[];
  /** Remembers what was handled, within the atomic step that settles it. */
  readonly inbox: { remember(record: StoredRecord): PendingAppend | undefined } | undefined;
  /** The message is done, and in flight until that is noted. */
  ack(delivery: Delivery): void;
  /** It is noted that the message is done. */
  settle(delivery: Delivery): void;
  retry(delivery: Delivery, options: NackOptions): void;
  release(delivery: Delivery, delayMs: number): void;
  moveToDeadLetters(delivery: Delivery, reason: DeadLetterReason, error: string): Promise<void>;
}

/**
 * A message in flight. It is settled once: by {@link ack}, {@link nack}, {@link release} or {@link deadLetter}, or
 * its lease runs out. After that each of these throws LEASE_LOST and changes nothing: the message may be with another
 * consumer already.
 *
 * Hot: one object a message. It is its own node in the list of its consumer's deliveries.
 */
export class Delivery {
  readonly record: StoredRecord;
  /** The first try is 1. */
  readonly attempt: number;
  readonly state: DeliveryState;
  readonly consumer: DeliveryHolder;
  /** Of the monotonic clock. */
  leaseExpiresAtMs: number;
  /** Runs when the lease is lost while the consumer still works on the message. */
  onLeaseLost: (() => void) | undefined;
  /** Whether its consumer works on it, as far as that is known: a crash is then a try that did not come back. */
  isBegun: boolean;
  previous: Delivery | undefined;
  following: Delivery | undefined;
  #status: typeof LEASED | typeof SETTLED | typeof LOST | typeof SETTLING;

  constructor(
    record: StoredRecord,
    attempt: number,
    state: DeliveryState,
    consumer: DeliveryHolder,
    leaseExpiresAtMs: number,
  ) {
    this.record = record;
    this.attempt = attempt;
    this.state = state;
    this.consumer = consumer;
    this.leaseExpiresAtMs = leaseExpiresAtMs;
    this.onLeaseLost = undefined;
    this.isBegun = false;
    this.previous = undefined;
    this.following = undefined;
    this.#status = LEASED;
  }

  /** Of the topic; undefined for a queue. */
  get partition(): number | undefined {
    return this.state.partition;
  }

  get status(): MessageStatus {
    return statusOf(this.state, this.record.offset, this.consumer.dispatcher.holders);
  }

  /** Whether the message was handed out before, and not settled: tried, or given back untried. Holds while it is leased. */
  get isRedelivered(): boolean {
    return this.attempt > 1 || this.state.wasGivenBack(this.record.offset);
  }

  get isLeased(): boolean {
    return this.#status === LEASED;
  }

  /** Whether it is leased, or its settlement is on its way to disk. */
  get isOpen(): boolean {
    return this.#status === LEASED || this.#status === SETTLING;
  }

  /** Hot: its consumer starts on the message. Needed of consumers that start explicitly. */
  begin(): void {
    if (this.isBegun) return;
    this.isBegun = true;
    this.state.begin(this.record.offset);
  }

  /** Hot: the message is done. */
  ack(): void {
    this.#end();
    this.consumer.dispatcher.ack(this);
  }

  /** The message was tried and is to be tried again. Errors besides LEASE_LOST: INVALID_OPTION, and it stays leased. */
  nack(options: NackOptions): void {
    assertDelay(options.delayMs);
    this.#end();
    this.consumer.dispatcher.retry(this, options);
  }

  /** Gives the message back untried: it does not count as an attempt. It is handed out again after `delayMs`. */
  release(delayMs = 0): void {
    assertDelay(delayMs);
    this.#end();
    this.consumer.dispatcher.release(this, delayMs);
  }

  /** Moves the message to the dead letters. Resolves when it is there; it stays in flight until then. */
  deadLetter(reason: DeadLetterReason, error: string): Promise<void> {
    this.#end();
    return this.consumer.dispatcher.moveToDeadLetters(this, reason, error);
  }

  /** Renews the lease: it ends `leaseMs` from now. Errors besides LEASE_LOST: INVALID_OPTION. */
  extend(leaseMs: number): void {
    if (!(leaseMs > 0)) throw invalidTime("lease", leaseMs, "above 0");
    this.assertLeased();
    this.consumer.extend(this, leaseMs);
  }

  /** Errors: LEASE_LOST. */
  assertLeased(): void {
    if (this.#status !== LEASED) throw this.#lost();
  }

  /** Its ack is on its way to disk with other things: {@link endSettling}, {@link failSettling} or {@link leaveSettling} follows. */
  beginSettling(): void {
    this.#status = SETTLING;
    this.consumer.beginSettling(this);
  }

  endSettling(): void {
    this.#status = SETTLED;
    this.consumer.endSettling(this, false);
    this.consumer.dispatcher.settle(this);
  }

  /** Whether it is settled is not known: it stays in flight, with nobody. */
  leaveSettling(): void {
    this.#status = SETTLED;
    this.consumer.endSettling(this, false);
  }

  failSettling(): void {
    this.#status = LEASED;
    this.consumer.endSettling(this, true);
  }

  /** Called by the consumer when the lease has run out. */
  lose(): void {
    this.#status = LOST;
    this.onLeaseLost?.();
  }

  #end(): void {
    if (this.#status !== LEASED) {
      if (this.#status === LOST) {
        // The consumer has answered at last: its slot is free again.
        this.#status = SETTLED;
        this.consumer.freeLostSlot();
        throw this.#lost();
      }
      throw this.#lost();
    }
    this.#status = SETTLED;
    this.consumer.remove(this);
  }

  #lost(): BrokerError {
    return new BrokerError(
      "LEASE_LOST",
      `Message ${this.record.offset} of ${this.state.name} is no longer leased to ${this.consumer.name}: it was settled before, or its lease ran out and it was given to another. Use a longer lease, or extend it while working.`,
      { source: this.state.name, offset: this.record.offset, consumer: this.consumer.name },
    );
  }
}

function assertDelay(delayMs: number): void {
  if (!(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY))
    throw invalidTime("delay", delayMs, "of at least 0");
}

function invalidTime(option: string, value: number, wanted: string): BrokerError {
  return new BrokerError(
    "INVALID_OPTION",
    `The ${option} of a delivery is ${value}; give a number of milliseconds ${wanted}.`,
    { option, value: String(value) },
  );
}

/** The deliveries of one consumer in the order in which their leases run out: a doubly linked list through them. */
export class LeaseList {
  first: Delivery | undefined = undefined;
  #last: Delivery | undefined = undefined;
  size = 0;
  /** Of their bodies. */
  bytes = 0;

  /** Hot: leases of one consumer have one length, so a new one belongs last, or near it after {@link Delivery.extend}. */
  insert(delivery: Delivery): void {
    let before = this.#last;
    while (before !== undefined && before.leaseExpiresAtMs > delivery.leaseExpiresAtMs)
      before = before.previous;
    const after = before === undefined ? this.first : before.following;
    delivery.previous = before;
    delivery.following = after;
    if (before === undefined) this.first = delivery;
    else before.following = delivery;
    if (after === undefined) this.#last = delivery;
    else after.previous = delivery;
    this.size += 1;
    this.bytes += delivery.record.valueSizeBytes;
  }

  remove(delivery: Delivery): void {
    if (delivery.previous === undefined) this.first = delivery.following;
    else delivery.previous.following = delivery.following;
    if (delivery.following === undefined) this.#last = delivery.previous;
    else delivery.following.previous = delivery.previous;
    delivery.previous = undefined;
    delivery.following = undefined;
    this.size -= 1;
    this.bytes -= delivery.record.valueSizeBytes;
  }
}
