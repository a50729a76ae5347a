// One handler and the messages that wait for it: how many calls run at once, for how long, and what becomes of each
// message. Here it is decided whether a failed message is retried.

import { ERROR_LENGTH_MAX } from "../broker/dead-letter.js";
import { BrokerError, isBrokerError } from "../broker-error.js";
import { Ring } from "../collections/ring.js";
import type { EngineDelivery } from "../engines/engine.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import { answerLost } from "./answer-lost.js";
import { decodeValue } from "./codec.js";
import { Batch, type BatchHandler, type BatchItem, type Handler, HandlerContext } from "./handler.js";
import type { HandlerSettings } from "./handler-settings.js";
import type { MessageType } from "./message-type.js";
import { isOutcome, type Outcome } from "./outcome.js";
import { validate } from "./schema.js";
import { StoredMessage } from "./stored-message.js";

/** What a registration is made of. */
export interface RegistrationParts {
  readonly type: MessageType<unknown, unknown>;
  readonly settings: HandlerSettings;
  /** The queue or topic: what messages say they come from. */
  readonly source: string;
  readonly clock: Clock;
  readonly onError: (error: unknown, where: string) => void;
}

/** One call that has not answered yet, with the messages that it was given. */
class Call {
  readonly deliveries: readonly EngineDelivery[];
  deadlineMs: number;
  /** Its time is over, or its lease was lost: what it answers is no longer heard. */
  isOver = false;
  context: HandlerContext | undefined = undefined;
  readonly abort = new AbortController();

  constructor(deliveries: readonly EngineDelivery[], deadlineMs: number) {
    this.deliveries = deliveries;
    this.deadlineMs = deadlineMs;
  }
}

export abstract class Registration {
  readonly type: MessageType<unknown, unknown>;
  readonly settings: HandlerSettings;
  protected readonly parts: RegistrationParts;
  protected readonly waiting = new Ring<EngineDelivery>();
  readonly #calls = new Set<Call>();
  readonly #deadlines: DueTimer;
  readonly #idleWaiters: (() => void)[] = [];
  #isStopped = false;

  constructor(parts: RegistrationParts) {
    this.parts = parts;
    this.type = parts.type;
    this.settings = parts.settings;
    this.#deadlines = new DueTimer(parts.clock, () => this.#endLateCalls());
  }

  /** Calls that have not answered. */
  get running(): number {
    return this.#calls.size;
  }

  protected get hasRoom(): boolean {
    return !this.#isStopped && this.#calls.size < this.settings.concurrency;
  }

  /** Hot: takes a message that was handed over. {@link run} starts what can be started. */
  accept(delivery: EngineDelivery): void {
    this.waiting.push(delivery);
  }

  /** Hot. */
  abstract run(): void;

  /** Starts no more calls and gives back what no call was given. */
  stop(): void {
    this.#isStopped = true;
    for (let delivery = this.waiting.shift(); delivery !== undefined; delivery = this.waiting.shift()) {
      if (delivery.isLeased) delivery.release();
    }
  }

