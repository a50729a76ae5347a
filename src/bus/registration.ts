// One handler and the messages that wait for it: how many calls run at once, for how long, and what becomes of each
// message. Here it is decided whether a failed message is retried.

import { ERROR_LENGTH_MAX } from "../broker/dead-letter.js";
import { isBrokerError } from "../broker-error.js";
import { Ring } from "../collections/ring.js";
import type { EngineDelivery } from "../engines/engine.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import { answerLost } from "./answer-lost.js";
import type { Answers, WrittenReply } from "./answers.js";
import type { BatchItem } from "./batch.js";
import { Call } from "./call.js";
import type { BusCodecs } from "./decoding.js";
import { describeThrown } from "./describe-thrown.js";
import type { HandlerSettings } from "./handler-settings.js";
import type { HandleContext, HandleResults, MiddlewareChain } from "./middleware.js";
import { handOver, Outbox, type OutboxHost } from "./outbox.js";
import { isOutcome, isSettling, notAnOutcome, type Outcome, outcomeOf } from "./outcome.js";
import { Pace } from "./pace.js";
import type { Reading } from "./reading.js";
import type { Reporter } from "./reporter.js";
import type { RetryDecision } from "./retry-policy.js";

/** What a registration is made of. */
export interface RegistrationParts {
  readonly reading: Reading;
  readonly settings: HandlerSettings;
  /** The queue or topic: what messages say they come from. */
  readonly source: string;
  /** Undefined for a queue. */
  readonly group: string | undefined;
  readonly middleware: MiddlewareChain;
  readonly outputs: OutboxHost;
  /** Those that the bus knows. */
  readonly codecs: BusCodecs;
  readonly answers: Answers;
  readonly clock: Clock;
  readonly onError: Reporter;
}

export abstract class Registration {
  readonly reading: Reading;
  readonly settings: HandlerSettings;
  protected readonly parts: RegistrationParts;
  protected readonly waiting = new Ring<EngineDelivery>();
  readonly #calls = new Set<Call>();
  readonly #deadlines: DueTimer;
  readonly #idleWaiters: (() => void)[] = [];
  /** Messages on their way to the dead letters, answers that are being stored, and replies that are being checked. */
  #storing = 0;
  /** Undefined without a rate limit. */
  readonly #pace: Pace | undefined;
  #isStopped = false;

  constructor(parts: RegistrationParts) {
    this.parts = parts;
    this.reading = parts.reading;
    this.settings = parts.settings;
    this.#deadlines = new DueTimer(parts.clock, () => this.#endLateCalls());
    const { rateLimit } = parts.settings;
    this.#pace = rateLimit && new Pace(rateLimit, parts.clock, () => this.run());
  }

  get codecs(): BusCodecs {
    return this.parts.codecs;
  }

  /** Calls that have not answered. */
  get running(): number {
    return this.#calls.size;
  }

