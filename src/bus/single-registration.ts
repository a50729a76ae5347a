// A handler that gets one message a call.

import type { EngineDelivery } from "../engines/engine.js";
import { answerLost } from "./answer-lost.js";
import { type Call, CallContext, leaseLost } from "./call.js";
import type { Handler } from "./handler.js";
import { fulfilled } from "./middleware.js";
import type { Outbox } from "./outbox.js";
import { type Outcome, outcomeOf } from "./outcome.js";
import { Registration, type RegistrationParts } from "./registration.js";

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
      if (!delivery.isLeased) answerLost(delivery);
      else if (!this.refuseTooLate(delivery)) this.#start(delivery);
    }
  }

  #start(delivery: EngineDelivery): void {
    this.started(delivery);
    let value: unknown;
    try {
      value = this.reading.read(delivery);
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
      (value) => {
        if (!call.isOver) this.#call(delivery, value, call);
      },
      (error: unknown) => {
        if (!call.isOver) this.refuse(delivery, error);
        this.end(call);
      },
    );
  }

  /** `begun` is there when the payload had to be waited for. */
  #call(delivery: EngineDelivery, value: unknown, begun: Call | undefined): void {
    const context = new CallContext(delivery, this.parts.source, this);
    if (begun !== undefined) this.#attach(context, begun, delivery);
    let pending: Promise<unknown> | undefined;
    try {
      const returned: unknown =
        this.parts.middleware.handling === undefined
          ? this.#handler(value, context)
          : this.#callThroughMiddleware(delivery, value, context);
      // A thenable of another library may throw, call back twice, or at once: a promise of it does not.
      if (isThenable(returned) || context.outbox !== undefined) pending = Promise.resolve(returned);
      else this.#conclude(delivery, returned, context);
    } catch (error) {
      endOutputs(context);
      this.fail(delivery, error);
    }
    if (pending !== undefined) this.#follow(delivery, context, begun, pending);
    else if (begun !== undefined) this.end(begun);
  }

  async #callThroughMiddleware(
    delivery: EngineDelivery,
    value: unknown,
    context: CallContext,
  ): Promise<Outcome> {
    const items = [{ value, message: context.message, attempt: delivery.attempt }];
    const results = await this.throughMiddleware(items, false, context, async () => [
      fulfilled(outcomeOf(await this.#handler(value, context))),
    ]);
    const result = results[0]!;
    if (result.status === "rejected") throw result.reason;
    return result.value;
  }

  #follow(
    delivery: EngineDelivery,
    context: CallContext,
    begun: Call | undefined,
    pending: Promise<unknown>,
  ): void {
    const call = begun ?? this.begin([delivery]);
    if (begun === undefined) this.#attach(context, call, delivery);
    pending.then(
      (outcome) => {
        const outbox = this.#conclude(delivery, outcome, context);
        if (outbox === undefined) this.end(call);
        else void this.#settle(call, delivery, outcome, outbox, context);
      },
      (error: unknown) => {
        endOutputs(context);
        if (!call.isOver) this.fail(delivery, error);
        this.end(call);
      },
    );
  }

  /** What has to be stored with the acknowledgement, which is then still to be done. */
  #conclude(delivery: EngineDelivery, returned: unknown, context: CallContext): Outbox | undefined {
    endOutputs(context);
    const isOver = context.call?.isOver === true;
    if (!isOver && context.outbox !== undefined && this.isDone(returned)) return context.outbox;
    if (!isOver) this.conclude(delivery, returned);
    return undefined;
  }

  async #settle(
    call: Call,
    delivery: EngineDelivery,
    returned: unknown,
    outbox: Outbox,
    context: CallContext,
  ): Promise<void> {
    await this.settleTogether(call, [delivery], [returned], [outbox], () => context.signal);
    this.end(call);
  }

  #attach(context: CallContext, call: Call, delivery: EngineDelivery): void {
    context.call = call;
    call.abort = (reason) => context.abort(reason);
    delivery.onLeaseLost = () => context.abort(leaseLost());
    if (context.askedMs !== undefined && delivery.isLeased) this.extendCall(call, context.askedMs);
  }
}

/** Hot: what the handler sends from now on is too late. */
function endOutputs(context: CallContext): void {
  context.isAnswered = true;
  context.outbox?.close();
}

/** Errors: whatever the getter of `then` throws. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  const mayBe = (typeof value === "object" && value !== null) || typeof value === "function";
  return mayBe && typeof (value as { then?: unknown }).then === "function";
}
