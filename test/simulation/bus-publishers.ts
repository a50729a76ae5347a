// The publishers of a history: what they send, what they are told, and what follows from that for the model.

import assert from "node:assert/strict";
import {
  type Bus,
  type Delivery,
  type EmbeddedCapabilities,
  isBrokerError,
  type Producer,
  type Receipt,
} from "../../src/index.js";
import { type CallsOwner, spotOf } from "./bus-calls.js";
import { Ask, type Body, Held, Placed, Result, type Type, Work } from "./bus-messages.js";
import type { Call, Message, Step } from "./bus-task.js";

const HELD_LEASE_MS = 3_000;
const REQUEST_MS = 5_000;

/** A transaction throws it to leave nothing. */
class Rollback extends Error {}

/** The history that they are a part of. */
export interface PublishersOwner extends CallsOwner {
  readonly bus: Bus<EmbeddedCapabilities>;
  /** Of the process that runs. */
  readonly life: number;
  /** Waits in the world for as long as `promise` takes, or does not wait. */
  maybeWait(promise: Promise<unknown>): Promise<void>;
  isExpected(error: unknown): boolean;
}

type SendOptions = { readonly delay?: number; readonly expiresIn?: number; readonly id?: string };

/** What was sent with an id. */
interface Sent {
  readonly type: Type;
  readonly body: Body;
  readonly message: Message;
  readonly options: SendOptions;
}

export class BusPublishers {
  /** What the calls of this life have not answered, by what they are. */
  readonly pending = new Map<Promise<unknown>, string>();
  readonly #owner: PublishersOwner;
  readonly #sent: Sent[] = [];
  #producer: Producer<Body> | undefined = undefined;
  #held: { readonly delivery: Delivery; readonly call: Call }[] = [];

  constructor(owner: PublishersOwner) {
    this.#owner = owner;
  }

  /** The process ended. */
  forget(): void {
    this.pending.clear();
    this.#producer = undefined;
    this.#held = [];
  }