  /** Whether it starts no more calls. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Whether a call may begin now. When only the rate limit says no, {@link run} runs again when it says yes. */
  protected get hasRoom(): boolean {
    if (this.#isStopped || this.#calls.size >= this.settings.concurrency) return false;
    return this.#pace === undefined || this.#pace.mayGo;
  }

  /** Hot: takes a message that was handed over. {@link run} starts what can be started. */
  accept(delivery: EngineDelivery): void {
    if (this.#isStopped) answerLost(delivery);
    else this.waiting.push(delivery);
  }

  /** Hot: starts what there is room for. Never throws, whatever a handler does. */
  abstract run(): void;

  /** Starts no more calls and gives back what no call was given. */
  stop(): void {
    this.#isStopped = true;
    this.#pace?.cancel();
    for (let delivery = this.waiting.shift(); delivery !== undefined; delivery = this.waiting.shift())
      answerLost(delivery);
  }

  /** Resolves when no call runs and all that was dead-lettered is stored. */
  async idle(): Promise<void> {
    while (this.#isBusy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Tells what still runs that it is in vain. */
  abandon(reason: unknown): void {
    this.#deadlines.cancel();
    for (const call of this.#calls) call.end(reason);
  }

  /** Gives a call, and its messages' leases, this much time from now on. Errors: LEASE_LOST. */
  extendCall(call: Call, extendMs: number): void {
    for (const delivery of call.deliveries) delivery.extend(Math.max(extendMs, this.settings.leaseMs));
    call.deadlineMs = this.parts.clock.monotonicMs() + extendMs;
    this.#deadlines.armAt(call.deadlineMs);
  }

  makeOutbox(): Outbox {
    return new Outbox(this.parts.outputs, `The handler of ${this.reading.name}`);
  }

  /** Hot: it is this message's turn. */
  protected started(delivery: EngineDelivery): void {
    delivery.begin();
    if (this.#pace !== undefined) this.#pace.took(delivery.record);
  }

  protected begin(deliveries: readonly EngineDelivery[]): Call {
    const call = new Call(deliveries, this.parts.clock.monotonicMs() + this.settings.timeoutMs);
    this.#calls.add(call);
    this.#deadlines.armAt(call.deadlineMs);
    return call;
  }

  protected end(call: Call): void {
    if (!this.#calls.delete(call)) return;
    this.#tellIdle();
    this.run();
  }

  /** Hot: what the handler returned decides. Anything but nothing or an outcome is a failure. */
  protected conclude(delivery: EngineDelivery, returned: unknown): void {
    if (returned === undefined) this.#settle(delivery);
    else if (isOutcome(returned)) this.#conclude(delivery, returned);
    else this.fail(delivery, notAnOutcome(returned));
  }

  /** Whether what the handler returned says that the message is done. */
  protected isDone(returned: unknown): boolean {
    return returned === undefined || (isOutcome(returned) && isSettling(returned));
  }

  /**
   * Acknowledges messages of a call and stores what it sent, as one; who asked is answered when that is stored. `returned`
   * is what the handler said of each. Resolves when it is on its way; the call must not end before. When it fails, all of
   * its messages have. Never rejects.
   */
  protected async settleTogether(
    call: Call,
    deliveries: readonly EngineDelivery[],
    returned: readonly unknown[],
    outboxes: readonly Outbox[],
    signal: () => AbortSignal,
  ): Promise<void> {
    try {
      const replies = await Promise.all(
        deliveries.map((one, index) => this.#writeReply(one, returned[index])),
      );
      const { committed } = await handOver(this.parts.outputs, outboxes, deliveries, signal);
      this.#storing += 1;
      committed
        .then(
          () => this.#answerAll(deliveries, returned, replies),
          (error: unknown) => this.#failTogether(deliveries, error),
        )
        .finally(() => this.#stored());
    } catch (error) {
      if (!call.isOver) this.#failTogether(deliveries, error);
    }
  }

  /** Calls the handler within all middleware. The signal costs more than the rest of the call: it is made when it is asked for. */
  protected throughMiddleware(
    items: readonly BatchItem<unknown>[],
    isBatch: boolean,
    abortable: { readonly signal: AbortSignal },
    call: () => Promise<HandleResults>,
  ): Promise<HandleResults> {
    const { source, group, middleware } = this.parts;
    const { name } = this.reading;
    const context: HandleContext = {
      source,
      group,
      name,
      isBatch,
      messages: items,
      get signal() {
        return abortable.signal;
      },
    };
    return middleware.handle(context, call);
  }

  /** Hot: refuses a message that is not worth beginning on: fetched ahead, it has waited until nobody waits for its answer. */
  protected refuseTooLate(delivery: EngineDelivery): boolean {
    if (!this.parts.answers.isTooLate(delivery.record)) return false;
    this.#bury(delivery, "expired", "its time was over before a handler could begin on it");
    return true;
  }

  /** The retry policy decides. */
  protected fail(delivery: EngineDelivery, thrown: unknown): void {
    const decision = this.settings.retries.decide(thrown, delivery.attempt);
    this.#carryOut(delivery, decision, describeThrown(thrown));
  }

  /** The body or its schema is at fault: trying again would not help. */
  protected refuse(delivery: EngineDelivery, thrown: unknown): void {
    if (isBrokerError(thrown, "INVALID_PAYLOAD")) this.#bury(delivery, "invalid-payload", thrown.message);
    else this.fail(delivery, thrown);
  }

  get #isBusy(): boolean {
    return this.#calls.size > 0 || this.#storing > 0;
  }

  #tellIdle(): void {
    if (this.#idleWaiters.length === 0 || this.#isBusy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #conclude(delivery: EngineDelivery, outcome: Outcome): void {
    if (outcome.kind === "retry") {
      const decision = this.settings.retries.decideAsked(delivery.attempt, outcome.afterMs);
      this.#carryOut(delivery, decision, outcome.reason);
    } else if (outcome.kind === "dead-letter") {
      this.#bury(delivery, "rejected", outcome.reason);
    } else if (outcome.kind === "reply") {
      this.#settleWithReply(delivery, outcome);
    } else if (this.#ack(delivery)) {
      this.parts.answers.outcome(delivery.record, this.#name, outcome, undefined);
    }
  }

  /** A reply that does not fit its schema is the handler's fault: trying again would not help. */
  #settleWithReply(delivery: EngineDelivery, outcome: Outcome): void {
    const settle = (reply: WrittenReply | undefined): void => {
      if (this.#ack(delivery)) this.parts.answers.outcome(delivery.record, this.#name, outcome, reply);
    };
    try {
      const reply = this.#writeReply(delivery, outcome);
      if (!(reply instanceof Promise)) {
        settle(reply);
        return;
      }
      this.#storing += 1;
      reply.then(settle, (error: unknown) => this.refuse(delivery, error)).finally(() => this.#stored());
    } catch (error) {
      this.refuse(delivery, error);
    }
  }

  /** Undefined when the handler did not reply, or nobody asked. Errors, thrown or rejected with: INVALID_PAYLOAD, INVALID_SCHEMA. */
  #writeReply(
    delivery: EngineDelivery,
    returned: unknown,
  ): WrittenReply | undefined | Promise<WrittenReply | undefined> {
    if (!isOutcome(returned) || returned.kind !== "reply") return undefined;
    if (!this.parts.answers.isAsked(delivery.record)) return undefined;
    return this.reading.writeReply(returned.value);
  }

  #answerAll(
    deliveries: readonly EngineDelivery[],
    returned: readonly unknown[],
    replies: readonly (WrittenReply | undefined)[],
  ): void {
    for (const [index, { record }] of deliveries.entries())
      this.parts.answers.outcome(record, this.#name, outcomeOf(returned[index]), replies[index]);
  }

  /** The queue, or `topic/group`. */
  get #name(): string {
    const { source, group } = this.parts;
    return group === undefined ? source : `${source}/${group}`;
  }

  #carryOut(delivery: EngineDelivery, decision: RetryDecision, error: string): void {
    if (decision.kind === "drop") this.#drop(delivery, error);
    else if (decision.kind === "retry") this.#nack(delivery, decision.delayMs, error);
    else this.#bury(delivery, decision.reason, error);
  }

  /** Hot. */
  #settle(delivery: EngineDelivery): void {
    const { answers } = this.parts;
    if (this.#ack(delivery) && answers.isAsked(delivery.record)) answers.nothing(delivery.record, this.#name);
  }

  #drop(delivery: EngineDelivery, error: string): void {
    if (this.#ack(delivery)) this.parts.answers.failed(delivery.record, this.#name, error);
  }

  /** Hot. */
  #ack(delivery: EngineDelivery): boolean {
    try {
      delivery.ack();
      return true;
    } catch (error) {
      this.#reportSettling(error);
      return false;
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
    this.parts.onError(error, `settling a message of ${this.reading.name}`);
  }

  #bury(
    delivery: EngineDelivery,
    reason: "invalid-payload" | "attempts-exhausted" | "rejected" | "expired",
    error: string,
  ): void {
    const report = (problem: unknown): void =>
      this.parts.onError(problem, `dead-lettering a message of ${this.reading.name}`);
    this.#storing += 1;
    const text = error.slice(0, ERROR_LENGTH_MAX);
    try {
      const buried = delivery.deadLetter(reason, text);
      this.parts.answers.failed(delivery.record, this.#name, text);
      buried.catch(report).finally(() => this.#stored());
    } catch (problem) {
      report(problem);
      this.#stored();
    }
  }

  #stored(): void {
    this.#storing -= 1;
    this.#tellIdle();
  }

  /** Messages that were to be acknowledged together. Those that have lost their lease are with others already. */
  #failTogether(deliveries: readonly EngineDelivery[], thrown: unknown): void {
    for (const delivery of deliveries) {
      if (delivery.isLeased) {
        this.fail(delivery, thrown);
      } else {
        answerLost(delivery);
        this.#reportSettling(thrown);
      }
    }
  }

  /** Their messages count as failed, and their places go to others, whatever they do from now on. */
  #endLateCalls(): void {
    const nowMs = this.parts.clock.monotonicMs();
    for (const call of this.#calls) {
      if (call.deadlineMs > nowMs) {
        this.#deadlines.armAt(call.deadlineMs);
        continue;
      }
      const error = new Error(
        `the handler did not answer in time: its timeout is ${this.settings.timeoutMs} ms`,
      );
      call.end(error);
      this.failAll(call, error);
      this.end(call);
    }
  }

  /** Every message of the call that was not settled yet. */
  protected failAll(call: Call, thrown: unknown): void {
    for (const delivery of call.deliveries) {
      if (delivery.isLeased) this.fail(delivery, thrown);
      else answerLost(delivery);
    }
  }
}
