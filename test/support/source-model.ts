// What a queue or group may do with the messages that it was given, over any number of lives: a simple model that
// every delivery and every restart is held against.

import assert from "node:assert/strict";
import type { Delivery } from "../../src/broker/delivery.js";

/** Where the last that happened to a message is known: what a kill takes, what only a power failure takes, or neither. */
type Storage = "process" | "system" | "disk";

interface ModelMessage {
  readonly id: string;
  readonly key: string;
  /** In the order of publishing. */
  readonly number: number;
  /** Higher ones overtake. */
  readonly priority: number;
  readonly isDelayed: boolean;
  isCommitted: boolean;
  /** How often it may have been tried without success. */
  triesMin: number;
  triesMax: number;
  /** An answer was accepted that settled it. After a crash that may be forgotten. */
  isSettled: boolean;
  storage: Storage;
  /** It was settled, a crash came, and it is not known whether that was forgotten. */
  isInDoubt: boolean;
  /** Whether some consumer was ever given it, or it was set aside: then it is out of the plain order. */
  isOutOfOrder: boolean;
  /** With order by key: later ones of the key may overtake it. */
  isParked: boolean;
  /** It stands behind those that came meanwhile, or in a log of its own. */
  isReplayed: boolean;
  /** What settles it, its dead letter or a transaction, is under way. */
  isSettling: boolean;
  /** Its publisher was told that it is not stored. */
  isRefused: boolean;
  /** Nothing can be said of it any more. */
  isUnknown: boolean;
}

/** One hand-over that has not been answered. */
export interface HeldDelivery {
  readonly delivery: Delivery;
  readonly message: ModelMessage;
}

export class SourceModel {
  readonly name: string;
  readonly isByKey: boolean;
  /** Answers that were refused, because the lease was lost. */
  refused = 0;
  readonly #attemptsMax: number;
  readonly #isSynced: boolean;
  readonly held = new Set<HeldDelivery>();
  readonly #messages = new Map<string, ModelMessage>();
  /** By partition and priority, the last number that came in plain order in this life. */
  #lastNumbers = new Map<string, number>();

  /** `isSynced`: a power failure takes nothing that was acknowledged to its publisher. */
  constructor(name: string, isByKey: boolean, attemptsMax: number, isSynced = true) {
    this.name = name;
    this.#isSynced = isSynced;
    this.isByKey = isByKey;
    this.#attemptsMax = attemptsMax;
  }

