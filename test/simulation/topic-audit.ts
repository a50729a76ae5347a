// Reads the topic of a history whole, and sees that its limits hold.

import assert from "node:assert/strict";
import type { Topic } from "../../src/broker/topic.js";
import type { Stage } from "./stage.js";
import type { FoundPartition, FoundRecord } from "./topic-model.js";

/** Segments, which are removed whole, and what is published while that is looked at. */
const SLACK_BYTES = 3 * 64 * 1024;

export class TopicAudit {
  readonly #stage: Stage;
  readonly operations = { maintain: () => this.#maintain() };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Nothing may be under way in the topic. */
  async check(): Promise<void> {
    const { world, broker, topic, mail } = this.#stage;
    const found = await world.run(readAll(broker!.topic("order")!));
    topic.check(found, world.latestMs);
    for (const { records } of found) for (const { id } of records) mail.found(id);
  }

  async #maintain(): Promise<void> {
    const { world, broker, plan } = this.#stage;
    await world.run(broker!.maintain());
    const { retentionBytes } = plan.retention;
    if (retentionBytes === undefined || this.#stage.isBroken) return;
    for (const { sizeBytes } of broker!.topic("order")!.partitions)
      assert.ok(sizeBytes < retentionBytes + SLACK_BYTES, `the topic keeps ${sizeBytes} bytes`);
  }
}

async function readAll(topic: Topic): Promise<FoundPartition[]> {
  const found: FoundPartition[] = [];
  for (const [partition, log] of topic.partitions.entries()) {
    let start: number;
    let records: FoundRecord[];
    do {
      start = log.logStartOffset;
      records = [];
      for await (const record of topic.read(partition, { offset: start }))
        records.push({ offset: record.offset, id: record.valueText() });
      // Retention may have come in between.
    } while (start !== log.logStartOffset);
    found.push({ start, sizeBytes: log.sizeBytes, records });
  }
  return found;
}
