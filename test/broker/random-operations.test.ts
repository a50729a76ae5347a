// Random operations over many lives of a broker, held against a simple model. A failure names the seed that repeats it:
// OMNIBUS_SEED=<seed> runs that one alone, OMNIBUS_SEEDS=<count> so many from it on.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { ConsumerOptions } from "../../src/broker/consumer.js";
import type { DeadLetter } from "../../src/broker/dead-letters.js";
import type { Delivery } from "../../src/broker/delivery.js";
import type { Dispatcher } from "../../src/broker/dispatcher.js";
import type { QueueOptions, SubscriptionOptions } from "../../src/broker/limits.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { type HeldDelivery, SourceModel } from "../support/source-model.js";
import { TestConsumer } from "../support/test-consumer.js";

const SEEDS = 250;
const STEPS = 60;
const LEASE_MS = 5_000;
const ATTEMPTS_MAX = 4;

class Run {
  readonly #world: BrokerWorld;
  readonly #sources: readonly SourceModel[];
  readonly #work: Partial<QueueOptions>;
  readonly #mail: Partial<SubscriptionOptions>;
  #broker: Broker | undefined = undefined;
  #consumers: TestConsumer[] = [];
  #published = 0;
  /** Of each source when this life began. */
  readonly #counts = new Map<string, number>();
  #isDraining = false;
  /** What a delivery did against the model, found in a turn of the broker. */
  #problem: unknown = undefined;

