// The answers to one event, as they come in from its groups.

import type { Answer as ReceivedAnswer } from "../broker/answer.js";

/** One group's reply. */
export interface GatheredReply<Answer> {
  readonly from: string;
  readonly value: Answer;
}

/** What a `gather` brought. */
export interface Gathered<Answer> {
  /** In the order in which they came. */
  readonly replies: readonly GatheredReply<Answer>[];
  /** Those who gave up on the event, or replied with what does not fit the event's `reply`. */
  readonly failures: readonly { readonly from: string; readonly error: unknown }[];
  /** Groups that were asked and were not heard of in time, or were not there. */
  readonly missing: readonly string[];
}

export class Gathering<Answer> {
  readonly #prefix: string;
  readonly #repliesMax: number;
  readonly #missing: Set<string>;
  /** Those that are waited for. */
  readonly #awaited: Set<string>;
  readonly #heard = new Set<string>();
  readonly #replies: GatheredReply<Answer>[] = [];
  readonly #failures: { readonly from: string; readonly error: unknown }[] = [];

  /** Of the groups that are `asked`, those that are `present` are waited for. */
  constructor(topic: string, asked: readonly string[], present: readonly string[], repliesMax: number) {
    this.#prefix = `${topic}/`;
    this.#repliesMax = repliesMax;
    this.#missing = new Set(asked);
    this.#awaited = new Set(asked.filter((group) => present.includes(group)));
  }

  get isComplete(): boolean {
    return this.#awaited.size === 0 || this.#replies.length >= this.#repliesMax;
  }

  /** Takes in what a group says, the first time. Never rejects. */
  async add({ by, kind }: ReceivedAnswer, read: () => Promise<Answer>): Promise<void> {
    const from = by.startsWith(this.#prefix) ? by.slice(this.#prefix.length) : by;
    if (this.#heard.has(from)) return;
    this.#heard.add(from);
    this.#missing.delete(from);
    if (kind !== "nothing") {
      try {
        this.#replies.push({ from, value: await read() });
      } catch (error) {
        this.#failures.push({ from, error });
      }
    }
    this.#awaited.delete(from);
  }

  result(): Gathered<Answer> {
    const replies = this.#replies.slice(0, this.#repliesMax);
    return { replies, failures: [...this.#failures], missing: [...this.#missing] };
  }
}