  /** Before the message is appended. */
  publishing(id: string, key: string, isDelayed: boolean, priority = 0): void {
    this.#messages.set(id, {
      id,
      key,
      priority,
      number: this.#messages.size,
      isDelayed,
      isCommitted: false,
      triesMin: 0,
      triesMax: 0,
      isSettled: false,
      storage: "disk",
      isInDoubt: false,
      isOutOfOrder: isDelayed,
      isParked: isDelayed,
      isReplayed: false,
      isSettling: false,
      isRefused: false,
      isUnknown: false,
    });
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
    assert.ok(!message.isRefused, `${what} came although its publisher was told that it is not stored`);
    if (message.isUnknown) message.isSettled = false;
    assert.ok(!message.isSettled, `${what} came although it was settled`);
    for (const held of this.held)
      assert.ok(held.message !== message || !held.delivery.isLeased, `${what} came while it was leased`);
    const tries = delivery.attempt - 1;
    assert.ok(
      message.isUnknown || (tries >= message.triesMin && tries <= message.triesMax),
      `${what} was tried ${message.triesMin} to ${message.triesMax} times before`,
    );
    message.triesMin = tries;
    message.triesMax = tries;
    message.storage = "process";
    if (message.isUnknown) message.isReplayed = true;
    if (this.isByKey) this.#checkKey(message, what);
    else this.#checkOrder(message, delivery.partition, what);
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
    held.message.storage = "process";
  }

  /** The disk is full, and what was acknowledged a moment ago may not find room. */
  diskFull(): void {
    for (const message of this.#messages.values()) {
      if (!message.isSettled || message.isSettling || message.storage !== "process") continue;
      message.isSettled = false;
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
   * It is being settled with something else: a dead letter, after which {@link dead} or {@link burialFailed} follows, or
   * a transaction, after which {@link settledForGood} or {@link leasedAnew} does; unless a crash comes, or the storage
   * fails: then it is not known, and it does not come before the next restart.
   */
  settling(held: HeldDelivery): void {
    this.settled(held);
    held.message.isSettling = true;
  }

  settledForGood({ message }: HeldDelivery): void {
    message.isSettling = false;
    message.storage = "disk";
  }

  leasedAnew(held: HeldDelivery): void {
    held.message.isSettling = false;
    held.message.isSettled = false;
    this.held.add(held);
  }

  failed(held: HeldDelivery, isParked: boolean): void {
    this.held.delete(held);
    held.message.triesMin += 1;
    held.message.triesMax += 1;
    // For good: a clock that is set back makes it wait a second time.
    held.message.isParked ||= isParked;
    held.message.storage = "process";
  }

  released(held: HeldDelivery, isParked: boolean): void {
    this.held.delete(held);
    // For good: a clock that is set back makes it wait a second time.
    held.message.isParked ||= isParked;
    held.message.storage = "process";
  }

  /** A dead letter is on its way, and whether it gets there is not known before a restart or the end. */
  dead(id: string): void {
    const message = this.#messages.get(id)!;
    message.isSettled = true;
    message.isSettling = false;
    message.storage = "disk";
    message.isInDoubt = false;
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
    message.isParked = true;
    // It may be set aside as expired, and come after all: its dead letter finds no room, and the clock is set back.
    message.isOutOfOrder = true;
  }

  /** A dead letter is replayed or discarded; a crash from here on may undo that. */
  leaving(id: string, how: "replay" | "discard"): void {
    if (how === "replay") this.replayed(id);
    else this.dead(id);
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
    this.#lastNumbers = new Map();
  }

  /** What was not stored may be forgotten. A power failure takes what the system had not written, of any age. */
  crashed(isPower: boolean): void {
    for (const message of this.#messages.values()) {
      message.isOutOfOrder ||= message.isSettled;
      if (isPower && !this.#isSynced) message.isCommitted = false;
      message.isSettling = false;
      const isKnown = message.storage === "disk" || (message.storage === "system" && !isPower);
      const isOut = [...this.held].some((held) => held.message === message && held.delivery.isLeased);
      // On its way to the dead letters because it was tried too often, which nobody sees.
      const mayBeBuried = !message.isSettled && message.triesMax >= this.#attemptsMax;
      if (isKnown && mayBeBuried) message.triesMax += 1;
      if (isKnown && !isOut) continue;
      // Its last try may count as one that did not come back, or may be forgotten, and others with it.
      message.triesMax += 1;
      message.triesMin = 0;
      message.isInDoubt ||= message.isSettled;
      message.isSettled = false;
    }
    this.held.clear();
    this.#lastNumbers = new Map();
  }

  /** Those that are in the log for certain and are not settled. */
  unsettled(): string[] {
    return [...this.#messages.values()]
      .filter(
        ({ isCommitted, isRefused, isSettled, isInDoubt, isUnknown }) =>
          isCommitted && !isRefused && !isSettled && !isInDoubt && !isUnknown,
      )
      .map(({ id }) => id);
  }

  #checkKey(message: ModelMessage, what: string): void {
    for (const { message: other, delivery } of this.held)
      assert.ok(
        other === message || other.key !== message.key || !delivery.isLeased || other.isSettled,
        `${what} came while ${other.id} of its key was out`,
      );
    if (message.isParked || message.isReplayed) return;
    for (const other of this.#messages.values()) {
      if (other.number >= message.number || other.key !== message.key) continue;
      const isExhausted = other.triesMax >= this.#attemptsMax;
      // Which priority of a key stands in line first depends on which was there first.
      if (other.priority !== message.priority) continue;
      const mayBeBehind =
        other.isParked ||
        other.isUnknown ||
        other.isReplayed ||
        other.isInDoubt ||
        isExhausted ||
        !other.isCommitted;
      assert.ok(other.isSettled || mayBeBehind, `${what} came before ${other.id} of its key was settled`);
    }
  }

  #checkOrder(message: ModelMessage, partition: number | undefined, what: string): void {
    if (message.isOutOfOrder) return;
    const line = `${partition} ${message.priority}`;
    const last = this.#lastNumbers.get(line) ?? -1;
    assert.ok(message.number > last, `${what} came after a later one`);
    this.#lastNumbers.set(line, message.number);
  }
}
