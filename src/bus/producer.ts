// A producer: takes messages faster than they become durable, up to a bound, and hands them over in batches.

import type { OutgoingMessage } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import { Ring } from "../collections/ring.js";
import { DueTimer } from "../io/due-timer.js";
import { onAbort } from "../io/on-abort.js";
import type { BusCore } from "./bus-core.js";
import { HandOver } from "./hand-over.js";
import { type Enqueued, PendingMessage, type ProducerCallback } from "./pending-message.js";
import type { ProducerSettings } from "./producer-settings.js";
import type { ProducerTarget } from "./producer-target.js";
import { type AnyPublishOptions, type PublishOptions, withHeaders } from "./publish-options.js";
import { Receipt } from "./receipt.js";
import { refused } from "./refusal.js";
import { Slots } from "./slots.js";

/** The numbers of a producer, since it was made. */
export interface ProducerStatistics {
  readonly name: string;
  /** Taken, and not answered yet: waiting to be handed over, or for the disk. */
  readonly pending: number;
  /** Calls of `send` that wait for a place. */
  readonly waiting: number;
  readonly acknowledged: number;
  readonly failed: number;
}

/**
 * Sends many messages of one kind, more than one at a time. Messages are handed over in the order in which it takes them.
 *
 * @example
 * const producer = bus.producer(ReadingTaken, { pendingMax: 50_000, linger: "5ms" });
 * for (const reading of readings) await producer.send(reading); // one by one, or
 * for (const reading of readings) producer.enqueue(reading, (error) => error && console.error(error));
 * await producer.flush();
 * await producer.close();
 */
export class Producer<T, Options = PublishOptions> {
  readonly #core: BusCore;
  readonly #target: ProducerTarget<T>;
  readonly #settings: ProducerSettings;
  readonly #slots: Slots;
  readonly #handOver: HandOver;
  /** Taken and not answered, the oldest first; answered ones leave when they are first. */
  readonly #unanswered = new Ring<PendingMessage>();
  readonly #flushes: { readonly upTo: number; readonly resolve: () => void }[] = [];
  readonly #deadlines: DueTimer;
  readonly #detach: () => void;
  #stopKeepingAlive: (() => void) | undefined = undefined;
  #nextNumber = 0;
  #acknowledged = 0;
  #failed = 0;
  #isClosed = false;

