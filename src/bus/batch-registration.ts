// A handler that gets several messages a call and says of each what became of it.

import type { EngineDelivery } from "../engines/engine.js";
import { DueTimer } from "../io/due-timer.js";
import { answerLost } from "./answer-lost.js";
import { Batch, type BatchItem, outcomesOf } from "./batch.js";
import { BatchCallContext } from "./batch-call-context.js";
import type { Call } from "./call.js";
import type { BatchHandler } from "./handler.js";
import type { HandleResults } from "./middleware.js";
import type { Outcome } from "./outcome.js";
import { Registration, type RegistrationParts } from "./registration.js";
import { StoredMessage } from "./stored-message.js";

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
    while (this.waiting.size > 0 && this.hasRoom) {
      if (this.waiting.size < batchMax && batchWaitMs > 0 && !this.#isWaitOver) {
        this.#full.armAt(this.parts.clock.monotonicMs() + batchWaitMs);
        return;
      }
      this.#isWaitOver = false;
      this.#full.cancel();
      this.#start(this.#takeBatch(batchMax));
    }
  }

  override stop(): void {
    this.#full.cancel();
    super.stop();
  }

  #takeBatch(max: number): EngineDelivery[] {
    const taken: EngineDelivery[] = [];
    while (taken.length < max) {
      const delivery = this.waiting.shift();
      if (delivery === undefined) break;
      if (!delivery.isLeased) answerLost(delivery);
      else if (!this.refuseTooLate(delivery)) {
        this.started(delivery);
        taken.push(delivery);
      }
    }
    return taken;
  }

  #start(deliveries: readonly EngineDelivery[]): void {
    if (deliveries.length === 0) return;
    const call = this.begin(deliveries);
    this.#handle(call)
      .catch((error: unknown) => {
        if (!call.isOver) this.failAll(call, error);
      })
      .finally(() => this.end(call));
  }

  async #handle(call: Call): Promise<void> {
    const valid: EngineDelivery[] = [];
    const items: BatchItem<unknown>[] = [];
    for (const delivery of call.deliveries) {
      const reading = this.#read(call, delivery);
      // What can be read at once is: calls start in the order of their messages.
      const read = reading instanceof Promise ? await reading : reading;
      if (call.isOver) return;
      if (read === undefined) continue;
      const { source, codecs } = this.parts;
      const message = new StoredMessage(delivery.record, source, delivery.partition, codecs, delivery);
      items.push({ value: read.value, message, attempt: delivery.attempt });
      valid.push(delivery);
    }
    if (items.length === 0) return;
    const abort = new AbortController();
    call.abort = (reason) => abort.abort(reason);
    const batch = new Batch(items);
    const { signal } = abort;
    const context = new BatchCallContext(batch, signal, () => this.makeOutbox());
    const ask = async () => await Promise.allSettled(outcomesOf(batch, await this.#handler(batch, context)));
    const settled =
      this.parts.middleware.handling === undefined
        ? await ask()
        : await this.throughMiddleware(items, true, context, ask);
    context.end();
    if (call.isOver) return;
    if (context.hasOutputs) await this.#concludeTogether(call, valid, settled, context);
    else for (const [index, answer] of settled.entries()) this.#conclude(valid[index]!, answer);
  }

  #conclude(delivery: EngineDelivery, answer: PromiseSettledResult<Outcome>): void {
    if (answer.status === "fulfilled") this.conclude(delivery, answer.value);
    else this.fail(delivery, answer.reason);
  }

  /** What the handler sent is stored with the messages that are done. */
  async #concludeTogether(
    call: Call,
    deliveries: readonly EngineDelivery[],
    answers: HandleResults,
    context: BatchCallContext,
  ): Promise<void> {
    const done: number[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer.status === "fulfilled" && this.isDone(answer.value)) done.push(index);
      else this.#conclude(deliveries[index]!, answer);
    }
    if (done.length === 0) return;
    const settled = done.map((index) => deliveries[index]!);
    const returned = done.map((index) => outcomeGiven(answers[index]!));
    await this.settleTogether(call, settled, returned, context.outboxesOf(done), () => context.signal);
  }

  /** Undefined when the message is not fit for the handler: it has been refused then. */
  #read(call: Call, delivery: EngineDelivery): Read | undefined | Promise<Read | undefined> {
    const refuse = (error: unknown): undefined => {
      if (!call.isOver) this.refuse(delivery, error);
    };
    try {
      const value = this.reading.read(delivery);
      return value instanceof Promise ? value.then((checked) => ({ value: checked }), refuse) : { value };
    } catch (error) {
      return refuse(error);
    }
  }
}

interface Read {
  readonly value: unknown;
}

function outcomeGiven(answer: PromiseSettledResult<Outcome>): Outcome | undefined {
  return answer.status === "fulfilled" ? answer.value : undefined;
}
