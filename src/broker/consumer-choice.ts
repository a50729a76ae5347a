// The consumers of one queue or subscription, and which of them is served next.

import type { Consumer } from "./consumer.js";

/** How messages are shared out between consumers that may all get them. */
export type Balance =
  /** In turn, whoever takes more. */
  | "credit"
  /** Whoever has the fewest messages in flight. */
  | "fewest"
  /** Each key has its consumer. */
  | "key";

export interface ChoiceOptions {
  readonly balance: Balance;
  /** One consumer gets everything until it has left; the others that stand by wait. */
  readonly singleActiveConsumer: boolean;
}

export class ConsumerChoice {
  readonly isByFewest: boolean;
  readonly #isSingle: boolean;
  /** The highest priority first; of one priority as they came. */
  readonly #consumers: Consumer[] = [];
  /** The one that gets everything, where only one does. */
  #active: Consumer | undefined = undefined;
  /** Whether the first one with credit, from the next index on, is the one. */
  #isPlain: boolean;
  #nextIndex = 0;
  #earlierIndex = 0;

  constructor({ balance, singleActiveConsumer }: ChoiceOptions) {
    this.isByFewest = balance === "fewest";
    this.#isSingle = singleActiveConsumer;
    this.#isPlain = !this.isByFewest;
  }

  get all(): readonly Consumer[] {
    return this.#consumers;
  }

  get isEmpty(): boolean {
    return this.#consumers.length === 0;
  }

  /** Whether one takes as much as it has credit for, since there is nobody to share with. */
  get isAlone(): boolean {
    return this.#consumers.length === 1 || this.#isSingle;
  }

  /** Those that are to share what is divided between consumers: of the highest priority, and not about to leave. */
  get members(): readonly Consumer[] {
    if (this.#isSingle) return this.#active === undefined ? [] : [this.#active];
    const staying = this.#consumers.filter(({ isStopped }) => !isStopped);
    return staying.filter(({ priority }) => priority === staying[0]!.priority);
  }

  add(consumer: Consumer): void {
    const at = this.#consumers.findIndex(({ priority }) => priority < consumer.priority);
    this.#consumers.splice(at < 0 ? this.#consumers.length : at, 0, consumer);
    this.#arrange();
  }

  /** Returns whether it was there. */
  remove(consumer: Consumer): boolean {
    const index = this.#consumers.indexOf(consumer);
    if (index < 0) return false;
    this.#consumers.splice(index, 1);
    if (this.#active === consumer) this.#active = undefined;
    this.#arrange();
    return true;
  }

  /** Whether it may be given messages when it has credit. */
  mayGet(consumer: Consumer): boolean {
    return !this.#isSingle || this.#active === consumer || !consumer.standsBy;
  }

  /** Hot: who gets messages next; undefined when nobody takes any. */
  next(): Consumer | undefined {
    if (this.#isSingle) return this.#nextOfSingle();
    const { length } = this.#consumers;
    let best: Consumer | undefined;
    let bestIndex = 0;
    for (let tried = 0; tried < length; tried += 1) {
      const index = (this.#nextIndex + tried) % length;
      const consumer = this.#consumers[index]!;
      if (consumer.credit <= 0 || (best !== undefined && !this.#isBefore(consumer, best))) continue;
      best = consumer;
      bestIndex = index;
      if (this.#isPlain) break;
    }
    this.#earlierIndex = this.#nextIndex;
    if (best !== undefined) this.#nextIndex = (bestIndex + 1) % length;
    return best;
  }

  /** Whoever was next got nothing, and is next again. */
  takeBack(): void {
    this.#nextIndex = this.#earlierIndex;
  }

  /**
   * How much of what waits the consumer that is next gets at once: an equal part for each that has credit and the same
   * priority, so that one does not take it all; by fewest, until another has fewer.
   */
  shareOf(next: Consumer, waitingCount: number): number {
    const rivals = this.#consumers.filter(({ credit, priority }) => credit > 0 && priority === next.priority);
    if (!this.isByFewest) return Math.max(1, Math.ceil(waitingCount / Math.max(1, rivals.length)));
    let fewest = Number.POSITIVE_INFINITY;
    for (const rival of rivals) if (rival !== next) fewest = Math.min(fewest, rival.inFlight);
    return Math.max(1, fewest - next.inFlight);
  }

  #nextOfSingle(): Consumer | undefined {
    const active = this.#active;
    if (active !== undefined && active.credit > 0) return active;
    if (this.#consumers.length === 1 && active !== undefined) return undefined;
    return this.#consumers.find(({ standsBy, credit }) => !standsBy && credit > 0);
  }

  #isBefore(one: Consumer, other: Consumer): boolean {
    if (one.priority !== other.priority) return one.priority > other.priority;
    return this.isByFewest && one.inFlight < other.inFlight;
  }

  #arrange(): void {
    this.#isPlain = !this.isByFewest && this.#consumers[0]?.priority === this.#consumers.at(-1)?.priority;
    const standing = this.#isSingle ? this.#consumers.filter(({ standsBy }) => standsBy) : [];
    this.#active ??= standing.find(({ isStopped }) => !isStopped) ?? standing[0];
  }
}