  constructor(seed: number) {
    this.#world = new BrokerWorld(seed);
    const { random } = this.#world;
    const isByKey = random.chance(0.5);
    const balance = () => random.pick(["credit", "credit", "fewest", "key"] as const);
    const singleActiveConsumer = random.chance(0.2);
    this.#work = { priorities: random.pick([1, 3]), balance: balance(), singleActiveConsumer };
    this.#mail = random.chance(0.3) ? { assignment: "partitions" } : { balance: balance() };
    this.#sources = [
      new SourceModel("work", isByKey || this.#work.balance === "key", ATTEMPTS_MAX),
      new SourceModel("order/mail", isByKey || this.#mail.balance === "key", ATTEMPTS_MAX),
    ];
  }

  async run(): Promise<void> {
    await this.#open();
    for (let step = 0; step < STEPS; step += 1) {
      await this.#step();
      if (this.#problem !== undefined) throw this.#problem;
      if (this.#world.random.chance(0.2)) await this.#checkCounters();
    }
    await this.#drain();
    assert.deepEqual(this.#world.reported, []);
  }

  get #random() {
    return this.#world.random;
  }

  async #step(): Promise<void> {
    const what = this.#random.below(100);
    if (what < 30) await this.#publish();
    else if (what < 70) await this.#answer();
    else if (what < 80) await this.#world.pass(this.#random.pick([1, 10, 100, 1_000, LEASE_MS]));
    else if (what < 86) this.#changeConsumers();
    else if (what < 90) await this.#replay();
    else if (what < 94) await this.#reopen();
    else if (what < 98) await this.#crash();
    else await this.#store();
  }

  async #open(): Promise<void> {
    const tailCacheBytes = this.#random.pick([undefined, 1]);
    const broker = await this.#world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    this.#broker = broker;
    await broker.declareQueue("work", this.#work);
    await broker.declareTopic("order", { partitions: 2 });
    await broker.declareSubscription("order", "mail", this.#mail);
    await broker.bind({ to: { kind: "queue", name: "work" }, pattern: "test" });
    await broker.bind({ to: { kind: "topic", name: "order" }, pattern: "test" });
    for (const source of this.#sources) {
      if (source.isByKey) this.#dispatcherOf(source).orderByKey();
      this.#counts.set(
        source.name,
        this.#dispatcherOf(source).states.reduce((sum, state) => sum + state.unsettledCount, 0),
      );
    }
    this.#consumers = [];
    this.#changeConsumers();
  }

  #dispatcherOf({ name }: SourceModel): Dispatcher {
    const broker = this.#broker!;
    return name === "work"
      ? broker.queue("work")!.dispatcher
      : broker.topic("order")!.subscriptions.get("mail")!.dispatcher;
  }

  #changeConsumers(): void {
    for (const consumer of this.#consumers.splice(0))
      if (this.#random.chance(0.5)) this.#closeConsumer(consumer);
      else this.#consumers.push(consumer);
    for (const source of this.#sources) {
      const options = {
        prefetch: 1 + this.#random.below(6),
        leaseMs: LEASE_MS,
        attemptsMax: ATTEMPTS_MAX,
        priority: this.#random.pick([0, 0, 1]),
      };
      if (this.#random.chance(0.7)) this.#consume(source, options);
    }
  }

  #closeConsumer({ consumer }: TestConsumer): void {
    for (const source of this.#sources)
      for (const held of source.held)
        if (held.delivery.consumer === consumer && held.delivery.isLeased) source.released(held, false);
    consumer.close();
  }

  #consume(source: SourceModel, options: Partial<ConsumerOptions>): void {
    const consumer = new TestConsumer(this.#dispatcherOf(source), options, (delivery) => {
      if (!this.#consumers.includes(consumer)) return;
      try {
        this.#delivered(source, delivery);
      } catch (error) {
        this.#problem ??= error;
      }
    });
    this.#consumers.push(consumer);
  }

  #delivered(source: SourceModel, delivery: Delivery): void {
    this.#checkAlone(source, delivery);
    const held = source.delivered(delivery);
    delivery.onLeaseLost = () => source.lost(held);
    if (!this.#isDraining) return;
    delivery.ack();
    source.settled(held);
  }

  /** What one consumer has for itself, another one has nothing of. */
  #checkAlone(source: SourceModel, delivery: Delivery): void {
    const isAlone = source.name === "work" ? this.#work.singleActiveConsumer === true : this.#mail.assignment;
    if (!isAlone) return;
    for (const { delivery: other } of source.held) {
      const isShared = other.isLeased && other.partition === delivery.partition;
      if (isShared || (other.isLeased && source.name === "work"))
        assert.equal(
          other.consumer,
          delivery.consumer,
          `${source.name}: two consumers have a part of the same`,
        );
    }
  }

  async #publish(): Promise<void> {
    const broker = this.#broker!;
    const ids: string[] = [];
    const commits: Promise<unknown>[] = [];
    for (let count = 1 + this.#random.below(8); count > 0; count -= 1) {
      const id = String(this.#published);
      const key = this.#random.pick(["a", "b", "c"]);
      const isDelayed = this.#random.chance(0.1);
      this.#published += 1;
      const priority = Math.min(this.#random.below(4), this.#work.priorities! - 1);
      for (const source of this.#sources)
        source.publishing(id, key, { isDelayed, priority: source.name === "work" ? priority : 0 });
      const readyAtMs = isDelayed ? this.#world.clock.nowMs() + this.#random.below(3_000) : undefined;
      ids.push(id);
      const appended = broker.publish(message(id, { key, readyAtMs, priority }));
      assert.equal(appended.length, 2);
      commits.push(...appended.map(({ committed }) => committed));
    }
    const committed = Promise.all(commits).then(() => {
      for (const id of ids) for (const source of this.#sources) source.committed(id);
    });
    committed.catch(() => undefined);
    if (this.#random.chance(0.7)) await committed;
  }

  async #answer(): Promise<void> {
    await this.#world.turns(4);
    for (const source of this.#sources) {
      for (const held of [...source.held]) if (this.#random.chance(0.6)) await this.#answerOne(source, held);
    }
  }

  async #answerOne(source: SourceModel, held: HeldDelivery): Promise<void> {
    const { delivery } = held;
    const { isLeased } = delivery;
    const delayMs = this.#random.pick([0, 0, 50, 2_000]);
    const keepsTurn = this.#random.chance(0.7);
    try {
      const what = this.#random.below(10);
      if (what < 6) {
        delivery.ack();
        source.settled(held);
      } else if (what < 8) {
        delivery.nack({ delayMs, error: "it failed", keepsTurn });
        source.failed(held, delayMs > 0 && !keepsTurn, delayMs > 0);
      } else if (what < 9) {
        delivery.release(delayMs);
        source.released(held, delayMs > 0);
      } else {
        await this.#bury(source, held);
      }
      assert.ok(isLeased, "an answer after the lease was lost was accepted");
    } catch (error) {
      if (!isBrokerError(error, "LEASE_LOST")) throw error;
      assert.ok(!isLeased, "an answer in time was refused");
      source.held.delete(held);
      source.refused += 1;
    }
  }

  async #bury(source: SourceModel, held: HeldDelivery): Promise<void> {
    const burial = held.delivery.deadLetter("rejected", "no");
    source.settled(held);
    await burial;
    source.died(held.message.id);
  }

  async #letters(): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for await (const letter of this.#broker!.deadLetters.list()) letters.push(letter);
    return letters;
  }

  async #replay(): Promise<void> {
    await this.#world.turns(10);
    const letters = (await this.#letters()).filter(() => this.#random.chance(0.5));
    for (const { queue, record } of letters) {
      const source = this.#sources.find(({ name }) => name === queue.deadLettersOf)!;
      // The exhausted ones are noticed here for the first time.
      source.died(record.valueText());
      source.replayed(record.valueText());
    }
    assert.equal(await this.#broker!.deadLetters.replay(letters), letters.length);
  }

  /** All that was settled so far is on its way to the disk, and arrives there. */
  async #store(): Promise<void> {
    await this.#broker!.flush();
    await this.#world.turns(10);
    for (const source of this.#sources) source.stored();
  }

  async #reopen(): Promise<void> {
    this.#consumers = [];
    await this.#broker!.close();
    for (const source of this.#sources) source.closed();
    await this.#open();
  }

  async #crash(): Promise<void> {
    await this.#world.turns(this.#random.below(12));
    const isPower = this.#random.chance(0.5);
    this.#consumers = [];
    this.#world.crash(isPower);
    for (const source of this.#sources) source.crashed(isPower);
    await this.#open();
    for (const letter of await this.#letters()) {
      const source = this.#sources.find(({ name }) => name === letter.queue.deadLettersOf)!;
      source.died(letter.record.valueText());
    }
  }

  async #checkCounters(): Promise<void> {
    await this.#world.quiet();
    const broker = this.#broker!;
    const { queues, topics } = broker.statistics();
    const work = queues.find(({ name }) => name === "work")!;
    const left = work.settled + work.deadLettered + work.dropped;
    const there = work.waiting + work.inFlight + work.delayed;
    assert.equal(this.#counts.get("work")! + work.published - left, there, "work does not add up");
    const mail = topics[0]!.groups[0]!;
    assert.ok(mail.lag >= mail.inFlight + mail.delayed);
    assert.equal(work.dropped, 0);
  }

  /** Everything comes out in the end: nothing is lost, and nothing is stuck. */
  async #drain(): Promise<void> {
    this.#isDraining = true;
    await this.#reopen();
    for (const consumer of this.#consumers.splice(0)) this.#closeConsumer(consumer);
    for (const source of this.#sources)
      this.#consume(source, { prefetch: 5, leaseMs: LEASE_MS, attemptsMax: 1_000 });
    await this.#world.pass(10_000);
    if (this.#problem !== undefined) throw this.#problem;
    for (const letter of await this.#letters()) {
      const source = this.#sources.find(({ name }) => name === letter.queue.deadLettersOf)!;
      source.died(letter.record.valueText());
    }
    for (const source of this.#sources) {
      assert.deepEqual(source.unsettled(), [], `${source.name} lost messages`);
      for (const state of this.#dispatcherOf(source).states)
        assert.equal(state.unsettledCount, 0, `${source.name} is stuck`);
      assert.equal(this.#dispatcherOf(source).inFlight, 0);
    }
    await this.#broker!.close();
  }
}

const first = process.env["OMNIBUS_SEED"];
const count = Number(process.env["OMNIBUS_SEEDS"] ?? (first === undefined ? SEEDS : 1));

test("over random operations, crashes and restarts nothing is lost, repeated, reordered or stuck", async () => {
  for (let seed = Number(first ?? 1); seed < Number(first ?? 1) + count; seed += 1) {
    try {
      await new Run(seed).run();
    } catch (error) {
      throw new Error(`OMNIBUS_SEED=${seed} repeats this: ${(error as Error).message}`, { cause: error });
    }
  }
});