  async publish(): Promise<void> {
    const { random, plan } = this.#owner;
    const sending: Promise<unknown>[] = [];
    for (let count = 1 + random.below(4); count > 0; count -= 1) {
      const type = random.pick([Placed, Placed, Work, Held]);
      const times = this.#times();
      const { message, body } = this.#draw(type, times);
      const options = plan.isOnce ? { ...times, id: `id-${message.number}` } : times;
      const sent = { type, body, message, options };
      // A message that is sent again has its times from then on.
      if (plan.isOnce && Object.keys(times).length === 0) this.#sent.push(sent);
      sending.push(this.#send(sent));
    }
    await this.#owner.maybeWait(Promise.all(sending));
  }

  /** A publisher that had no answer, or does not trust it, sends once more. */
  async repeat(): Promise<void> {
    if (this.#sent.length === 0) return;
    const sent = this.#owner.random.pick(this.#sent.slice(-10));
    this.#owner.trace(`    ${sent.message.number}`);
    this.#owner.model.repeating(sent.message);
    await this.#owner.maybeWait(this.#send(sent));
  }

  async many(): Promise<void> {
    const { random, bus, model } = this.#owner;
    const step = model.step();
    const type = random.pick([Placed, Work]);
    const drawn = Array.from({ length: 1 + random.below(5) }, () => this.#owner.draw(random, step, type, 0));
    const bodies = drawn.map(({ body }) => body);
    step.state = "open";
    const sent = type.kind === "event" ? bus.publishMany(type, bodies) : bus.sendMany(type, bodies);
    const messages = drawn.map(({ message }) => message);
    const followed = sent.then((receipts) => this.#receipts(step, messages, receipts));
    await this.#owner.maybeWait(this.#follow("publish many", step, followed));
  }

  /** Through a producer with a small bound, which lets them gather. */
  async produce(): Promise<void> {
    const { random, bus } = this.#owner;
    this.#producer ??= bus.producer(Work, { pendingMax: 4, linger: random.pick([0, 5]), batchMax: 3 });
    const sending: Promise<unknown>[] = [];
    for (let count = 1 + random.below(8); count > 0; count -= 1) {
      const { step, message, body } = this.#draw(Work, {});
      const send = this.#produce(this.#producer, random.chance(0.5), body);
      sending.push(
        this.#follow(
          "produce",
          step,
          send.then((one) => this.#receipts(step, [message], [one])),
        ),
      );
    }
    await this.#owner.maybeWait(Promise.all(sending));
  }

  /** Sends to several places, and acknowledges what it holds, as one. */
  async transact(): Promise<void> {
    const { random, bus, model } = this.#owner;
    const inputs = this.#held.filter(({ call }) => isFree(call) && random.chance(0.5));
    const step = model.step(inputs.map(({ call }) => call));
    const fails = random.chance(0.2);
    const count = 1 + random.below(3);
    for (const { call } of inputs) call.step = step;
    const committed = bus.transaction(async (transaction) => {
      for (let left = count; left > 0; left -= 1) {
        const type = random.pick([Placed, Work, Result]);
        const { body } = this.#owner.draw(random, step, type, 1);
        if (type.kind === "event") await transaction.publish(type, body);
        else await transaction.send(type, body);
      }
      for (const { delivery } of inputs) transaction.ack(delivery);
      if (fails) throw new Rollback();
      step.state = "open";
      for (const { call } of inputs) if (!call.isOver) call.task.done(call);
    });
    const settled = committed.then(
      () => model.stored(step, "a transaction"),
      (error: unknown) => this.#rolledBack(step, inputs, error),
    );
    const numbers = inputs.map(({ call }) => call.task.message.number).join(", ");
    this.#owner.trace(`    ${numbers} -> ${step.messages.map(({ number }) => number).join(", ")}`);
    await this.#owner.maybeWait(this.#follow("transaction", step, settled));
  }

  /** Receives by hand, and holds on to it, or answers. */
  async receive(): Promise<void> {
    const { random, bus } = this.#owner;
    for (const { delivery, call } of this.#held.splice(0)) {
      if (!isFree(call) || !random.chance(0.7)) continue;
      await this.#answer(delivery, call);
    }
    // Two who receive at the same time share the messages in any order.
    if ([...this.pending.values()].includes("receive")) return;
    const taking = bus.queue(Held.queue).receiveBatch({ max: 3, lease: HELD_LEASE_MS });
    const taken = taking.then((deliveries) => {
      for (const delivery of deliveries) this.#take(delivery);
    });
    await this.#owner.maybeWait(this.#follow("receive", undefined, taken));
  }

  async request(): Promise<void> {
    const { bus, model } = this.#owner;
    const { step, message, body } = this.#draw(Ask, { expiresIn: REQUEST_MS });
    const answered = bus.request(Ask, body, { timeout: REQUEST_MS }).then(
      (answer) => {
        if (answer !== undefined) assert.equal(answer, message.number, "a request got the answer of another");
        assert.ok(this.#owner.replied.has(message.number), `${message.number} was answered, and nobody did`);
        model.stored(step, "a request that was answered");
      },
      (error: unknown) => {
        if (isBrokerError(error, "NO_HANDLER")) model.refuse(step, "a request was refused");
        else if (!isBrokerError(error, "REQUEST_TIMEOUT") && !isBrokerError(error, "REQUEST_FAILED"))
          throw error;
      },
    );
    await this.#owner.maybeWait(this.#follow("request", step, answered));
  }

  #send({ type, body, message, options }: Sent): Promise<void> {
    const { bus } = this.#owner;
    const { step } = message;
    const receipt = type.kind === "event" ? bus.publish(type, body, options) : bus.send(type, body, options);
    return this.#follow(
      "publish",
      step,
      receipt.then((one) => this.#receipts(step, [message], [one])),
    );
  }

  #times(): SendOptions {
    const { random } = this.#owner;
    return {
      ...(random.chance(0.1) ? { delay: random.below(3_000) } : {}),
      ...(random.chance(0.1) ? { expiresIn: 1 + random.below(8_000) } : {}),
    };
  }

  #draw(type: Type, { delay, expiresIn }: SendOptions): { step: Step; message: Message; body: Body } {
    const { random, model, clock } = this.#owner;
    const step = model.step();
    step.state = "open";
    const nowMs = clock.nowMs();
    const times = {
      readyAtMs: delay === undefined ? 0 : nowMs + delay,
      expiresAtMs: expiresIn === undefined ? Number.POSITIVE_INFINITY : nowMs + expiresIn,
    };
    return { step, ...this.#owner.draw(random, step, type, 0, times) };
  }

  async #produce(producer: Producer<Body>, isEnqueued: boolean, body: Body): Promise<Receipt> {
    return isEnqueued ? await producer.enqueue(body).receipt : await producer.send(body);
  }

  #receipts(step: Step, messages: readonly Message[], receipts: readonly Receipt[]): void {
    const { model } = this.#owner;
    const numbers = messages.map(({ number }) => number).join(", ");
    model.stored(step, `the receipt of ${numbers}`);
    for (const [index, receipt] of receipts.entries()) model.placed(messages[index]!, spotOf(receipt));
  }

  #rolledBack(step: Step, inputs: readonly { readonly call: Call }[], error: unknown): void {
    // The deliveries stay leased, unless nobody knows what became of the transaction.
    const isKnown = !isBrokerError(error, "STORAGE_FAILED") && !isBrokerError(error, "CLOSED");
    if (isKnown) {
      this.#owner.model.refuse(step, "a transaction failed");
      for (const { call } of inputs) this.#takeBack(call);
    }
    if (!(error instanceof Rollback) && !isBrokerError(error, "LEASE_LOST")) throw error;
  }

