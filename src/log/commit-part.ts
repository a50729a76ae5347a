// What one log puts into a commit: some pending appends as bytes, and where they go.

import type { BrokerError } from "../broker-error.js";
import { readInt32 } from "../bytes/cursor.js";
import type { BuilderPool } from "./builder-pool.js";
import type { JournalPart } from "./journal-entry.js";
import type { Durability, Log } from "./log.js";
import type { AtomicUnit, PendingAppend } from "./pending-append.js";
import { batchSizeAt, LAST_OFFSET_DELTA_AT, writeBaseOffset } from "./record-batch.js";
import type { Segment } from "./segment.js";
import { StoredBatch } from "./stored-batch.js";

export class CommitPart implements JournalPart {
  readonly log: Log;
  readonly appends: readonly PendingAppend[];
  /** Every batch of the part, back to back. */
  bytes: Buffer;
  /** Where it goes, decided when it is prepared. */
  segment: Segment;
  position: number;
  /** Set when it cannot be committed. */
  error: BrokerError | undefined;
  private batches: StoredBatch[];

  constructor(log: Log, appends: readonly PendingAppend[]) {
    this.log = log;
    this.appends = appends;
    this.bytes = EMPTY;
    this.segment = log.activeSegment;
    this.position = 0;
    this.error = undefined;
    this.batches = [];
  }

  /** Finishes the batches with offsets from `baseOffset` on. */
  encode(baseOffset: number, builders: BuilderPool): void {
    let nextOffset = baseOffset;
    const pieces: Buffer[] = [];
    for (const append of this.appends) {
      append.baseOffset = nextOffset;
      pieces.push(
        append.builder === undefined
          ? rebase(append.encoded!, nextOffset)
          : builders.finish(append.builder, nextOffset),
      );
      append.builder = undefined;
      append.encoded = undefined;
      nextOffset += append.recordCount;
    }
    this.bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    this.batches = splitBatches(this.bytes);
  }

  /** Decides that it goes to the end of the active segment. */
  place(): void {
    this.segment = this.log.activeSegment;
    this.position = this.segment.sizeBytes;
  }

  get durability(): Durability {
    return this.log.options.durability;
  }

  get logName(): string {
    return this.log.name;
  }

  get segmentBase(): number {
    return this.segment.baseOffset;
  }

  /** Where it ends in its segment. */
  get end(): number {
    return this.position + this.bytes.length;
  }

  /** What it will take, known before it is encoded. */
  get expectedBytes(): number {
    let sizeBytes = 0;
    for (const append of this.appends) sizeBytes += append.sizeBytes;
    return sizeBytes;
  }

  /** Why it must not be committed: another log of one of its units has failed. */
  get brokenBy(): BrokerError | undefined {
    for (const append of this.appends) {
      const problem = append.unit?.root.problem;
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  get offsetCount(): number {
    let count = 0;
    for (const append of this.appends) count += append.recordCount;
    return count;
  }

  get batchCount(): number {
    return this.batches.length;
  }

  /** The units that parts of this commit have in common with others. */
  get units(): AtomicUnit[] {
    const units: AtomicUnit[] = [];
    for (const append of this.appends) if (append.unit !== undefined) units.push(append.unit.root);
    return units;
  }

  /** Makes the records part of the log. The appends are not answered yet. */
  publish(): void {
    const { segment, log } = this;
    segment.startedMs ??= log.nowMs();
    // A batch that fills its buffer at least half keeps all of it; others share one or are exact.
    const slackBytes = this.batches.length === 1 ? this.bytes.buffer.byteLength - this.bytes.length : 0;
    for (const batch of this.batches) {
      segment.commit(batch);
      log.tail.add(batch, batch.sizeBytes + Math.min(slackBytes, batch.sizeBytes));
    }
    log.advance(segment.nextOffset, this.bytes.length);
  }

  answer(): void {
    this.log.appends.settled(this.appends);
    for (const append of this.appends) append.succeed();
  }

  reject(error: BrokerError): void {
    this.log.appends.settled(this.appends);
    for (const append of this.appends) append.fail(error);
  }
}

const EMPTY = Buffer.alloc(0);

function rebase(batches: Buffer, baseOffset: number): Buffer {
  let nextOffset = baseOffset;
  for (let at = 0; at < batches.length; at += batchSizeAt(batches, at)) {
    writeBaseOffset(batches, at, nextOffset);
    nextOffset += readInt32(batches, at + LAST_OFFSET_DELTA_AT) + 1;
  }
  return batches;
}

function splitBatches(bytes: Buffer): StoredBatch[] {
  const batches: StoredBatch[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + batchSizeAt(bytes, at);
    batches.push(new StoredBatch(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end)));
    at = end;
  }
  return batches;
}
