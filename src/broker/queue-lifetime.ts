// When a queue that is to go by itself is over: unused for long enough, or left by its last consumer.

import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { Consumer } from "./consumer.js";
import { type QueueOptions, UNLIMITED } from "./limits.js";
import type { Queue } from "./queue.js";

/** How long until a queue that could not be deleted is tried again. */
const RETRY_MS = 30_000;

/** Uses are consumers that come and go, and declarations; publishing is none. After a restart the time begins anew. */
export class QueueLifetime {
  readonly #queue: Queue;
  readonly #clock: Clock;
  readonly #onOver: () => void;
  readonly #timer: DueTimer;
  #usedAtMs = 0;
  /** Whether it had consumers that stayed, and the last of them has left. */
  #isLeft = false;
  #isStopped = false;

  /** `onOver` runs when the queue is over; it may turn out not to be, see {@link isOver}. */
  constructor(queue: Queue, clock: Clock, onOver: () => void) {
    this.#queue = queue;
    this.#clock = clock;
    this.#onOver = onOver;
    this.#timer = new DueTimer(clock, () => this.#look());
    queue.dispatcher.onConsumersChanged = (consumer) => this.#consumersChanged(consumer);
    this.touch();
  }

  /** Whether a queue with such options goes by itself. */
  static isLimited({ expiresAfterMs, autoDelete }: QueueOptions): boolean {
    return expiresAfterMs !== UNLIMITED || autoDelete;
  }

  get isOver(): boolean {
    if (this.#isStopped || this.#queue.dispatcher.consumers.length > 0) return false;
    return this.#isLeft || this.#clock.monotonicMs() >= this.#expiresAtMs;
  }

  /** The queue is used. */
  touch(): void {
    this.#usedAtMs = this.#clock.monotonicMs();
    if (this.#queue.options.expiresAfterMs !== UNLIMITED) this.#timer.armAt(this.#expiresAtMs);
  }

  /** It could not be deleted. */
  retryLater(): void {
    if (!this.#isStopped) this.#timer.armAt(this.#clock.monotonicMs() + RETRY_MS);
  }

  /** The queue stays, or is gone. */
  stop(): void {
    this.#isStopped = true;
    this.#timer.cancel();
  }

  get #expiresAtMs(): number {
    const { expiresAfterMs } = this.#queue.options;
    return expiresAfterMs === UNLIMITED ? Number.POSITIVE_INFINITY : this.#usedAtMs + expiresAfterMs;
  }

  #consumersChanged(changed: Consumer): void {
    if (this.#isStopped) return;
    const { consumers } = this.#queue.dispatcher;
    const isAttended = consumers.some(({ isBrief }) => !isBrief);
    if (this.#queue.options.autoDelete && (!changed.isBrief || isAttended)) this.#isLeft = !isAttended;
    this.touch();
    if (this.isOver) this.#onOver();
  }

  #look(): void {
    if (this.isOver) this.#onOver();
    else if (this.#queue.dispatcher.consumers.length === 0) this.#timer.armAt(this.#expiresAtMs);
  }
}
