// The handlers of a history: each call goes as its seed says, and the model hears of it.

import assert from "node:assert/strict";
import {
  ack,
  type Batch,
  type BatchContext,
  type BatchResult,
  type Bus,
  deadLetter,
  drop,
  type EmbeddedCapabilities,
  type Handler,
  type HandlerContext,
  type Handling,
  isBrokerError,
  type Outcome,
  type Outputs,
  reply,
  retry,
} from "../../src/index.js";
import type { Clock } from "../../src/io/io.js";
import { SeededRandom } from "../support/seeded-random.js";
import { type Answer, type Manner, mannerOf, OBEDIENT } from "./bus-manner.js";
import {
  Ask,
  BILLING,
  type Body,
  Held,
  MAIL,
  Placed,
  placesOf,
  Result,
  Tick,
  type Type,
  Work,
} from "./bus-messages.js";
import type { BusModel } from "./bus-model.js";
import type { BusPlan } from "./bus-plan.js";
import type { Call, Message, Spot, Step, Times } from "./bus-task.js";

/** Led to a dead letter by a rule. */
class Fatal extends Error {}
/** Dropped by a rule. */
class Useless extends Error {}

/** For how long ids are remembered: longer than any history. */
export const ONCE = { window: "30d" } as const;
const COMMANDS = [Work, Ask, Result, Held];
const JITTER = 0.2;
const ATTEMPTS_AT_THE_END = 1_000;
/** Messages that led to others, at most, one after the other. */
const DEPTH_MAX = 2;

export interface Drawn {
  readonly message: Message;
  readonly body: Body;
}

/** The history that they are a part of. */
export interface HandlersOwner {
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

interface Settings {
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly leaseMs: number;
  /** 0 for single messages. */
  readonly batchMax: number;
  readonly waitMs: number;
}

interface Registered {
  readonly place: string;
  readonly settings: Settings;
  readonly handling: Handling;
  /** Messages with calls that nobody has ended. */
  running: number;
}

/** A call that goes on, and until when it may. */
interface Running {
  readonly call: Call;
  readonly registered: Registered;
  deadlineMs: number;
}

export class BusHandlers {
  readonly #owner: HandlersOwner;
  #registered: Registered[] = [];

  constructor(owner: HandlersOwner) {
    this.#owner = owner;
  }

