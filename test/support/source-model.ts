// What a queue or group may do with the messages that it was given, over any number of lives: a simple model that
// every delivery and every restart is held against.

import assert from "node:assert/strict";
import type { DeadLetterEntry } from "../../src/broker/dead-letter.js";
import type { Delivery } from "../../src/broker/delivery.js";
import { DeliveryOrder } from "./delivery-order.js";
import { type ModelMessage, newMessage } from "./model-message.js";

/** One hand-over that has not been answered. */
export interface HeldDelivery {
  readonly delivery: Delivery;
  readonly message: ModelMessage;
}

/** What the publisher of a message may say of it. */
interface Told {
  readonly isDelayed?: boolean;
  readonly priority?: number;
  /** By which way it comes, unless directly. */
  readonly way?: string;
}

export class SourceModel {
  readonly name: string;
  readonly isByKey: boolean;
  /** What its dead letters may name as the place where they died. */
  readonly names: readonly string[];
  /** Answers that were refused, because the lease was lost. */
  refused = 0;
  /** Whether it is known that nothing is handed out. */
  isPaused = false;
  /** What happens to the oldest when there are too many. */
  overflow: "drop" | "bury" | undefined = undefined;
  /** Whether a message may have been removed before it came. */
  mayBeGone: (id: string) => boolean = () => false;
  readonly #attemptsMax: number;
  readonly #isSynced: boolean;
  readonly held = new Set<HeldDelivery>();
  readonly #messages = new Map<string, ModelMessage>();
  readonly #order: DeliveryOrder;

  /** `isSynced`: a power failure takes nothing that was acknowledged to its publisher. */
  constructor(
    name: string,
    isByKey: boolean,
    attemptsMax: number,
    isSynced = true,
    ways: readonly string[] = [],
  ) {
    this.name = name;
    this.names = [name, ...ways];
    this.#order = new DeliveryOrder(this, attemptsMax);
    this.#isSynced = isSynced;
    this.isByKey = isByKey;
    this.#attemptsMax = attemptsMax;
  }

  get messages(): Iterable<ModelMessage> {
    return this.#messages.values();
  }

  /** The disk is full, or fails: what is too much finds no way to the dead letters, and comes back later. */
  setAside(): void {
    if (this.overflow === "bury") this.#order.isKept = false;
  }

  /** Before the message is appended. */
  publishing(id: string, key: string, told: Told = {}): void {
    const { isDelayed = false, priority = 0, way = "" } = told;
    const number = this.#messages.size;
    this.#messages.set(id, newMessage({ id, key, number, priority, isDelayed, way }));
  }

  isKnown(id: string): boolean {
    return this.#messages.has(id);
  }

  committed(id: string): void {
    this.#messages.get(id)!.isCommitted = true;
  }

  /** The publisher was told that the message is not stored: nobody may ever get it. */
  neverStored(id: string): void {
    this.#messages.get(id)!.isRefused = true;
  }

  /** A message came. Checks that it may come now, and remembers who has it. */
  delivered(delivery: Delivery): HeldDelivery {
    const message = this.#messages.get(delivery.record.valueText())!;
    const what = `${this.name}: ${message.id}, attempt ${delivery.attempt}`;
    assert.ok(!this.isPaused, `${what} came although nothing is to be handed out`);
    assert.ok(!message.isRefused, `${what} came although its publisher was told that it is not stored`);
    if (message.isUnknown) message.isSettled = false;
    assert.ok(!message.isSettled, `${what} came although it was settled`);
    for (const held of this.held)
      assert.ok(
        held.message !== message || !held.delivery.isLeased || message.isUnknown,
        `${what} came while it was leased`,
      );
    const tries = delivery.attempt - 1;
    assert.ok(
      message.isUnknown || (tries >= message.triesMin && tries <= message.triesMax),
      `${what} was tried ${message.triesMin} to ${message.triesMax} times before`,
    );
    message.triesMin = tries;
    message.triesMax = tries;
    message.storage = "process";
    if (message.isUnknown) message.isReplayed = true;
    this.#order.check(message, delivery.partition, what);
    message.isOutOfOrder = true;
    // It came, so it is in the log, and not settled.
    message.isCommitted = true;
    message.isInDoubt = false;
    const held = { delivery, message };
    this.held.add(held);
    return held;
  }

  /** The lease was lost. */
  lost({ message }: HeldDelivery): void {
    message.triesMin += 1;
    message.triesMax += 1;
    message.storage = "process";
  }

  settled(held: HeldDelivery): void {
    this.held.delete(held);
    held.message.isSettled = true;
    held.message.isAcknowledged = true;
    held.message.storage = "process";
  }

