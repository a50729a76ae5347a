// A message that a producer has taken and that has no answer yet.

import type { OutgoingMessage } from "../broker/message.js";
import type { EngineAppended } from "../engines/engine.js";
import type { AnyPublishOptions } from "./publish-options.js";
import type { Receipt } from "./receipt.js";

/** Gets the receipt, or why there is none. */
export type ProducerCallback = (error: unknown, receipt: Receipt | undefined) => void;

/** A message that was enqueued. */
export interface Enqueued {
  /** Resolves when the message is durable, rejects when it failed. Made when it is asked for, in time or later. */
  readonly receipt: Promise<Receipt>;
}

/** Hot: one a message; a promise only where somebody asks for it. */
export class PendingMessage implements Enqueued {
  /** Messages of one producer are numbered as it takes them. */
  readonly number: number;
  readonly givenId: string | undefined;
  /** Those that say where it goes, besides to what its producer sends to; undefined when none do. */
  readonly routing: AnyPublishOptions | undefined;
  /** Of the monotonic clock. */
  readonly deadlineMs: number;
  readonly callback: ProducerCallback | undefined;
  /** Undefined while its payload is checked. */
  message: OutgoingMessage | undefined = undefined;
  /** Undefined until it was handed over. */
  appended: EngineAppended | undefined = undefined;
  isAnswered = false;
  /** Why it failed. */
  error: unknown = undefined;
  #isAsked = false;
  #receipt: Receipt | undefined = undefined;
  #promise: Promise<Receipt> | undefined = undefined;
  #resolve: ((receipt: Receipt) => void) | undefined = undefined;
  #reject: ((error: unknown) => void) | undefined = undefined;

  constructor(
    number: number,
    options: AnyPublishOptions | undefined,
    deadlineMs: number,
    callback: ProducerCallback | undefined,
  ) {
    this.number = number;
    this.givenId = options?.id;
    this.routing = options?.retain === undefined ? undefined : options;
    this.deadlineMs = deadlineMs;
    this.callback = callback;
  }

  get receipt(): Promise<Receipt> {
    this.#isAsked = true;
    return this.answer();
  }

  /** The receipt, for who passes it on. */
  answer(): Promise<Receipt> {
    this.#promise ??= this.#answer();
    return this.#promise;
  }

  /** Whether somebody hears how it ends. */
  get isHeard(): boolean {
    return this.callback !== undefined || this.#isAsked;
  }

  succeed(receipt: Receipt): void {
    this.isAnswered = true;
    this.#receipt = receipt;
    this.#resolve?.(receipt);
    this.callback?.(undefined, receipt);
  }

  fail(error: unknown): void {
    this.withdraw(error);
    this.#reject?.(error);
    this.callback?.(error, undefined);
  }

  /** Nobody is to be answered: its caller has heard. */
  withdraw(error: unknown): void {
    this.isAnswered = true;
    this.error = error;
  }

  #answer(): Promise<Receipt> {
    if (this.#receipt !== undefined) return Promise.resolve(this.#receipt);
    if (this.isAnswered) return Promise.reject(this.error);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }
}
