// The calls of one handler of a history: each goes as its seed says, and the model hears of it.

import assert from "node:assert/strict";
import {
  ack,
  type Batch,
  type BatchContext,
  type BatchResult,
  deadLetter,
  drop,
  type EmbeddedCapabilities,
  type HandlerContext,
  isBrokerError,
  type Outcome,
  type Outputs,
  reply,
  retry,
} from "../../src/index.js";
import type { Clock } from "../../src/io/io.js";
import { SeededRandom } from "../support/seeded-random.js";
import { type Answer, type Manner, mannerOf, OBEDIENT } from "./bus-manner.js";
import { Ask, type Body, Placed, placesOf, Result, type Type, Work } from "./bus-messages.js";
import type { BusModel } from "./bus-model.js";
import type { BusPlan } from "./bus-plan.js";
import type { Call, Message, Spot, Step, Times } from "./bus-task.js";

/** Led to a dead letter by a rule. */
export class Fatal extends Error {}
/** Dropped by a rule. */
export class Useless extends Error {}

export const JITTER = 0.2;
export const ATTEMPTS_AT_THE_END = 1_000;
/** Messages that led to others, at most, one after the other. */
const DEPTH_MAX = 2;

export interface Drawn {
  readonly message: Message;
  readonly body: Body;
}

/** The history that they are a part of. */
export interface CallsOwner {
  readonly plan: BusPlan;
  readonly model: BusModel;
  /** Of the operation that runs. */
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly isDraining: boolean;
  readonly trace: (line: string) => void;
  /** Numbers that were replied with. */
  readonly replied: Set<number>;
  /** A new message in the model, with its body. */
  draw(random: SeededRandom, step: Step, type: Type, depth: number, times?: Times): Drawn;
  ticked(id: string, offset: number): void;
  found(problem: unknown): void;
}

interface CallSettings {
  readonly timeoutMs: number;
  /** Messages that it may have at a time. */
  readonly messagesMax: number;
}

/** A call that goes on, and until when it may. */
interface Running {
  readonly call: Call;
  deadlineMs: number;
}

export class BusCalls {
  readonly #owner: CallsOwner;
  readonly #place: string;
  readonly #settings: CallSettings;
  /** Messages with calls that nobody has ended. */
  #running = 0;

  constructor(owner: CallsOwner, place: string, settings: CallSettings) {
    this.#owner = owner;
    this.#place = place;
    this.#settings = settings;
  }

  /** A call with one message. */
  one(body: Body, context: HandlerContext<EmbeddedCapabilities>): unknown {
    const running = this.#begin(body, context.message, context.attempt);
    if (running === undefined) return ack();
    const manner = this.#manner(running);
    if (manner.isSudden) return this.#answer(running, manner.answer);
    return this.#take(running, manner, context);
  }