  /** The disk is full, and what was acknowledged a moment ago may not find room. */
  diskFull(): void {
    for (const message of this.#messages.values()) {
      if (!message.isSettled || message.isSettling || message.storage !== "process") continue;
      message.isSettled = false;
      message.isAcknowledged = false;
      message.isInDoubt = true;
      message.isParked = true;
    }
  }

  /** It was acknowledged, which may turn out not to have been stored: then it comes again. */
  settledInDoubt(held: HeldDelivery): void {
    this.held.delete(held);
    held.message.isInDoubt = true;
    held.message.isParked = true;
    held.message.storage = "process";
  }

  /**
   * It is being settled with something else: a dead letter, after which {@link died} or {@link burialFailed} follows, or
   * a transaction, after which {@link settledForGood} or {@link leasedAnew} does; unless a crash comes, or the storage
   * fails: then it is not known, and it does not come before the next restart.
   */
  settling(held: HeldDelivery): void {
    this.settled(held);
    held.message.isAcknowledged = false;
    held.message.isSettling = true;
  }

  /** A consumer sends it to the dead letters. */
  burying(held: HeldDelivery): void {
    this.settling(held);
    held.message.wasBuried = true;
  }

  settledForGood({ message }: HeldDelivery): void {
    message.isSettling = false;
    message.isAcknowledged = true;
    message.storage = "disk";
  }

  leasedAnew(held: HeldDelivery): void {
    held.message.isSettling = false;
    held.message.isSettled = false;
    this.held.add(held);
  }

  /** `waits`: not to be handed out at once. */
  failed(held: HeldDelivery, isParked: boolean, waits = isParked): void {
    this.held.delete(held);
    held.message.isHeldBack ||= waits;
    held.message.triesMin += 1;
    held.message.triesMax += 1;
    // For good: a clock that is set back makes it wait a second time.
    held.message.isParked ||= isParked;
    held.message.storage = "process";
  }

  released(held: HeldDelivery, isParked: boolean): void {
    this.held.delete(held);
    held.message.isHeldBack ||= isParked;
    // For good: a clock that is set back makes it wait a second time.
    held.message.isParked ||= isParked;
    held.message.storage = "process";
  }

  /** It is among the dead letters. */
  died(id: string): void {
    const message = this.#messages.get(id)!;
    message.isSettled = true;
    message.isSettling = false;
    message.storage = "disk";
    message.isInDoubt = false;
    message.isDead = true;
  }

