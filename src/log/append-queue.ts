// What was appended to one log and was not taken by a commit yet, within a bound of memory.

import { BrokerError } from "../broker-error.js";
import { readInt32 } from "../bytes/cursor.js";
import type { AppendMark } from "./atomic-action.js";
import type { BuilderPool } from "./builder-pool.js";
import { PendingAppend } from "./pending-append.js";
import { batchSizeAt, LAST_OFFSET_DELTA_AT } from "./record-batch.js";
import type { EncodedHeaders } from "./record-headers.js";

/** How much more than the last batch the next builder is given room for. */
const BATCH_GROWTH = 1.25;
/** About what a message that waits takes in memory beside its bytes: its promise, its receipt, who waits for it. */
const RECORD_CHARGE_BYTES = 256;

/** The log that the queue belongs to. */
export interface QueueOwner {
  readonly name: string;
  /** Throws when nothing may be appended. */
  checkAppendable(): void;
  /** The queue holds something. Called for each batch that begins. */
  ring(): void;
}

export class AppendQueue {
  private readonly owner: QueueOwner;
  private readonly builders: BuilderPool;
  /** A batch is closed when it reaches this. */
  private readonly batchBytesMax: number;
  private readonly pendingBytesMax: number;
  /** Oldest first. Only the last one may still be joined: then it is `open`. */
  private queue: PendingAppend[];
  private open: PendingAppend | undefined;
  /** What the closed ones in the queue and those being committed are charged with. */
  private pendingBytes: number;
  /** What all are told that are refused for want of room: one error, because its stack costs more than a message. */
  private refusal: BrokerError | undefined;
  /** Records that are being committed. */
  private takenRecords: number;
  private lastBatchBytes: number;

  constructor(owner: QueueOwner, builders: BuilderPool, batchBytesMax: number, pendingBytesMax: number) {
    this.owner = owner;
    this.builders = builders;
    this.batchBytesMax = Math.min(batchBytesMax, pendingBytesMax);
    this.pendingBytesMax = pendingBytesMax;
    this.queue = [];
    this.open = undefined;
    this.pendingBytes = 0;
    this.refusal = undefined;
    this.takenRecords = 0;
    this.lastBatchBytes = 0;
  }

  /** Hot: every message. Nothing is allocated but for the first record of a batch. */
  append(
    timestampMs: number,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: EncodedHeaders,
  ): PendingAppend {
    const pending = this.open ?? this.#openBatch();
    const builder = pending.builder!;
    builder.append(timestampMs, key, value, headers);
    pending.recordCount = builder.recordCount;
    if (builder.sizeBytes >= this.batchBytesMax) this.closeBatch();
    return pending;
  }

  appendEncoded(batches: Buffer): PendingAppend {
    this.closeBatch();
    this.#checkRoom();
    const pending = new PendingAppend(undefined, Buffer.from(batches));
    pending.recordCount = countOffsets(batches);
    this.#charge(pending, pending.sizeBytes);
    this.queue.push(pending);
    this.owner.ring();
    return pending;
  }

  /** Records that are not committed yet. */
  get recordCount(): number {
    let count = this.takenRecords;
    for (const pending of this.queue) count += pending.recordCount;
    return count;
  }

  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  /** Whether something here must be committed together with other logs. */
  get isInUnit(): boolean {
    return this.queue.some((pending) => pending.unit !== undefined);
  }

  /** A copy of the queue at this moment. */
  pendingAppends(): readonly PendingAppend[] {
    return [...this.queue];
  }

  /** Takes what is committed next: about `bytesMax`, at least one append, and every append that is in a unit. */
  take(bytesMax: number): readonly PendingAppend[] {
    let count = 0;
    let sizeBytes = 0;
    for (let i = 0; i < this.queue.length; i += 1) {
      const pending = this.queue[i]!;
      sizeBytes += pending.builder?.sizeBytes ?? pending.sizeBytes;
      if (count === 0 || sizeBytes <= bytesMax || pending.unit !== undefined) count = i + 1;
    }
    if (count === this.queue.length) this.closeBatch();
    const taken = this.queue.splice(0, count);
    for (const pending of taken) this.takenRecords += pending.recordCount;
    return taken.every((pending) => pending.recordCount > 0) ? taken : this.#withoutEmpty(taken);
  }

