// What a topic keeps: everything that was acknowledged, in its place, until retention or compaction may take it.

import assert from "node:assert/strict";
import type { TopicOptions } from "../../src/broker/limits.js";

export interface PlaceInTopic {
  readonly partition: number;
  readonly offset: number;
}

/** A record as it was found. */
export interface FoundRecord {
  readonly offset: number;
  readonly id: string;
}

/** One partition as it was found. */
export interface FoundPartition {
  readonly start: number;
  readonly sizeBytes: number;
  readonly records: readonly FoundRecord[];
}

interface Kept extends PlaceInTopic {
  readonly id: string;
}

export class TopicModel {
  readonly #retention: Partial<TopicOptions>;
  /** What their publishers gave them. */
  readonly #sent = new Map<string, { readonly key: string; readonly timestampMs: number }>();
  /** Where those are that are there for certain. */
  #places = new Map<string, Kept>();
  /** Whether a power failure may have taken the ends of partitions. */
  #mayBeCut = false;

  constructor(retention: Partial<TopicOptions>) {
    this.#retention = retention;
  }

  /** Before it is appended, for the first time or once more. */
  appending(id: string, key: string, timestampMs: number): void {
    if (!this.#sent.has(id)) this.#sent.set(id, { key, timestampMs });
  }

  committed(id: string, { partition, offset }: PlaceInTopic): void {
    const known = this.#places.get(id);
    const isThere = known === undefined || (known.partition === partition && known.offset === offset);
    assert.ok(isThere, `${id} is at ${offset} of partition ${partition}, and was at ${known?.offset}`);
    this.#places.set(id, { id, partition, offset });
  }

  /** Undefined when it is not there, or that is not known. */
  placeOf(id: string): PlaceInTopic | undefined {
    return this.#places.get(id);
  }

  timestampOf(id: string): number {
    return this.#sent.get(id)!.timestampMs;
  }

  /** The power failed, and receipts only meant that the system had it. */
  cut(): void {
    this.#mayBeCut = true;
  }

  /** Holds all that is there against what is known, and knows it from here on. `latestMs`: the clock never showed more. */
  check(found: readonly FoundPartition[], latestMs: number): void {
    const places = new Map<string, Kept>();
    for (const [partition, { start, records }] of found.entries()) {
      let last = start - 1;
      for (const { id, offset } of records) {
        assert.ok(offset > last, `partition ${partition} has ${offset} behind ${last}`);
        last = offset;
        assert.ok(this.#sent.has(id), `partition ${partition} has ${id}, which nobody published`);
        assert.ok(!places.has(id), `${id} is in the topic twice`);
        places.set(id, { id, partition, offset });
      }
    }
    for (const known of this.#places.values()) this.#checkKept(known, places, found, latestMs);
    this.#places = places;
    this.#mayBeCut = false;
  }

  #checkKept(
    known: Kept,
    places: ReadonlyMap<string, Kept>,
    found: readonly FoundPartition[],
    latestMs: number,
  ): void {
    const { id, partition, offset } = known;
    const place = places.get(id);
    const what = `${id}, which was at ${offset} of partition ${partition} of the topic,`;
    if (place !== undefined) {
      const isThere = place.partition === partition && place.offset === offset;
      assert.ok(isThere, `${what} is at ${place.offset} of partition ${place.partition}`);
      return;
    }
    const { start, records, sizeBytes } = found[partition]!;
    if (offset < start) {
      assert.ok(this.#mayBeRemoved(id, records.length, sizeBytes, latestMs), `${what} was removed too early`);
    } else if (this.#mayBeCut) {
      assert.ok((records.at(-1)?.offset ?? -1) < offset, `${what} is lost, and a later one is there`);
    } else {
      const isReplaced = this.#isReplaced(known, this.#places) || this.#isReplaced(known, places);
      assert.ok(isReplaced, `${what} is lost`);
    }
  }

  #mayBeRemoved(id: string, recordsKept: number, bytesKept: number, latestMs: number): boolean {
    const { retentionMs, retentionBytes, retentionCount } = this.#retention;
    if (retentionMs !== undefined && this.timestampOf(id) < latestMs - retentionMs) return true;
    if (retentionBytes !== undefined && (this.#mayBeCut || bytesKept >= retentionBytes)) return true;
    return retentionCount !== undefined && (this.#mayBeCut || recordsKept >= retentionCount);
  }

  /** Whether there was a later one with its key. */
  #isReplaced({ id, partition, offset }: Kept, places: ReadonlyMap<string, Kept>): boolean {
    if (this.#retention.compact !== true) return false;
    const { key } = this.#sent.get(id)!;
    for (const other of places.values())
      if (other.partition === partition && other.offset > offset && this.#sent.get(other.id)!.key === key)
        return true;
    return false;
  }
}