  /** It was found among the dead letters, for which there has to be a cause. */
  foundDead(id: string, { reason, attempts }: DeadLetterEntry): void {
    const message = this.#messages.get(id);
    assert.ok(message !== undefined, `${this.name}: ${id}, which nobody published, is a dead letter`);
    if (!message.isDead && !message.mayBeDead && !message.isUnknown) {
      const what = `${this.name}: ${id} is a dead letter, ${reason} after ${attempts} attempts,`;
      assert.ok(!message.isAcknowledged, `${what} although it was acknowledged`);
      const isLate = reason === "rejected";
      assert.ok(!isLate || message.wasBuried, `${what} although no consumer said so`);
      const isExhausted = reason === "attempts-exhausted";
      assert.ok(!isExhausted || attempts >= this.#attemptsMax, `${what} too early`);
      assert.ok(reason !== "overflow" || this.overflow === "bury", `${what} although it had room`);
      assert.ok(
        isExhausted || isLate || reason === "expired" || reason === "overflow",
        `${what} for no cause`,
      );
      const triesMax = message.triesMax + (isLate ? 1 : 0);
      assert.ok(
        attempts >= message.triesMin && attempts <= triesMax,
        `${what} and was tried ${message.triesMin} to ${triesMax} times`,
      );
    }
    this.died(id);
  }

  /** Those that are dead letters for certain. */
  get dead(): string[] {
    return [...this.#messages.values()].filter(({ isDead }) => isDead).map(({ id }) => id);
  }

  /** Its dead letter could not be stored, so it is held and tried again. */
  burialFailed(id: string): void {
    const message = this.#messages.get(id)!;
    message.isSettled = false;
    message.isSettling = false;
    message.triesMin += 1;
    message.triesMax += 1;
    message.isParked = true;
  }

  /** It was found in the log. */
  found(id: string): void {
    const message = this.#messages.get(id)!;
    assert.ok(!message.isRefused, `${id} is stored although its publisher was told that it is not`);
    message.isCommitted = true;
  }

  /** Whoever reads from here was moved in one partition: what is behind the place comes again, and nothing else. */
  moved(
    partition: number,
    isThere: (id: string) => boolean,
    isBehind: (id: string) => boolean,
    isOnce: boolean,
  ): void {
    this.#order.restart(String(partition));
    for (const message of this.#messages.values()) {
      if (!isThere(message.id)) continue;
      const { isSettled, isInDoubt, wasForgotten, isSettling, isReplayed } = message;
      const wasHandled = isOnce && (isSettled || isInDoubt || wasForgotten);
      const wasAside = isReplayed || message.isDead || message.mayBeDead || message.wasBuried;
      const mayDie = message.triesMax >= this.#attemptsMax || message.mayExpire;
      // It may be elsewhere as well, or on its way there.
      message.isUnknown ||= isSettling || wasHandled || wasAside || mayDie;
      message.isSettled = !isBehind(message.id);
      message.isAcknowledged = false;
      message.isInDoubt = false;
      message.storage = "disk";
      message.triesMin = 0;
      message.triesMax = 0;
      message.isOutOfOrder = message.isDelayed;
      message.isParked = message.isDelayed;
      message.wasForgotten = true;
    }
  }

  /** Whether it was moved, and where to, is not known. */
  mayHaveMoved(): void {
    for (const message of this.#messages.values()) message.isUnknown = true;
  }

  /** Its publisher, who does not know whether it is stored, publishes it again with the same id. */
  repeating(id: string): void {
    const message = this.#messages.get(id)!;
    message.isRefused = false;
    message.isOutOfOrder = true;
    message.isReplayed = true;
  }

  wasReplayed(id: string): boolean {
    return this.#messages.get(id)!.isReplayed;
  }

  /** It may end as a dead letter without a try. */
  mayExpire(id: string): void {
    const message = this.#messages.get(id)!;
    message.mayExpire = true;
    message.isParked = true;
    // It may be set aside as expired, and come after all: its dead letter finds no room, and the clock is set back.
    message.isOutOfOrder = true;
  }

  /** A dead letter is replayed or discarded; a crash from here on may undo that. */
  leaving(id: string, how: "replay" | "discard"): void {
    if (how === "replay") this.replayed(id);
    else this.died(id);
    const message = this.#messages.get(id)!;
    message.isDead = false;
    message.mayBeDead = true;
  }

  /** The storage failed while it was replayed: it may be a dead letter still, and may come back after a restart. */
  maybeReplayed(id: string): void {
    this.#messages.get(id)!.isUnknown = true;
  }

  replayed(id: string): void {
    const message = this.#messages.get(id)!;
    message.isSettled = false;
    message.triesMin = 0;
    message.triesMax = 0;
    message.isOutOfOrder = true;
    message.isReplayed = true;
    message.isDead = false;
    message.isAcknowledged = false;
  }

  /** What happened so far was handed to the system. */
  stored(): void {
    for (const message of this.#messages.values())
      if (message.storage === "process" && !message.isSettling) message.storage = "system";
  }

  /** A clean close: what is in flight was given back. */
  closed(): void {
    for (const message of this.#messages.values()) message.storage = "disk";
    this.held.clear();
    this.#order.restart();
  }

  /** What was not stored may be forgotten. A power failure takes what the system had not written, of any age. */
  crashed(isPower: boolean): void {
    for (const message of this.#messages.values()) {
      message.isOutOfOrder ||= message.isSettled;
      if (isPower && !this.#isSynced) message.isCommitted = false;
      message.isSettling = false;
      const isKnown = message.storage === "disk" || (message.storage === "system" && !isPower);
      const isOut = [...this.held].some((held) => held.message === message && held.delivery.isLeased);
      if (isKnown && !isOut) continue;
      // Its last try may count as one that did not come back, or may be forgotten, and others with it.
      message.triesMax += 1;
      message.triesMin = 0;
      message.isInDoubt ||= message.isSettled;
      message.wasForgotten ||= message.isSettled;
      message.isSettled = false;
      message.isAcknowledged = false;
    }
    this.held.clear();
    this.#order.restart();
  }

  /** So many may be there at most. `isOnce`: one that was settled leaves when that is stored. */
  countMax(isOnce: boolean): number {
    let count = 0;
    for (const { isRefused, isSettled, isSettling, storage } of this.#messages.values())
      if (!isRefused && (!isSettled || isSettling || (isOnce && storage === "process"))) count += 1;
    return count;
  }

  /** So many are there at least that count against a limit. */
  get countMin(): number {
    let count = 0;
    for (const message of this.#messages.values())
      if (
        isUnsettled(message) &&
        !message.isReplayed &&
        !message.wasForgotten &&
        !message.mayExpire &&
        message.way === "" &&
        message.triesMax < this.#attemptsMax
      )
        count += 1;
    return count;
  }

  /** Those that are in the log for certain and are not settled. */
  unsettled(): string[] {
    return [...this.#messages.values()].filter(isUnsettled).map(({ id }) => id);
  }
}

/** For certain. */
function isUnsettled(message: ModelMessage): boolean {
  const { isCommitted, isRefused, isSettled, isInDoubt, isUnknown } = message;
  return isCommitted && !isRefused && !isSettled && !isInDoubt && !isUnknown;
}