  #takeBack(call: Call): void {
    call.step = undefined;
    if (!call.isDone) return;
    call.isDone = false;
    call.isOver = false;
    call.task.status = "open";
    call.task.running = call;
  }

  #take(delivery: Delivery): void {
    const { model, clock, plan } = this.#owner;
    const { message, attempt } = delivery;
    const { number, filler } = message.value as Body;
    this.#owner.trace(`    held gives ${number}, attempt ${attempt}`);
    const given = { attempt, filler, spot: spotOf(message) };
    const call = model.begun(Held.queue, number, given, clock.nowMs(), plan.attempts);
    const life = this.#owner.life;
    const lost = (): void => {
      if (life === this.#owner.life && !call.isOver) this.#fail(call);
    };
    delivery.signal.addEventListener("abort", lost, { once: true });
    this.#held.push({ delivery, call });
  }

  /** After its last try it becomes a dead letter when it would be handed out again. */
  #fail(call: Call): void {
    call.task.failed(call, this.#owner.clock.nowMs(), 0, true);
  }

  async #answer(delivery: Delivery, call: Call): Promise<void> {
    const { random } = this.#owner;
    const { task } = call;
    const how = random.pick(["ack", "ack", "nack", "release", "dead letter"] as const);
    this.#owner.trace(`    held: ${task.message.number} ${how}`);
    if (how === "ack") {
      task.done(call);
      await delivery.ack();
    } else if (how === "nack") {
      this.#fail(call);
      await delivery.nack();
    } else if (how === "release") {
      task.released(call, false);
      await delivery.release();
    } else {
      task.wasRejected = true;
      task.dying(call);
      await this.#owner.maybeWait(this.#follow("dead letter", undefined, delivery.deadLetter("no")));
    }
  }

  /** Tells the model what the caller was told. */
  #follow(what: string, step: Step | undefined, answer: Promise<unknown>): Promise<void> {
    const { life, model } = this.#owner;
    const followed = answer
      .catch((error: unknown) => {
        if (life !== this.#owner.life) return;
        const isRefused = isBrokerError(error, "DISK_FULL") || isBrokerError(error, "TOO_MANY_PENDING");
        if (isRefused && step !== undefined)
          model.refuse(step, "its publisher was told that it is not stored");
        if (!isBrokerError(error, "TOO_MANY_PENDING") && !this.#owner.isExpected(error)) throw error;
      })
      .catch((error: unknown) => this.#owner.found(error))
      .finally(() => this.pending.delete(followed)) as Promise<void>;
    this.pending.set(followed, what);
    return followed;
  }
}

/** Whether it is neither answered nor a part of a transaction. */
function isFree({ isOver, step }: Call): boolean {
  return !isOver && step === undefined;
}