  /** The appends were answered, one way or the other. */
  settled(appends: readonly PendingAppend[]): void {
    for (const pending of appends) {
      this.pendingBytes -= pending.chargedBytes;
      this.takenRecords -= pending.recordCount;
    }
    this.refusal = undefined;
  }

  /** Nothing more joins the last batch. */
  closeBatch(): void {
    const pending = this.open;
    if (pending === undefined) return;
    this.open = undefined;
    pending.sizeBytes = pending.builder!.sizeBytes;
    this.lastBatchBytes = pending.sizeBytes;
    this.#charge(pending, pending.sizeBytes + pending.recordCount * RECORD_CHARGE_BYTES);
  }

  #charge(pending: PendingAppend, bytes: number): void {
    pending.chargedBytes = bytes;
    this.pendingBytes += bytes;
  }

  /** Everything in the queue fails. `isBroken` takes what is in a unit with it along. */
  fail(error: BrokerError, isBroken: boolean): void {
    const queue = this.queue;
    this.queue = [];
    this.open = undefined;
    this.pendingBytes = 0;
    this.refusal = undefined;
    for (const pending of queue) {
      if (pending.unit !== undefined && isBroken) pending.unit.root.broken ??= error;
      pending.fail(error);
    }
  }

  mark(): AppendMark {
    const { queue, pendingBytes, open } = this;
    return {
      queueLength: queue.length,
      queuedBytes: pendingBytes,
      open,
      openUnit: open?.unit,
      builder: open?.builder?.mark(),
    };
  }

  /** Takes back what was appended since the mark; nothing may have been taken from the queue meanwhile. */
  rewind(mark: AppendMark, error: BrokerError): void {
    for (const pending of this.queue.splice(mark.queueLength)) pending.fail(error);
    this.pendingBytes = mark.queuedBytes;
    this.refusal = undefined;
    this.open = mark.open;
    if (mark.open === undefined) return;
    mark.open.builder!.rewind(mark.builder!);
    mark.open.recordCount = mark.builder!.recordCount;
    mark.open.unit = mark.openUnit;
  }

  /** The first append of a batch may have thrown: then nobody waits for the batch, unless all are waited for. */
  #withoutEmpty(taken: readonly PendingAppend[]): readonly PendingAppend[] {
    const empty = taken.filter((pending) => pending.recordCount === 0);
    this.settled(empty);
    for (const pending of empty) pending.succeed();
    return taken.filter((pending) => pending.recordCount > 0);
  }

  #openBatch(): PendingAppend {
    this.#checkRoom();
    const expectedBytes = Math.min(Math.ceil(this.lastBatchBytes * BATCH_GROWTH), this.batchBytesMax);
    const pending = new PendingAppend(this.builders.take(expectedBytes), undefined);
    this.open = pending;
    this.queue.push(pending);
    this.owner.ring();
    return pending;
  }

  #checkRoom(): void {
    this.owner.checkAppendable();
    if (this.pendingBytes < this.pendingBytesMax) return;
    this.refusal ??= this.#full();
    throw this.refusal;
  }

  #full(): BrokerError {
    const { pendingBytes, pendingBytesMax } = this;
    return new BrokerError(
      "TOO_MANY_PENDING",
      `Log ${this.owner.name} has ${pendingBytes} bytes that are not committed yet, and may have ${pendingBytesMax}. Wait for earlier appends.`,
      { log: this.owner.name, pendingBytes, pendingBytesMax },
    );
  }
}

function countOffsets(batches: Buffer): number {
  let count = 0;
  for (let at = 0; at < batches.length; at += batchSizeAt(batches, at)) {
    count += readInt32(batches, at + LAST_OFFSET_DELTA_AT) + 1;
  }
  return count;
}
