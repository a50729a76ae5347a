// The publishers of a history: what they send, what they are told, and what follows from that for the models.

import assert from "node:assert/strict";
import type { Appended } from "../../src/broker/appended.js";
import type { Delivery } from "../../src/broker/delivery.js";
import type { OutgoingMessage } from "../../src/broker/message.js";
import { isBrokerError } from "../../src/broker-error.js";
import { message } from "../support/broker-world.js";
import type { HeldDelivery, SourceModel } from "../support/source-model.js";
import { COUNT_MAX, type Stage } from "./stage.js";

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

/** What a transaction settles. */
interface Input {
  readonly source: SourceModel;
  readonly held: HeldDelivery;
}

/** By way of a queue that is forwarded. */
const RELAY = "relay";

const KEYS = ["a", "b", "c"];
/** Where the last message of each key is kept, so that some are old. */
const MANY_KEYS = [..."abcdefghijklmnopqrstuvwxyz"];

export class Publishers {
  readonly #stage: Stage;
  readonly #sent: Sent[] = [];
  readonly #inTransactions = new Set<string>();
  /** Publishers that wait for room. */
  #waiting = 0;
  readonly operations = {
    publish: () => this.#publish(),
    repeat: () => this.#repeat(),
    transact: () => this.#transact(),
  };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The process is gone, and they with it. */
  forget(): void {
    this.#waiting = 0;
  }

  /** Nobody waits for ever. */
  checkDrained(): void {
    assert.equal(this.#waiting, 0, "publishers wait although there is room");
  }

  /** A message came: neither before its time nor after its end. */
  checkTimes(source: SourceModel, { record }: Delivery): void {
    const id = record.valueText();
    const { readyAtMs = 0, expiresAtMs = Number.POSITIVE_INFINITY } = this.#sent[Number(id)]!;
    const { nowMs } = this.#stage.world;
    // What was due before the clock was set back stays due.
    const isEarly =
      nowMs < readyAtMs && !source.wasReplayed(id) && this.#stage.tally.faults["clock jump"] === 0;
    assert.ok(!isEarly, `${id} came ${readyAtMs - nowMs} ms before its time`);
    const isLate = nowMs > expiresAtMs && !source.wasReplayed(id);
    assert.ok(!isLate, `${id} came ${nowMs - expiresAtMs} ms after its end`);
  }

  /** A message was taken out because its time was over. The clock may have been set back since. */
  checkExpired(id: string): void {
    const { expiresAtMs = Number.POSITIVE_INFINITY } = this.#sent[Number(id)]!;
    const { latestMs } = this.#stage.world;
    assert.ok(latestMs >= expiresAtMs, `${id} was expired ${expiresAtMs - latestMs} ms before its end`);
  }

  async #publish(): Promise<void> {
    const { random, world, trace } = this.#stage;
    const commits: Promise<void>[] = [];
    const ids: string[] = [];
    for (let count = 1 + random.below(6); count > 0; count -= 1) {
      const sent = this.#draw();
      ids.push(sent.id);
      commits.push(this.#append(sent));
    }
    trace(`    ${ids.join(", ")}`);
    if (this.#waiting === 0 && random.chance(0.5)) await world.run(Promise.all(commits));
  }

  /** A publisher that had no answer, or does not trust it, publishes once more. */
  async #repeat(): Promise<void> {
    const { plan, random, world, trace } = this.#stage;
    if (!plan.isOnce || this.#sent.length === 0) return;
    const sent = random.pick(this.#sent.slice(-10));
    // The outputs of a transaction belong to it.
    if (this.#inTransactions.has(sent.id)) return;
    for (const source of sent.sources) if (source.isKnown(sent.id)) source.repeating(sent.id);
    trace(`    ${sent.id}`);
    const committed = this.#append(sent);
    if (this.#waiting === 0 && random.chance(0.5)) await world.run(committed);
  }

  /** A message to one source, or to all. */
  #draw(): Sent {
    const { plan, random, sources, world, bodyBytesMax } = this.#stage;
    const id = String(this.#sent.length);
    // One that goes to all is an atomic step, which the journal makes durable, whatever the logs promise.
    const isAlone = !plan.isSynced || random.chance(0.4);
    const isRelayed = plan.isForwarding && random.chance(0.3);
    let only = isAlone ? random.pick(sources) : undefined;
    if (isRelayed) only = this.#stage.work;
    const isDelayed = random.chance(0.1);
    const sent: Sent = {
      id,
      sources: only === undefined ? sources : [only],
      subject: isRelayed ? RELAY : (only?.name ?? "all"),
      key: random.pick(plan.retention.compact ? MANY_KEYS : KEYS),
      priority: random.below(plan.priorities),
      readyAtMs: isDelayed ? world.nowMs + random.below(3_000) : undefined,
      expiresAtMs: random.chance(0.1) ? world.nowMs + random.below(8_000) : undefined,
      filler: "x".repeat(random.below(bodyBytesMax)),
    };
    this.#sent.push(sent);
    return sent;
  }

  /** It is handed over in a moment. */
  #announce({ id, sources, subject, key, priority, readyAtMs, expiresAtMs }: Sent): void {
    const { topic, mail, work, world } = this.#stage;
    if (sources.includes(mail)) topic.appending(id, key, world.nowMs);
    for (const source of sources) {
      if (source.isKnown(id)) continue;
      const isDelayed = readyAtMs !== undefined;
      const way = subject === RELAY ? RELAY : "";
      source.publishing(id, key, { isDelayed, priority: source === work ? priority : 0, way });
      if (expiresAtMs !== undefined) source.mayExpire(id);
    }
  }

  /** Hands it over, when there is room for it, and tells the models what its publisher was told. Never rejects. */
  async #append(sent: Sent): Promise<void> {
    const { broker, process, work } = this.#stage;
    const queue = sent.subject === work.name ? broker!.queue("work") : undefined;
    const waits = queue?.makesWait === true;
    if (waits) {
      this.#waiting += 1;
      const isLetIn = await queue.waitForRoom().then(
        () => true,
        () => false,
      );
      if (process !== this.#stage.process) return;
      this.#waiting -= 1;
      if (!isLetIn) return;
    }
    this.#announce(sent);
    try {
      const appended = waits ? [queue.append(this.#messageOf(sent))] : this.#handOver(sent);
      await this.#followed([[sent, appended]], Promise.all(appended.map((one) => one.committed)));
    } catch (error) {
      try {
        this.#refused(error, [sent]);
      } catch (problem) {
        this.#stage.fail(problem);
      }
    }
  }

  /** They were not taken. What is refused for want of room has to be one too many. */
  #refused(error: unknown, all: readonly Sent[]): void {
    const { plan, work } = this.#stage;
    if (!this.#stage.isStorageError(error)) {
      if (!isBrokerError(error, "QUEUE_FULL") || plan.overflow === undefined) throw error;
      // Where publishers wait, those who do not are refused while others stand in line.
      const isFull = work.countMax(plan.isOnce) >= COUNT_MAX || plan.overflow === "wait";
      assert.ok(isFull, `the queue is full with ${work.countMax(plan.isOnce)} messages`);
    }
    for (const { id, sources } of all)
      for (const source of sources) if (!source.wasReplayed(id)) source.neverStored(id);
  }

  #handOver(sent: Sent): readonly Appended[] {
    const appended = this.#stage.broker!.publish(this.#messageOf(sent));
    const isKnown = appended.some(({ firstSentMs }) => firstSentMs !== undefined);
    if (!isKnown) assert.equal(appended.length, sent.sources.length);
    return appended;
  }

  #messageOf({ id, subject, key, priority, readyAtMs, expiresAtMs, filler }: Sent): OutgoingMessage {
    const { plan, world } = this.#stage;
    const named = plan.isOnce ? { id: `id-${id}` } : {};
    const times = { readyAtMs, expiresAtMs, timestampMs: world.nowMs };
    return message(id, { ...named, ...times, subject, key, priority, headers: { filler } });
  }

  #followed(
    all: readonly (readonly [Sent, readonly Appended[]])[],
    committed: Promise<unknown>,
  ): Promise<void> {
    return this.#stage.follow(
      committed,
      () => {
        for (const [sent, appended] of all) this.#stored(sent, appended);
      },
      (error) => {
        if (!isBrokerError(error, "DISK_FULL")) return;
        for (const [{ id, sources }] of all) for (const source of sources) source.neverStored(id);
      },
    );
  }

  #stored({ id, sources }: Sent, appended: readonly Appended[]): void {
    for (const source of sources) source.committed(id);
    for (const { destination, partition, offset } of appended)
      if (destination === "order") this.#stage.topic.committed(id, { partition: partition!, offset });
  }

