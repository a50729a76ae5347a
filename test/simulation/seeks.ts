// Moving the group of a history to other places of its topic.

import assert from "node:assert/strict";
import type { SeekPosition } from "../../src/broker/positions.js";
import type { Topic } from "../../src/broker/topic.js";
import type { Stage } from "./stage.js";

export class Seeks {
  readonly #stage: Stage;
  #underWay = 0;
  readonly operations = { seek: () => this.#seek() };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The process is gone, and whether the group was moved is not known. */
  forget(): void {
    if (this.#underWay > 0) this.#mayHaveMoved();
    this.#underWay = 0;
  }

  async #seek(): Promise<void> {
    const { broker, random, world, trace } = this.#stage;
    const topic = broker!.topic("order")!;
    const to = this.#draw(topic);
    trace(`    ${JSON.stringify(to)}`);
    const ends = topic.partitions.map((log) => log.highWatermark);
    const starts = topic.partitions.map((log) => log.logStartOffset);
    this.#underWay += 1;
    const moved = this.#stage.follow(
      broker!.seekSubscription("order", "mail", to),
      () => {
        this.#underWay -= 1;
        this.#moved(topic, to, starts, ends);
      },
      () => {
        this.#underWay -= 1;
        this.#mayHaveMoved();
      },
    );
    if (random.chance(0.7)) await world.run(moved);
  }

  #draw({ partitions }: Topic): SeekPosition {
    const { random, world } = this.#stage;
    const kind = random.below(4);
    if (kind === 0) return "beginning";
    if (kind === 1) return "end";
    if (kind === 2) return { timestampMs: world.nowMs - random.below(3_000) };
    const partition = random.below(partitions.length);
    return { partition, offset: random.below(partitions[partition]!.highWatermark + 1) };
  }

  /** What comes from here on follows from where the group is now, which has to be where it was moved to. */
  #moved(topic: Topic, to: SeekPosition, starts: readonly number[], ends: readonly number[]): void {
    const { mail, topic: model } = this.#stage;
    // What its publisher knows nothing of may lie on either side.
    if (this.#stage.isBroken)
      for (const one of mail.messages) one.isUnknown ||= model.placeOf(one.id) === undefined;
    const { startOffsets } = topic.subscriptions.get("mail")!.definition;
    for (const [partition, log] of topic.partitions.entries()) {
      if (typeof to === "object" && "offset" in to && to.partition !== partition) continue;
      const offset = startOffsets[partition]!;
      const what = `moved to ${JSON.stringify(to)}, the group is at ${offset} of partition ${partition}`;
      const [start, end] = [starts[partition]!, ends[partition]!];
      if (to === "beginning") assert.ok(offset >= start && offset <= log.logStartOffset, what);
      else if (to === "end") assert.ok(offset >= end && offset <= log.highWatermark, what);
      else if ("offset" in to) assert.ok(offset === to.offset || offset <= log.logStartOffset, what);
      else this.#checkTime(partition, offset, to.timestampMs, what);
      this.#movedIn(partition, offset);
    }
  }

  #movedIn(partition: number, offset: number): void {
    const { mail, transactions, topic, plan } = this.#stage;
    const isMoved = (id: string): boolean => topic.placeOf(id)?.partition === partition;
    const isBehind = (id: string): boolean => topic.placeOf(id)!.offset >= offset;
    mail.moved(partition, isMoved, isBehind, plan.isOnce);
    for (const { id } of mail.messages) if (isMoved(id)) transactions.forget(`${mail.name} ${id}`);
  }

  /** Everything before was published earlier. */
  #checkTime(partition: number, offset: number, timestampMs: number, what: string): void {
    const { mail, topic, plan } = this.#stage;
    // Of one that was published twice, it is not known which is there.
    if (plan.isOnce) return;
    for (const { id } of mail.messages) {
      const place = topic.placeOf(id);
      if (place?.partition !== partition || place.offset >= offset) continue;
      assert.ok(topic.timestampOf(id) < timestampMs, `${what}, behind ${id}`);
    }
  }

  #mayHaveMoved(): void {
    const { mail, transactions } = this.#stage;
    mail.mayHaveMoved();
    for (const { id } of mail.messages) transactions.forget(`${mail.name} ${id}`);
  }
}
