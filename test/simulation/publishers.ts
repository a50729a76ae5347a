// The publishers of a history: what they send, what they are told, and what follows from that for the model.

import assert from "node:assert/strict";
import type { Appended } from "../../src/broker/appended.js";
import type { Broker } from "../../src/broker/broker.js";
import type { Delivery } from "../../src/broker/delivery.js";
import { isBrokerError } from "../../src/broker-error.js";
import { message } from "../support/broker-world.js";
import type { SeededRandom } from "../support/seeded-random.js";
import type { SourceModel } from "../support/source-model.js";
import type { Plan } from "./plan.js";
import type { Tally } from "./tally.js";
import type { TransactionModel } from "./transaction-model.js";
import type { World } from "./world.js";

/** A message as its publisher knows it. */
interface Sent {
  readonly id: string;
  readonly sources: readonly SourceModel[];
  readonly subject: string;
  readonly key: string;
  readonly priority: number;
  readonly readyAtMs: number | undefined;
  readonly expiresAtMs: number | undefined;
  readonly filler: string;
}

interface Published {
  readonly id: string;
  /** Where it goes. */
  readonly sources: readonly SourceModel[];
  readonly appended: readonly Appended[];
}

/** The history that they are a part of. */
export interface PublishersOwner {
  readonly plan: Plan;
  readonly world: World;
  readonly sources: readonly SourceModel[];
  readonly transactions: TransactionModel;
  readonly tally: Tally;
  readonly trace: (line: string) => void;
  /** Of the operation that runs. */
  readonly random: SeededRandom;
  readonly broker: Broker | undefined;
  isStorageError(error: unknown): boolean;
}

export class Publishers {
  readonly #owner: PublishersOwner;
  #published = 0;
  readonly #sent: Sent[] = [];
  readonly #inTransactions = new Set<string>();

  constructor(owner: PublishersOwner) {
    this.#owner = owner;
  }

  /** A message came: neither before its time nor after its end. */
  checkTimes(source: SourceModel, { record }: Delivery): void {
    const id = record.valueText();
    const { readyAtMs = 0, expiresAtMs = Number.POSITIVE_INFINITY } = this.#sent[Number(id)]!;
    const { nowMs } = this.#owner.world;
    // What was due before the clock was set back stays due.
    const isEarly =
      nowMs < readyAtMs && !source.wasReplayed(id) && this.#owner.tally.faults["clock jump"] === 0;
    assert.ok(!isEarly, `${id} came ${readyAtMs - nowMs} ms before its time`);
    const isLate = nowMs > expiresAtMs && !source.wasReplayed(id);
    assert.ok(!isLate, `${id} came ${nowMs - expiresAtMs} ms after its end`);
  }