  /** Resolves when no call runs. */
  async idle(): Promise<void> {
    while (this.#calls.size > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Tells what still runs that it is in vain. */
  abandon(reason: unknown): void {
    this.#deadlines.cancel();
    for (const call of this.#calls) {
      call.isOver = true;
      call.context?.abort(reason);
      call.abort.abort(reason);
    }
  }

  protected begin(deliveries: readonly EngineDelivery[]): Call {
    const call = new Call(deliveries, this.parts.clock.monotonicMs() + this.settings.timeoutMs);
    this.#calls.add(call);
    this.#deadlines.armAt(call.deadlineMs);
    return call;
  }

  protected end(call: Call): void {
    if (!this.#calls.delete(call)) return;
    if (this.#calls.size === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
    this.run();
  }

  protected extendCall(call: Call, extendMs: number): void {
    for (const delivery of call.deliveries) delivery.extend(Math.max(extendMs, this.settings.leaseMs));
    call.deadlineMs = this.parts.clock.monotonicMs() + extendMs;
    this.#deadlines.armAt(call.deadlineMs);
  }

  /** Hot: what the handler returned decides. Anything but nothing or an outcome is a failure. */
  protected conclude(delivery: EngineDelivery, returned: unknown): void {
    if (returned === undefined) {
      this.#ack(delivery);
    } else if (isOutcome(returned)) {
      this.#conclude(delivery, returned);
    } else {
      const shown = typeof returned === "object" ? "an object" : `a ${typeof returned}`;
      this.fail(
        delivery,
        new TypeError(
          `the handler returned ${shown}; return nothing, or ack(), retry(), deadLetter(reason) or drop()`,
        ),
      );
    }
  }

  /** The retry policy decides. */
  protected fail(delivery: EngineDelivery, thrown: unknown, askedDelayMs?: number): void {
    const decision = this.settings.retries.decide(thrown, delivery.attempt, askedDelayMs);
    const error = describeThrown(thrown);
    if (decision.kind === "drop") this.#ack(delivery);
    else if (decision.kind === "retry") this.#nack(delivery, decision.delayMs, error);
    else this.#bury(delivery, "attempts-exhausted", error);
  }

  /** Hot: the payload, checked: at once when its schema answers at once. Throws INVALID_PAYLOAD or rejects with it. */
  protected valueOf(delivery: EngineDelivery): unknown {
    const { codec, name, schema } = this.type;
    const value = decodeValue(codec, name, delivery.record);
    return schema === undefined ? value : validate(schema, name, value);
  }

  /** The body or its schema is at fault: trying again would not help. */
  protected refuse(delivery: EngineDelivery, thrown: unknown): void {
    if (isBrokerError(thrown, "INVALID_PAYLOAD")) this.#bury(delivery, "invalid-payload", thrown.message);
    else this.fail(delivery, thrown);
  }

  #conclude(delivery: EngineDelivery, outcome: Outcome): void {
    switch (outcome.kind) {
      case "retry":
        this.fail(delivery, new Error(outcome.reason), outcome.afterMs);
        return;
      case "dead-letter":
        this.#bury(delivery, "rejected", outcome.reason);
        return;
      default:
        this.#ack(delivery);
    }
  }

  /** Hot. */
  #ack(delivery: EngineDelivery): void {
    try {
      delivery.ack();
    } catch (error) {
      this.#reportSettling(error);
    }
  }

  #nack(delivery: EngineDelivery, delayMs: number, error: string): void {
    try {
      delivery.nack({ delayMs, error, keepsTurn: this.settings.keepsTurn });
    } catch (problem) {
      this.#reportSettling(problem);
    }
  }

  #reportSettling(error: unknown): void {
    this.parts.onError(error, `settling a message of ${this.type.name}`);
  }

  #bury(
    delivery: EngineDelivery,
    reason: "invalid-payload" | "attempts-exhausted" | "rejected",
    error: string,
  ): void {
    const report = (problem: unknown): void =>
      this.parts.onError(problem, `dead-lettering a message of ${this.type.name}`);
    try {
      delivery.deadLetter(reason, error).catch(report);
    } catch (problem) {
      report(problem);
    }
  }

  #endLateCalls(): void {
    const nowMs = this.parts.clock.monotonicMs();
    for (const call of this.#calls) {
      if (call.deadlineMs > nowMs) {
        this.#deadlines.armAt(call.deadlineMs);
        continue;
      }
      call.isOver = true;
      const error = new Error(`the handler did not answer within ${this.settings.timeoutMs} ms`);
      call.context?.abort(error);
      call.abort.abort(error);
      for (const delivery of call.deliveries) if (delivery.isLeased) this.fail(delivery, error);
      this.end(call);
    }
  }
}

export class SingleRegistration extends Registration {
  readonly #handler: Handler<unknown>;

  constructor(parts: RegistrationParts, handler: Handler<unknown>) {
    super(parts);
    this.#handler = handler;
  }

  /** Hot: handlers that answer at once are called in a loop, with nothing kept of the call. */
  run(): void {
    while (this.hasRoom) {
      const delivery = this.waiting.shift();
      if (delivery === undefined) return;
      if (delivery.isLeased) this.#start(delivery);
      else answerLost(delivery);
    }
  }