  /** Registers a handler for each place that has none, or leaves it out; all of them with `isComplete`. */
  register(bus: Bus<EmbeddedCapabilities>, isComplete: boolean): Promise<unknown> {
    const { random } = this.#owner;
    const added: Registered[] = [];
    for (const place of [BILLING, MAIL, ...COMMANDS.map(({ queue }) => queue)]) {
      if (this.#registered.some((one) => one.place === place)) continue;
      if (place === Held.queue && !this.#owner.isDraining) continue;
      if (isComplete || random.chance(0.85)) added.push(this.#register(bus, place, this.#settings(random)));
    }
    this.#registered.push(...added);
    if (!this.#registered.some(({ place }) => place === Tick.queue))
      this.#registered.push(this.#countTicks(bus));
    this.#owner.trace(
      `    ${added.map(({ place, settings }) => `${place} ${JSON.stringify(settings)}`).join(", ")}`,
    );
    return Promise.all(added.map(({ handling }) => handling.ready));
  }

  /** Closes some. */
  async closeSome(): Promise<void> {
    const closing = this.#registered.filter(() => this.#owner.random.chance(0.5));
    this.#registered = this.#registered.filter((one) => !closing.includes(one));
    await Promise.all(closing.map(({ handling }) => handling.close()));
  }

  /** They are drained, closed, or gone with their process. */
  forget(): void {
    this.#registered = [];
  }

  #settings(random: SeededRandom): Settings {
    return {
      concurrency: 1 + random.below(4),
      timeoutMs: random.pick([1_000, 3_000]),
      leaseMs: random.pick([500, 2_000, 30_000]),
      batchMax: random.chance(0.3) ? 1 + random.below(5) : 0,
      waitMs: random.pick([0, 0, 50]),
    };
  }

  #register(bus: Bus<EmbeddedCapabilities>, place: string, settings: Settings): Registered {
    const { isByKey, keepsTurn, attempts, immediate, retryMs, isOnce } = this.#owner.plan;
    const { concurrency, timeoutMs: timeout, leaseMs: lease, batchMax, waitMs } = settings;
    const errors = [
      { error: Fatal, use: "dead-letter" },
      { error: Useless, use: "drop" },
    ] as const;
    const options = {
      concurrency,
      timeout,
      lease,
      orderBy: isByKey && place !== Held.queue ? "key" : "none",
      onRetry: keepsTurn ? "block" : "park",
      retry: {
        attempts: this.#owner.isDraining ? ATTEMPTS_AT_THE_END : attempts,
        immediate,
        delay: retryMs,
        jitter: JITTER,
        errors,
      },
    } as const;
    // Some answer with what no handler may.
    const single = ((body, context) => this.#handle(registered, body, context)) as Handler<
      Body,
      EmbeddedCapabilities,
      number
    >;
    const several = (batch: Batch<Body>, context: BatchContext<EmbeddedCapabilities>) =>
      this.#handleBatch(registered, batch, context);
    const batched = { ...options, batch: { max: batchMax, wait: waitMs } };
    let handling: Handling;
    if (place === BILLING || place === MAIL) {
      const inbox = isOnce ? { inbox: ONCE } : {};
      const group = place.slice(place.indexOf("/") + 1);
      if (batchMax === 0) handling = bus.on(Placed, { ...options, ...inbox, group }, single);
      else handling = bus.on(Placed, { ...batched, ...inbox, group }, several);
    } else {
      const type = COMMANDS.find(({ queue }) => queue === place)!;
      if (batchMax === 0) handling = bus.handle(type, options, single);
      else handling = bus.handle(type, batched, several);
    }
    const registered: Registered = { place, settings, handling, running: 0 };
    return registered;
  }

  #countTicks(bus: Bus<EmbeddedCapabilities>): Registered {
    const handling = bus.handle(Tick, (_, { message }) => this.#owner.ticked(message.id, message.offset));
    const settings = { concurrency: 1, timeoutMs: 0, leaseMs: 0, batchMax: 0, waitMs: 0 };
    return { place: Tick.queue, settings, handling, running: 0 };
  }

  #handle(registered: Registered, body: Body, context: HandlerContext<EmbeddedCapabilities>): unknown {
    const running = this.#begin(registered, body, context.message, context.attempt);
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

  async #handleBatch(
    registered: Registered,
    batch: Batch<Body>,
    context: BatchContext<EmbeddedCapabilities>,
  ): Promise<BatchResult> {
    const runnings = batch.items.map(({ value, message, attempt }) =>
      this.#begin(registered, value, message, attempt),
    );
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

  #begin(registered: Registered, body: Body, message: Spotted, attempt: number): Running | undefined {
    const { model, clock, isDraining, plan } = this.#owner;
    const { place, settings } = registered;
    const { number, filler } = body;
    this.#owner.trace(`    ${place} gives ${number}, attempt ${attempt}`);
    try {
      const attemptsMax = isDraining ? ATTEMPTS_AT_THE_END : plan.attempts;
      const call = model.begun(
        place,
        number,
        { attempt, filler, spot: spotOf(message) },
        clock.nowMs(),
        attemptsMax,
      );
      registered.running += 1;
      const most = settings.concurrency * Math.max(1, settings.batchMax);
      assert.ok(
        registered.running <= most,
        `${place} handles ${registered.running} messages at a time, not ${most}`,
      );
      return { call, registered, deadlineMs: clock.monotonicMs() + settings.timeoutMs };
    } catch (error) {
      this.#owner.found(error);
      return undefined;
    }
  }

  #manner({ call, registered }: Running): Manner {
    if (this.#owner.isDraining) return OBEDIENT;
    const { task } = call;
    const mixed = (task.message.number * 64 + task.calls.length) * 8 + task.place.length;
    return mannerOf(new SeededRandom(this.#owner.plan.seed * 0x10001 + mixed), registered.settings.timeoutMs);
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
    this.#over(running);
    call.task.done(call);
    if (call.step !== undefined) call.step.state = "open";
  }

  /** It is done, and what was sent with the answer is not. */
  #drop(running: Running): void {
    const { call } = running;
    if (call.isOver) return;
    this.#over(running);
    this.#refuse(call);
    call.task.done(call);
  }

  #reject(running: Running): void {
    const { call } = running;
    if (call.isOver) return;
    this.#over(running);
    call.task.wasRejected = true;
    call.task.dying(call);
    this.#refuse(call);
  }

  #fail(running: Running, delayMs = this.#delayMs(running.call.attempt)): void {
    if (running.call.isOver) return;
    this.#over(running);
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

  #over({ registered }: Running): void {
    registered.running -= 1;
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
      this.#over(running);
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