  async publish(): Promise<void> {
    const commits: Promise<void>[] = [];
    const ids: string[] = [];
    for (let count = 1 + this.#owner.random.below(6); count > 0; count -= 1) {
      const published = this.#append();
      ids.push(published.id);
      const { appended } = published;
      commits.push(this.#followed([published], Promise.all(appended.map(({ committed }) => committed))));
    }
    this.#owner.trace(`    ${ids.join(", ")}`);
    if (this.#owner.random.chance(0.5)) await this.#owner.world.run(Promise.all(commits));
  }

  /** Hands over a message to one source, or to all. */
  #append(): Published {
    const id = String(this.#published);
    // One that goes to all is an atomic step, which the journal makes durable, whatever the logs promise.
    const isAlone = !this.#owner.plan.isSynced || this.#owner.random.chance(0.4);
    const only = isAlone ? this.#owner.random.pick(this.#owner.sources) : undefined;
    const sources = only === undefined ? this.#owner.sources : [only];
    const key = this.#owner.random.pick(["a", "b", "c"]);
    const isDelayed = this.#owner.random.chance(0.1);
    const priority = this.#owner.random.below(this.#owner.plan.priorities);
    this.#published += 1;
    for (const source of sources)
      source.publishing(id, key, isDelayed, source.name === "work" ? priority : 0);
    const sent: Sent = {
      id,
      sources,
      subject: only?.name ?? "all",
      key,
      priority,
      readyAtMs: isDelayed ? this.#owner.world.nowMs + this.#owner.random.below(3_000) : undefined,
      expiresAtMs: this.#owner.random.chance(0.1)
        ? this.#owner.world.nowMs + this.#owner.random.below(8_000)
        : undefined,
      filler: "x".repeat(this.#owner.random.below(300)),
    };
    if (sent.expiresAtMs !== undefined) for (const source of sources) source.mayExpire(id);
    this.#sent.push(sent);
    return this.#handOver(sent);
  }

  #handOver(sent: Sent): Published {
    const { id, sources, subject, key, priority, readyAtMs, expiresAtMs, filler } = sent;
    const timestampMs = this.#owner.world.nowMs;
    const named = this.#owner.plan.isOnce ? { id: `id-${id}` } : {};
    const properties = { ...named, subject, key, priority, readyAtMs, expiresAtMs, timestampMs };
    const appended = this.#owner.broker!.publish(message(id, { ...properties, headers: { filler } }));
    const isKnown = appended.some(({ firstSentMs }) => firstSentMs !== undefined);
    if (!isKnown) assert.equal(appended.length, sources.length);
    return { id, sources, appended };
  }

  /** A publisher that had no answer, or does not trust it, publishes once more. */
  async repeat(): Promise<void> {
    if (!this.#owner.plan.isOnce || this.#sent.length === 0) return;
    const sent = this.#owner.random.pick(this.#sent.slice(-10));
    // The outputs of a transaction belong to it.
    if (this.#inTransactions.has(sent.id)) return;
    for (const source of sent.sources) source.repeating(sent.id);
    const published = this.#handOver(sent);
    this.#owner.trace(`    ${sent.id}`);
    const { appended } = published;
    const committed = this.#followed([published], Promise.all(appended.map((one) => one.committed)));
    if (this.#owner.random.chance(0.5)) await this.#owner.world.run(committed);
  }

  /** Tells the model what the publisher of the messages was told. */
  async #followed(published: readonly Published[], committed: Promise<unknown>): Promise<void> {
    const process = this.#owner.tally.crashes;
    try {
      await committed;
    } catch (error) {
      if (process !== this.#owner.tally.crashes) return;
      if (!this.#owner.isStorageError(error)) throw error;
      if (!isBrokerError(error, "DISK_FULL")) return;
      for (const { id, sources } of published) for (const source of sources) source.neverStored(id);
      return;
    }
    if (process !== this.#owner.tally.crashes) return;
    for (const { id, sources } of published) for (const source of sources) source.committed(id);
  }

  /** Settles some messages and publishes others, as one. */
  async transact(): Promise<void> {
    const inputs = this.#owner.sources.flatMap((source) =>
      [...source.held]
        .filter(({ delivery }) => delivery.isLeased && this.#owner.random.chance(0.3))
        .map((held) => ({ source, held })),
    );
    const outputs: Published[] = [];
    const deliveries = inputs.map(({ held }) => held.delivery);
    const committed = this.#owner.broker!.commit(deliveries, () => {
      const all: Appended[] = [];
      for (let count = this.#owner.random.below(3); count >= 0; count -= 1) {
        const published = this.#append();
        outputs.push(published);
        this.#inTransactions.add(published.id);
        all.push(...published.appended);
      }
      return all;
    });
    for (const { source, held } of inputs) source.settling(held);
    const outputPlaces = outputs.flatMap(({ id, sources }) => sources.map(({ name }) => `${name} ${id}`));
    const inputPlaces = inputs.map(({ source, held }) => `${source.name} ${held.message.id}`);
    this.#owner.trace(`    ${inputPlaces.join(", ")} -> ${outputPlaces.join(", ")}`);
    this.#owner.transactions.begin(inputPlaces, outputPlaces);
    const process = this.#owner.tally.crashes;
    const settled = committed.then(
      () => {
        if (process === this.#owner.tally.crashes)
          for (const { source, held } of inputs) source.settledForGood(held);
      },
      (error: unknown) => {
        if (process !== this.#owner.tally.crashes) return;
        const isKnown = !isBrokerError(error, "STORAGE_FAILED");
        for (const { source, held } of inputs) if (isKnown) source.leasedAnew(held);
      },
    );
    const followed = this.#followed(outputs, committed);
    if (this.#owner.random.chance(0.5)) await this.#owner.world.run(Promise.all([followed, settled]));
  }
}
