// The order in which messages of one place may come: as they were published, by key, the most important first.

import assert from "node:assert/strict";
import type { ModelMessage } from "./model-message.js";
import type { HeldDelivery } from "./source-model.js";

/** A place with messages. */
interface OrderedPlace {
  readonly isByKey: boolean;
  readonly messages: Iterable<ModelMessage>;
  readonly held: ReadonlySet<HeldDelivery>;
  /** Whether messages may leave before their turn: too many are there. */
  readonly overflow: string | undefined;
  mayBeGone(id: string): boolean;
}

export class DeliveryOrder {
  readonly #place: OrderedPlace;
  readonly #attemptsMax: number;
  /** By partition, priority and way, the last number that came in plain order in this life. */
  readonly #lastNumbers = new Map<string, number>();

  constructor(place: OrderedPlace, attemptsMax: number) {
    this.#place = place;
    this.#attemptsMax = attemptsMax;
  }

  /** Whether messages keep their order unless something is known of them. */
  isKept = true;

  /** From here on everything that is unsettled comes again from the beginning. */
  restart(partition?: string): void {
    for (const line of [...this.#lastNumbers.keys()])
      if (partition === undefined || line.startsWith(`${partition} `)) this.#lastNumbers.delete(line);
  }

  /** `message` comes now. */
  check(message: ModelMessage, partition: number | undefined, what: string): void {
    if (this.#place.isByKey) this.#checkKey(message, what);
    else this.#checkPlain(message, partition, what);
  }

  #checkKey(message: ModelMessage, what: string): void {
    for (const { message: other, delivery } of this.#place.held)
      assert.ok(
        other === message || other.key !== message.key || !delivery.isLeased || other.isSettled,
        `${what} came while ${other.id} of its key was out`,
      );
    if (message.isParked || message.isReplayed) return;
    for (const other of this.#place.messages) {
      if (other.number >= message.number || other.key !== message.key) continue;
      // Which priority, or way, of a key stands in line first depends on which was there first.
      if (other.priority !== message.priority || other.way !== message.way) continue;
      assert.ok(
        other.isSettled || this.#mayBeBehind(other),
        `${what} came before ${other.id} of its key was settled`,
      );
    }
  }

  #mayBeBehind(other: ModelMessage): boolean {
    return (
      other.isParked ||
      other.isUnknown ||
      other.isReplayed ||
      other.isInDoubt ||
      other.triesMax >= this.#attemptsMax ||
      !other.isCommitted ||
      this.#place.mayBeGone(other.id) ||
      this.#place.overflow !== undefined
    );
  }

  #checkPlain(message: ModelMessage, partition: number | undefined, what: string): void {
    this.#checkPriority(message, what);
    if (message.isOutOfOrder || message.isUnknown || !this.isKept) return;
    const line = `${partition} ${message.priority} ${message.way}`;
    const last = this.#lastNumbers.get(line) ?? -1;
    assert.ok(message.number > last, `${what} came after a later one`);
    this.#lastNumbers.set(line, message.number);
  }

  /** Whoever asks gets the highest that is ready. */
  #checkPriority(message: ModelMessage, what: string): void {
    for (const other of this.#place.messages)
      assert.ok(
        other.priority <= message.priority || !this.#isReady(other),
        `${what} came before ${other.id}, which is more important`,
      );
  }

  /** For certain. */
  #isReady(message: ModelMessage): boolean {
    const { isCommitted, isSettled, isInDoubt, isUnknown, isParked, isRefused, way } = message;
    if (!isCommitted || isSettled || isInDoubt || isUnknown || isParked || isRefused || way !== "")
      return false;
    if (
      message.isHeldBack ||
      message.isReplayed ||
      message.triesMax >= this.#attemptsMax ||
      this.#place.overflow !== undefined
    )
      return false;
    for (const held of this.#place.held) if (held.message === message) return false;
    return true;
  }
}
