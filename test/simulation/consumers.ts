// The consumers of a history: what they are given, what they answer, and what follows from that for the models.

import assert from "node:assert/strict";
import type { Delivery } from "../../src/broker/delivery.js";
import { isBrokerError } from "../../src/broker-error.js";
import type { HeldDelivery, SourceModel } from "../support/source-model.js";
import { TestConsumer } from "../support/test-consumer.js";
import type { Publishers } from "./publishers.js";
import { ATTEMPTS_MAX, type Stage } from "./stage.js";

export const LEASE_MS = 5_000;

/** What consumers do with a message, as often as it stands here. */
const ANSWERS = ["ack", "ack", "ack", "ack", "ack", "ack", "nack", "nack", "release", "dead letter"] as const;

export class Consumers {
  readonly #stage: Stage;
  readonly #publishers: Publishers;
  #all: TestConsumer[] = [];
  readonly operations = { answer: () => this.#answer(), consumers: () => this.change() };

  constructor(stage: Stage, publishers: Publishers) {
    this.#stage = stage;
    this.#publishers = publishers;
  }

  /** The process is gone, and they with it. */
  forget(): void {
    this.#all = [];
  }

  /** Some leave, and others come. */
  change(): void {
    const { random, sources } = this.#stage;
    for (const consumer of this.#all.splice(0))
      if (random.chance(0.5)) this.#close(consumer);
      else this.#all.push(consumer);
    for (const source of sources)
      if (random.chance(0.7)) this.#consume(source, 1 + random.below(6), ATTEMPTS_MAX);
  }

  /** From here on everything is acknowledged at once, however often it was tried. */
  drain(): void {
    for (const consumer of this.#all.splice(0)) this.#close(consumer);
    for (const source of this.#stage.sources) this.#consume(source, 5, 1_000);
  }

  #close({ consumer }: TestConsumer): void {
    for (const source of this.#stage.sources)
      for (const held of source.held)
        if (held.delivery.consumer === consumer && held.delivery.isLeased) source.released(held, false);
    consumer.close();
  }

  #consume(source: SourceModel, prefetch: number, attemptsMax: number): void {
    const options = { prefetch, leaseMs: LEASE_MS, attemptsMax };
    const consumer = new TestConsumer(this.#stage.dispatcherOf(source), options, (delivery) => {
      if (!this.#all.includes(consumer)) return;
      try {
        this.#delivered(source, delivery);
      } catch (error) {
        this.#stage.fail(error);
      }
    });
    this.#all.push(consumer);
  }

  #delivered(source: SourceModel, delivery: Delivery): void {
    const { trace, transactions, isDraining } = this.#stage;
    trace(`    ${source.name} gives ${delivery.record.valueText()}, attempt ${delivery.attempt}`);
    this.#publishers.checkTimes(source, delivery);
    const held = source.delivered(delivery);
    const { partition, record } = delivery;
    // Messages that come back to the group alone have a log of their own.
    if (source === this.#stage.mail && partition !== undefined)
      this.#stage.topic.committed(held.message.id, { partition, offset: record.offset });
    // It may be there twice: a group was moved back, and its dead letter replayed.
    if (held.message.isUnknown) transactions.forget(`${source.name} ${held.message.id}`);
    transactions.delivered(`${source.name} ${held.message.id}`);
    delivery.onLeaseLost = () => source.lost(held);
    if (!isDraining) return;
    delivery.ack();
    source.settled(held);
  }

  async #answer(): Promise<void> {
    const { world, random, sources } = this.#stage;
    await world.step(random.below(20));
    for (const source of sources)
      for (const held of [...source.held]) if (random.chance(0.6)) this.#answerOne(source, held);
  }

  #answerOne(source: SourceModel, held: HeldDelivery): void {
    const { isLeased } = held.delivery;
    const what = this.#stage.random.pick(ANSWERS);
    try {
      if (what === "ack") this.#ack(source, held);
      else if (what === "nack") this.#nack(source, held);
      else if (what === "release") this.#release(source, held);
      else this.#bury(source, held);
    } catch (error) {
      if (!isBrokerError(error, "LEASE_LOST")) throw error;
      assert.ok(!isLeased, "an answer in time was refused");
      source.held.delete(held);
      return;
    }
    this.#stage.trace(`    ${source.name}: ${held.message.id} ${what}`);
    assert.ok(isLeased, "an answer after the lease was lost was accepted");
  }

  #ack(source: SourceModel, held: HeldDelivery): void {
    held.delivery.ack();
    // An inbox stores it with the id, and a disk that is full refuses both.
    if (this.#stage.plan.isOnce && this.#stage.wasFull) source.settledInDoubt(held);
    else source.settled(held);
  }

  #nack(source: SourceModel, held: HeldDelivery): void {
    const { random } = this.#stage;
    const delayMs = random.pick([0, 0, 50, 2_000]);
    const keepsTurn = random.chance(0.7);
    held.delivery.nack({ delayMs, error: "it failed", keepsTurn });
    source.failed(held, delayMs > 0 && !keepsTurn, delayMs > 0);
  }

  #release(source: SourceModel, held: HeldDelivery): void {
    const delayMs = this.#stage.random.pick([0, 0, 50, 2_000]);
    held.delivery.release(delayMs);
    source.released(held, delayMs > 0);
  }

  #bury(source: SourceModel, held: HeldDelivery): void {
    const { id } = held.message;
    const burial = held.delivery.deadLetter("rejected", "no");
    source.burying(held);
    void this.#stage.follow(
      burial,
      () => source.died(id),
      () => source.burialFailed(id),
    );
  }
}