  /** The answer of a call that takes its time. */
  async #take(
    running: Running,
    manner: Manner,
    context: HandlerContext<EmbeddedCapabilities>,
  ): Promise<unknown> {
    this.#watch([running], context.signal);
    if (manner.extendMs > 0) {
      context.extend(manner.extendMs);
      running.deadlineMs = this.#owner.clock.monotonicMs() + manner.extendMs;
    }
    if (manner.hangs) await new Promise<void>(() => undefined);
    if (manner.sleepMs > 0) await this.#sleep(manner.sleepMs);
    await this.#send(running.call, manner.outputs, () => context);
    return this.#answer(running, manner.answer);
  }

  /** A call with several. */
  async several(batch: Batch<Body>, context: BatchContext<EmbeddedCapabilities>): Promise<BatchResult> {
    const runnings = batch.items.map(({ value, message, attempt }) => this.#begin(value, message, attempt));
    const known = runnings.filter((running) => running !== undefined);
    const manners = known.map((running) => this.#manner(running));
    if (known.length < runnings.length) return batch.map(() => ack());
    this.#watch(known, context.signal);
    const whole = manners[0]!;
    if (whole.hangs) await new Promise<void>(() => undefined);
    if (whole.sleepMs > 0) await this.#sleep(whole.sleepMs);
    for (const [index, item] of batch.items.entries())
      await this.#send(known[index]!.call, manners[index]!.outputs, () => context.for(item));
    return this.#answerBatch(batch, known, manners);
  }

  #answerBatch(batch: Batch<Body>, runnings: readonly Running[], manners: readonly Manner[]): BatchResult {
    const steps = runnings.flatMap(({ call }) => call.step ?? []);
    if (manners[0]!.answer === "nonsense") {
      for (const running of runnings) this.#fail(running);
      return undefined as unknown as BatchResult;
    }
    const result = batch.map((_, index) => {
      const answer = this.#answer(runnings[index]!, manners[index]!.answer);
      return (answer ?? ack()) as Outcome;
    });
    const isTogether = (index: number): boolean => ["done", "drop"].includes(manners[index]!.answer);
    const done = runnings.map(({ call }) => call).filter(({ isDone }, index) => isDone && isTogether(index));
    if (steps.length > 0)
      this.#owner.model.join(
        done.flatMap(({ step }) => step ?? []),
        done,
      );
    return result;
  }

  #begin(body: Body, message: Spotted, attempt: number): Running | undefined {
    const { model, clock, isDraining, plan } = this.#owner;
    const { number, filler } = body;
    const place = this.#place;
    this.#owner.trace(`    ${place} gives ${number}, attempt ${attempt}`);
    try {
      const attemptsMax = isDraining ? ATTEMPTS_AT_THE_END : plan.attempts;
      const given = { attempt, filler, spot: spotOf(message) };
      const call = model.begun(place, number, given, clock.nowMs(), attemptsMax);
      this.#running += 1;
      const isWithin = this.#running <= this.#settings.messagesMax;
      assert.ok(isWithin, `${place} handles ${this.#running} messages at a time`);
      return { call, deadlineMs: clock.monotonicMs() + this.#settings.timeoutMs };
    } catch (error) {
      this.#owner.found(error);
      return undefined;
    }
  }

  #manner({ call }: Running): Manner {
    if (this.#owner.isDraining) return OBEDIENT;
    const { task } = call;
    const mixed = (task.message.number * 64 + task.calls.length) * 8 + task.place.length;
    return mannerOf(new SeededRandom(this.#owner.plan.seed * 0x10001 + mixed), this.#settings.timeoutMs);
  }

  /** Sends with the answer. */
  async #send(call: Call, count: number, outputs: () => Outputs<EmbeddedCapabilities>): Promise<void> {
    const { depth, number } = call.task.message;
    if (count === 0 || depth >= DEPTH_MAX) return;
    const random = new SeededRandom(number * 31 + count);
    const step = call.step ?? this.#owner.model.step([call]);
    call.step = step;
    if (call.isOver) this.#owner.model.refuse(step, "its handler had been given up");
    for (; count > 0; count -= 1) {
      const type = random.pick([Placed, Work, Result, Result]);
      const { body, message } = this.#owner.draw(random, step, type, depth + 1);
      this.#owner.trace(`    ${call.task.name} sends ${message.number} to ${placesOf(type).join(" and ")}`);
      if (type.kind === "event") await outputs().publish(type, body);
      else await outputs().send(type, body);
    }
  }

  /** What the handler says in the end. Throws what it is to throw. */
  #answer(running: Running, answer: Answer): unknown {
    const { call } = running;
    const { task } = call;
    if (!call.isOver) this.#owner.trace(`    ${task.name}, attempt ${call.attempt}: ${answer}`);
    switch (answer) {
      case "done":
        this.#done(running);
        if (task.place !== Ask.queue) return undefined;
        this.#owner.replied.add(task.message.number);
        return task.message.number % 5 === 0 ? ack() : reply(task.message.number);
      case "drop":
        this.#done(running);
        return drop();
      case "useless":
        this.#drop(running);
        throw new Useless("of no use");
      case "dead-letter":
        this.#reject(running);
        return deadLetter("not wanted");
      case "fatal":
        this.#reject(running);
        throw new Fatal("fatal");
      case "retry":
        this.#fail(running);
        return retry();
      case "retry later":
        this.#fail(running, 700);
        return retry({ after: 700 });
      case "nonsense":
        this.#fail(running);
        return 42;
      case "throw":
        this.#fail(running);
        throw thrownBy(task.message.number);
    }
  }

  #done(running: Running): void {
    const { call } = running;
    if (call.isOver) return;
    this.#running -= 1;
    call.task.done(call);
    if (call.step !== undefined) call.step.state = "open";
  }

  /** It is done, and what was sent with the answer is not. */
  #drop(running: Running): void {
    const { call } = running;
    if (call.isOver) return;
    this.#running -= 1;
    this.#refuse(call);
    call.task.done(call);
  }

  #reject(running: Running): void {
    const { call } = running;
    if (call.isOver) return;
    this.#running -= 1;
    call.task.wasRejected = true;
    call.task.dying(call);
    this.#refuse(call);
  }

  #fail(running: Running, delayMs = this.#delayMs(running.call.attempt)): void {
    if (running.call.isOver) return;
    this.#running -= 1;
    const { call } = running;
    const { attempts, isByKey, keepsTurn } = this.#owner.plan;
    if (call.attempt >= attempts) call.task.dying(call);
    else call.task.failed(call, this.#owner.clock.nowMs(), delayMs, isByKey && keepsTurn);
    this.#refuse(call);
  }

  #refuse(call: Call): void {
    if (call.step !== undefined) this.#owner.model.refuse(call.step, "its handler failed");
    call.step = undefined;
  }

  /** The shortest delay before a retry. */
  #delayMs(attempt: number): number {
    const { immediate, retryMs } = this.#owner.plan;
    const delayed = attempt - immediate;
    return delayed <= 0 ? 0 : Math.floor(retryMs * 2 ** (delayed - 1) * (1 - JITTER));
  }

  /** Hears that nobody listens to calls any more. */
  #watch(runnings: readonly Running[], signal: AbortSignal): void {
    const ended = (): void => {
      try {
        for (const running of runnings) if (!running.call.isOver) this.#givenUp(running, signal.reason);
      } catch (error) {
        this.#owner.found(error);
      }
    };
    if (signal.aborted) ended();
    else signal.addEventListener("abort", ended, { once: true });
  }

  #givenUp(running: Running, reason: unknown): void {
    const { call, deadlineMs } = running;
    this.#owner.trace(`    ${call.task.name}, attempt ${call.attempt}: given up, ${String(reason)}`);
    if (isBrokerError(reason, "CLOSED")) {
      this.#running -= 1;
      call.task.released(call, true);
      this.#refuse(call);
      return;
    }
    if (isBrokerError(reason)) throw reason;
    const earlyMs = deadlineMs - this.#owner.clock.monotonicMs();
    assert.ok(earlyMs < 1, `${call.task.name} was given up ${earlyMs} ms before its time was over`);
    this.#fail(running);
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#owner.clock.setTimer(resolve, delayMs));
  }
}

/** Not everything that is thrown is an error. */
function thrownBy(number: number): unknown {
  return number % 2 === 0 ? new Error("it failed") : undefined;
}

interface Spotted {
  readonly partition: number | undefined;
  readonly offset: number;
}

export function spotOf({ partition = 0, offset }: Spotted): Spot {
  return { partition, offset };
}