  /** Settles some messages and publishes others, as one. */
  async #transact(): Promise<void> {
    const { random, sources, transactions, trace, world } = this.#stage;
    const inputs: Input[] = sources.flatMap((source) =>
      [...source.held]
        .filter(({ delivery }) => delivery.isLeased && random.chance(0.3))
        .map((held) => ({ source, held })),
    );
    const outputs = Array.from({ length: 1 + random.below(3) }, () => this.#draw());
    for (const sent of outputs) {
      this.#inTransactions.add(sent.id);
      this.#announce(sent);
    }
    const appended: [Sent, readonly Appended[]][] = [];
    const committed = this.#tryCommit(inputs, outputs, (sent, places) => appended.push([sent, places]));
    if (committed === undefined) return;
    for (const { source, held } of inputs) source.settling(held);
    const outputPlaces = outputs.flatMap(({ id, sources }) => sources.map(({ name }) => `${name} ${id}`));
    const inputPlaces = inputs.map(({ source, held }) => `${source.name} ${held.message.id}`);
    trace(`    ${inputPlaces.join(", ")} -> ${outputPlaces.join(", ")}`);
    transactions.begin(inputPlaces, outputPlaces);
    const settled = this.#stage.follow(
      committed,
      () => {
        for (const { source, held } of inputs) source.settledForGood(held);
      },
      (error) => {
        const isKnown = !isBrokerError(error, "STORAGE_FAILED");
        for (const { source, held } of inputs) if (isKnown) source.leasedAnew(held);
      },
    );
    const followed = this.#followed(appended, committed);
    if (random.chance(0.5)) await world.run(Promise.all([followed, settled]));
  }

  /** Undefined when it was refused: then nothing was done. */
  #tryCommit(
    inputs: readonly Input[],
    outputs: readonly Sent[],
    onAppended: (sent: Sent, appended: readonly Appended[]) => void,
  ): Promise<void> | undefined {
    const deliveries = inputs.map(({ held }) => held.delivery);
    const handOver = (sent: Sent): readonly Appended[] => {
      const appended = this.#handOver(sent);
      onAppended(sent, appended);
      return appended;
    };
    try {
      return this.#stage.broker!.commit(deliveries, () => outputs.flatMap(handOver));
    } catch (error) {
      this.#refused(error, outputs);
      return undefined;
    }
  }
}