  #start(delivery: EngineDelivery): void {
    let value: unknown;
    try {
      value = this.valueOf(delivery);
    } catch (error) {
      this.refuse(delivery, error);
      return;
    }
    if (value instanceof Promise) this.#startChecked(delivery, value);
    else this.#call(delivery, value, undefined);
  }

  #startChecked(delivery: EngineDelivery, checked: Promise<unknown>): void {
    const call = this.begin([delivery]);
    checked.then(
      (value) => this.#call(delivery, value, call),
      (error: unknown) => {
        if (!call.isOver) this.refuse(delivery, error);
        this.end(call);
      },
    );
  }

  #call(delivery: EngineDelivery, value: unknown, begun: Call | undefined): void {
    let call = begun;
    const context = new HandlerContext(delivery, this.parts.source, (extendMs) => {
      if (call !== undefined) this.extendCall(call, extendMs);
    });
    let returned: unknown;
    try {
      returned = this.#handler(value, context);
    } catch (error) {
      if (!begun?.isOver) this.fail(delivery, error);
      if (begun !== undefined) this.end(begun);
      return;
    }
    if (!isThenable(returned)) {
      if (!begun?.isOver) this.conclude(delivery, returned);
      if (begun !== undefined) this.end(begun);
      return;
    }
    call = begun ?? this.begin([delivery]);
    this.#follow(call, delivery, context, returned);
  }

  #follow(
    call: Call,
    delivery: EngineDelivery,
    context: HandlerContext,
    returned: PromiseLike<unknown>,
  ): void {
    call.context = context;
    delivery.onLeaseLost = () =>
      context.abort(
        new BrokerError(
          "LEASE_LOST",
          `The lease of this ${this.type.name} ran out while its handler worked on it; another may be handling it.`,
        ),
      );
    returned.then(
      (outcome) => {
        if (!call.isOver) this.conclude(delivery, outcome);
        this.end(call);
      },
      (error: unknown) => {
        if (!call.isOver) this.fail(delivery, error);
        this.end(call);
      },
    );
  }
}

export class BatchRegistration extends Registration {
  readonly #handler: BatchHandler<unknown>;
  readonly #full: DueTimer;
  #isWaitOver = false;

  constructor(parts: RegistrationParts, handler: BatchHandler<unknown>) {
    super(parts);
    this.#handler = handler;
    this.#full = new DueTimer(parts.clock, () => {
      this.#isWaitOver = true;
      this.run();
    });
  }

  run(): void {
    const { batchMax, batchWaitMs } = this.settings;
    while (this.hasRoom && this.waiting.size > 0) {
      if (this.waiting.size < batchMax && batchWaitMs > 0 && !this.#isWaitOver) {
        this.#full.armAt(this.parts.clock.monotonicMs() + batchWaitMs);
        return;
      }
      this.#isWaitOver = false;
      this.#full.cancel();
      this.#start(this.#takeBatch(batchMax));
    }
  }

  #takeBatch(max: number): EngineDelivery[] {
    const taken: EngineDelivery[] = [];
    while (taken.length < max) {
      const delivery = this.waiting.shift();
      if (delivery === undefined) break;
      if (delivery.isLeased) taken.push(delivery);
      else answerLost(delivery);
    }
    return taken;
  }

  #start(deliveries: readonly EngineDelivery[]): void {
    if (deliveries.length === 0) return;
    const call = this.begin(deliveries);
    this.#handle(call)
      .catch((error: unknown) => {
        for (const delivery of call.deliveries)
          if (!call.isOver && delivery.isLeased) this.fail(delivery, error);
      })
      .finally(() => this.end(call));
  }

  async #handle(call: Call): Promise<void> {
    const valid: EngineDelivery[] = [];
    const items: BatchItem<unknown>[] = [];
    for (const delivery of call.deliveries) {
      try {
        const value = await this.valueOf(delivery);
        const message = new StoredMessage(delivery.record, this.parts.source, delivery.partition);
        items.push({ value, message, attempt: delivery.attempt });
        valid.push(delivery);
      } catch (error) {
        this.refuse(delivery, error);
      }
    }
    if (items.length === 0) return;
    const result: unknown = await this.#handler(new Batch(items), { signal: call.abort.signal });
    const outcomes = (result as { outcomes?: readonly Promise<Outcome>[] } | undefined)?.outcomes;
    if (outcomes?.length !== valid.length) {
      throw new TypeError(
        "a batch handler has to return what batch.map gave it, so that each message has an outcome",
      );
    }
    const settled = await Promise.allSettled(outcomes);
    if (call.isOver) return;
    for (const [index, answer] of settled.entries()) {
      if (answer.status === "fulfilled") this.conclude(valid[index]!, answer.value);
      else this.fail(valid[index]!, answer.reason);
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

/** What was thrown, in words that are kept with the message. */
export function describeThrown(thrown: unknown): string {
  let text: string;
  try {
    text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : `thrown: ${String(thrown)}`;
  } catch {
    text = "thrown: a value that has no text";
  }
  return text.slice(0, ERROR_LENGTH_MAX);
}