  /** Made by {@link Bus.producer}. */
  constructor(core: BusCore, target: ProducerTarget<T>, settings: ProducerSettings) {
    const { clock } = core.engine;
    this.#core = core;
    this.#target = target;
    this.#settings = settings;
    this.#slots = new Slots(`producer ${settings.name}`, settings.pendingMax);
    this.#deadlines = new DueTimer(clock, () => this.#failLate());
    const handOver = new HandOver(core, (options) => target.open(options), settings, {
      succeed: (pending) => this.#succeed(pending),
      fail: (pending, error) => this.#fail(pending, error),
    });
    this.#handOver = handOver;
    this.#detach = core.attach({
      get isBusy() {
        return handOver.isBusy;
      },
      flush: () => this.flush(),
      end: (reason) => this.#end(reason),
    });
  }

  get name(): string {
    return this.#settings.name;
  }

  get statistics(): ProducerStatistics {
    const { taken: pending, waiting } = this.#slots;
    return { name: this.name, pending, waiting, acknowledged: this.#acknowledged, failed: this.#failed };
  }

  /**
   * Resolves when the message is durable. Waits for a place when `pendingMax` messages are pending. Errors: those of
   * `bus.publish` and `bus.send`, ACK_TIMEOUT, CLOSED, TOO_MANY_PENDING when 10,000 calls wait already.
   */
  send(value: T, options?: Options): Promise<Receipt> {
    try {
      this.#slots.assertMayWait();
    } catch (error) {
      return refused(error);
    }
    return this.#sendHeard(value, options as AnyPublishOptions | undefined);
  }

  async #sendHeard(value: T, given: AnyPublishOptions | undefined): Promise<Receipt> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return await this.#send(value, given);
    const [receipt] = await middleware.publish(this.#target.origin, [value], given, async ([headers]) => [
      await this.#send(value, withHeaders(given, headers)),
    ]);
    return receipt!;
  }

  /**
   * Takes the message and returns at once. How it ends hears the callback, or who asks for the `receipt`; without both, a
   * failure goes to the bus's `onError`. Throws what is wrong with the message, TOO_MANY_PENDING when `pendingMax`
   * messages are pending, CLOSED. Bytes may not be changed until the message is durable.
   */
  enqueue(value: T, callback?: ProducerCallback): Enqueued;
  enqueue(value: T, options: Omit<Options, "signal">, callback?: ProducerCallback): Enqueued;
  enqueue(value: T, ...rest: readonly unknown[]): Enqueued {
    const [options, callback] = (typeof rest[0] === "function" ? [undefined, rest[0]] : rest) as [
      AnyPublishOptions?,
      ProducerCallback?,
    ];
    this.#assertOpen();
    if (!this.#slots.tryTake())
      throw this.#slots.tooMany(`${this.#slots.taken} messages have no receipt yet. Use send, which waits`);
    const pending = this.#accept(options, callback);
    if (this.#core.middleware.publishing === undefined) this.#prepare(pending, value, options);
    else this.#pass(pending, value, options);
    return pending;
  }

  /** Hands over what was taken so far, as fast as the rate limit allows, and resolves when each message has its answer, good or bad. Calls of `send` that wait for a place are not among them. */
  async flush(): Promise<void> {
    if (this.#unanswered.size === 0) return;
    const flushed = new Promise<void>((resolve) =>
      this.#flushes.push({ upTo: this.#nextNumber - 1, resolve }),
    );
    this.#handOver.soon();
    await flushed;
  }

  /** Takes no more messages, and resolves when those that it has have their answers. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#slots.rejectAll(this.#closed());
    await this.flush();
    this.#detach();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send(value: T, options: AnyPublishOptions | undefined): Promise<Receipt> {
    this.#assertOpen();
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (!this.#slots.tryTake()) {
      await this.#slots.take(signal);
      if (this.#isClosed) {
        this.#slots.release();
        throw this.#closed();
      }
    }
    const pending = this.#accept(options, undefined);
    this.#prepare(pending, value, options);
    if (signal === undefined) return await pending.receipt;
    const forget = onAbort(signal, () => this.#fail(pending, signal.reason));
    return await pending.receipt.finally(forget);
  }

  /** A message that has its place. */
  #accept(options: AnyPublishOptions | undefined, callback: ProducerCallback | undefined): PendingMessage {
    const deadlineMs = this.#core.engine.clock.monotonicMs() + this.#settings.ackTimeoutMs;
    const pending = new PendingMessage(this.#nextNumber, options, deadlineMs, callback);
    this.#nextNumber += 1;
    this.#unanswered.push(pending);
    this.#deadlines.armAt(deadlineMs);
    this.#stopKeepingAlive ??= this.#core.keepAlive();
    return pending;
  }

  /** Through middleware, which takes its time: what is wrong with the message is found before, to be thrown at once. */
  #pass(pending: PendingMessage, value: T, options: AnyPublishOptions | undefined): void {
    const { origin } = this.#target;
    const found = this.#message(pending, value, options);
    if (found instanceof Promise) found.catch(() => undefined);
    const sent = this.#core.middleware.publish(origin, [value], options, async ([headers]) => {
      const message = this.#target.message(value, withHeaders(options, headers));
      // No turn is lost where none has to be: messages keep their order.
      this.#gather(pending, message instanceof Promise ? await message : message);
      return [await pending.answer()];
    });
    sent.catch((error: unknown) => {
      if (pending.isAnswered && error !== pending.error) this.#report(error);
      else this.#fail(pending, error);
    });
  }

  /** Errors: those of {@link Producer.#message}. */
  #prepare(pending: PendingMessage, value: T, options: AnyPublishOptions | undefined): void {
    const message = this.#message(pending, value, options);
    if (!(message instanceof Promise)) this.#handOver.gather(pending, message);
    else
      message
        .then((checked) => this.#gather(pending, checked))
        .catch((error: unknown) => this.#fail(pending, error));
  }

  /** Throws what is wrong with the message, where that is found at once; its place is then free again. */
  #message(
    pending: PendingMessage,
    value: T,
    options: AnyPublishOptions | undefined,
  ): OutgoingMessage | Promise<OutgoingMessage> {
    try {
      return this.#target.message(value, options);
    } catch (error) {
      pending.withdraw(error);
      this.#answered();
      throw error;
    }
  }

  /** A flush that began meanwhile waits for it. */
  #gather(pending: PendingMessage, message: OutgoingMessage): void {
    this.#handOver.gather(pending, message);
    if (this.#flushes.length > 0) this.#handOver.soon();
  }

  /** Hot. */
  #succeed(pending: PendingMessage): void {
    if (pending.isAnswered) return;
    this.#acknowledged += 1;
    const receipt = new Receipt(pending.appended!, pending.message!.timestampMs, pending.givenId);
    try {
      pending.succeed(receipt);
    } catch (problem) {
      this.#report(problem);
    }
    this.#answered();
  }

  #fail(pending: PendingMessage, error: unknown): void {
    if (pending.isAnswered) return;
    this.#failed += 1;
    if (!pending.isHeard) this.#report(error);
    try {
      pending.fail(error);
    } catch (problem) {
      this.#report(problem);
    }
    this.#answered();
  }

  #report(error: unknown): void {
    this.#core.onError(error, `producer ${this.name}`);
  }

  /** Hot: a message has its answer, or is no longer to have one. */
  #answered(): void {
    this.#slots.release();
    let first = this.#unanswered.peek();
    while (first?.isAnswered) {
      this.#unanswered.shift();
      first = this.#unanswered.peek();
    }
    if (this.#flushes.length > 0) this.#endFlushes(first?.number ?? this.#nextNumber);
    if (first !== undefined) return;
    this.#stopKeepingAlive?.();
    this.#stopKeepingAlive = undefined;
  }

  /** Every message before `number` has its answer. */
  #endFlushes(number: number): void {
    while (this.#flushes.length > 0 && this.#flushes[0]!.upTo < number) this.#flushes.shift()!.resolve();
  }

  #failLate(): void {
    const nowMs = this.#core.engine.clock.monotonicMs();
    let first = this.#unanswered.peek();
    while (first !== undefined && first.deadlineMs <= nowMs) {
      this.#fail(first, this.#late(first));
      first = this.#unanswered.peek();
    }
    if (first !== undefined) this.#deadlines.armAt(first.deadlineMs);
  }

  #late(pending: PendingMessage): BrokerError {
    const { ackTimeoutMs } = this.#settings;
    const isHandedOver = pending.appended !== undefined;
    const outcome = isHandedOver
      ? "It was handed over, and may be stored all the same"
      : "Its turn had not come: it is not stored";
    return new BrokerError(
      "ACK_TIMEOUT",
      `A message of producer ${this.name} has no receipt after ${ackTimeoutMs} ms. ${outcome}.`,
      { producer: this.name, ackTimeoutMs, isHandedOver },
    );
  }

  #assertOpen(): void {
    this.#core.assertOpen();
    this.#core.assertWritable();
    if (this.#isClosed) throw this.#closed();
  }

  #closed(): BrokerError {
    return new BrokerError("CLOSED", `Producer ${this.name} is closed. Make another with bus.producer().`, {
      producer: this.name,
    });
  }

  /** The bus is closed. */
  #end(reason: unknown): void {
    this.#isClosed = true;
    this.#handOver.stop();
    this.#deadlines.cancel();
    this.#slots.rejectAll(reason);
    for (let first = this.#unanswered.peek(); first !== undefined; first = this.#unanswered.peek())
      this.#fail(first, reason);
  }
}
