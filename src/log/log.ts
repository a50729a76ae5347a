// One log: what is appended to it gathers here until the committer takes it, and its segments are read from here.

import { BrokerError } from "../broker-error.js";
import { readInt32 } from "../bytes/cursor.js";
import type { Clock, Files } from "../io/io.js";
import type { AppendMark, AtomicLog, AtomicScope } from "./atomic-action.js";
import type { BuilderPool } from "./builder-pool.js";
import { offsetAtTime, type ReadableLog, readBatches } from "./log-reader.js";
import { PendingAppend } from "./pending-append.js";
import { batchSizeAt, LAST_OFFSET_DELTA_AT } from "./record-batch.js";
import type { EncodedHeaders } from "./record-headers.js";
import { Segment } from "./segment.js";
import type { SegmentPool } from "./segment-pool.js";
import { closed, offsetOutOfRange, storageFailed } from "./storage-errors.js";
import type { StoredBatch } from "./stored-batch.js";
import type { LogTail } from "./tail-cache.js";

/** When a record counts as appended: on disk, in the operating system's cache, or in this process. */
export type Durability = "synced" | "written" | "memory";

export interface LogOptions {
  readonly durability: Durability;
  /** A segment that would grow beyond this is sealed, unless it is empty. @default 64 MiB */
  readonly segmentBytes?: number;
  /** A segment whose first record is older than this is sealed by the next append. @default never */
  readonly segmentAgeMs?: number;
  /** What {@link Log.enforceRetention} deletes. @default nothing */
  readonly retention?: Retention;
  /** Whether {@link Log.compact} may run: only the last record of each key matters. @default false */
  readonly compact?: boolean;
  /** Above this, appends are refused with TOO_MANY_PENDING. @default 64 MiB */
  readonly pendingBytesMax?: number;
}

/** Whole segments are deleted from the front, as long as what is left still fulfils each bound. */
export interface Retention {
  /** Records older than this are not needed. */
  readonly ageMs?: number;
  /** So many of the last bytes are kept at least. */
  readonly bytes?: number;
  /** So many of the last records are kept at least. */
  readonly count?: number;
}

/** Who commits what is appended to a log. */
export interface LogCommitter {
  /** Something was appended to a log that is not known to wait. */
  ring(log: Log): void;
  /** Takes over a log of another committer until nothing of it is pending. */
  adopt(log: Log): void;
  /** Runs `action` between two commits. */
  exclusive<T>(action: () => Promise<T>): Promise<T>;
}

/** What the logs of a store share. */
export interface LogEnvironment {
  readonly clock: Clock;
  readonly segments: SegmentPool;
  readonly builders: BuilderPool;
  readonly scope: AtomicScope<Log>;
}

/** A batch is closed when it reaches this, so that reading one record never costs much more. */
const BATCH_BYTES_MAX = 1024 * 1024;
const SEGMENT_BYTES = 64 * 1024 * 1024;
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** How much more than the last batch the next builder is given room for. */
const BATCH_GROWTH = 1.25;

export class Log implements AtomicLog, ReadableLog {
  readonly name: string;
  readonly options: LogOptions;
  /**
   * Called synchronously after each commit that made records of this log readable, and after its front was cut
   * off. It must not throw.
   */
  onCommit: ((log: Log) => void) | undefined;
  /** The parts below are for `log/` only. */
  readonly files: Files;
  readonly directory: string;
  readonly environment: LogEnvironment;
  /** In the order of their offsets, the active one last. Never empty. */
  readonly segments: Segment[];
  readonly tail: LogTail;
  /** Who commits what is appended; undefined when the store is read-only. Changes while no append is pending. */
  committer: LogCommitter | undefined;
  /** Whether the committer knows that appends are pending. */
  isQueued: boolean;
  /** Where the log returns when nothing is pending: an atomic action may hand it to another committer. */
  readonly home: LogCommitter | undefined;
  /** Set when nothing works any more: a failed write or sync, a closed store, a deleted log. */
  failure: BrokerError | undefined;
  /** Set when nothing more may be appended, while what is pending is still being committed. */
  private refusal: BrokerError | undefined;
  private startOffset: number;
  private endOffset: number;
  private totalBytes: number;
  private readonly batchBytesMax: number;
  private readonly pendingBytesMax: number;
  /** Not yet taken, oldest first. Only the last one may still be joined: then it is `open`. */
  private queue: PendingAppend[];
  private open: PendingAppend | undefined;
  /** The closed ones in the queue and those being committed. */
  private pendingBytes: number;
  private lastBatchBytes: number;
  private joinedScope: unknown;

  constructor(
    name: string,
    options: LogOptions,
    files: Files,
    directory: string,
    environment: LogEnvironment,
    segments: Segment[],
    tail: LogTail,
    committer: LogCommitter | undefined,
  ) {
    this.name = name;
    this.options = options;
    this.onCommit = undefined;
    this.files = files;
    this.directory = directory;
    this.environment = environment;
    this.segments = segments;
    this.tail = tail;
    this.committer = committer;
    this.home = committer;
    this.isQueued = false;
    this.failure = undefined;
    this.refusal = undefined;
    this.startOffset = segments[0]!.baseOffset;
    this.endOffset = segments.at(-1)!.nextOffset;
    this.totalBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
    this.pendingBytesMax = options.pendingBytesMax ?? PENDING_BYTES_MAX;
    this.batchBytesMax = Math.min(BATCH_BYTES_MAX, this.segmentBytesMax, this.pendingBytesMax);
    this.queue = [];
    this.open = undefined;
    this.pendingBytes = 0;
    this.lastBatchBytes = 0;
    this.joinedScope = undefined;
  }

  /** The first kept offset. It may lie in the middle of a segment until the log is opened again. */
  get logStartOffset(): number {
    return this.startOffset;
  }

  /** The first offset that is not readable yet. */
  get highWatermark(): number {
    return this.endOffset;
  }

  /** Of all segments, whole. */
  get sizeBytes(): number {
    return this.totalBytes;
  }

  /** The readable records, less those that compaction removed. */
  get recordCount(): number {
    const first = this.segments[0]!;
    let count = 0;
    for (const segment of this.segments) count += segment.recordCount;
    return Math.max(count - Math.max(this.startOffset - first.baseOffset, 0), 0);
  }

  /**
   * Takes the record into the pending batch and rings the committer. Throws at once: STORAGE_FAILED, CLOSED,
   * READ_ONLY, TOO_MANY_PENDING, MESSAGE_TOO_LARGE.
   *
   * Hot: every message. Nothing is allocated but for the first record of a batch.
   */
  append(
    timestampMs: number,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: EncodedHeaders,
  ): PendingAppend {
    const action = this.environment.scope.current;
    if (action !== undefined && this.joinedScope !== action) this.#enter();
    const pending = this.open ?? this.#openBatch();
    const builder = pending.builder!;
    builder.append(timestampMs, key, value, headers);
    pending.recordCount = builder.recordCount;
    if (action !== undefined) action.add(pending);
    if (builder.sizeBytes >= this.batchBytesMax) this.#closeBatch();
    return pending;
  }

  /**
   * Appends batches that were encoded elsewhere and have passed `validateBatches`. They are copied; only their base
   * offsets change. Errors as of {@link Log.append}.
   */
  appendEncoded(batches: Buffer): PendingAppend {
    const action = this.environment.scope.current;
    if (action !== undefined && this.joinedScope !== action) this.#enter();
    this.#closeBatch();
    this.#checkAppend();
    const pending = new PendingAppend(undefined, Buffer.from(batches));
    pending.recordCount = countOffsets(batches);
    this.pendingBytes += pending.sizeBytes;
    this.#enqueue(pending);
    if (action !== undefined) action.add(pending);
    return pending;
  }

  /** Hot: the uncompressed batch that holds `offset` when it is still in memory. `raw` gives compressed ones too. */
  cachedBatch(offset: number, raw = false): StoredBatch | undefined {
    const batch = this.tail.find(offset);
    return batch !== undefined && (raw || batch.codec === "none") ? batch : undefined;
  }

  /**
   * Whole batches from the one that holds `fromOffset`, or the first one after it where compaction left none;
   * decompressed unless `raw`. The first may exceed `bytesMax`. Empty at the high watermark. OFFSET_OUT_OF_RANGE
   * below the log's start and above the high watermark, LOG_CORRUPT with file, position, expected and found.
   */
  async read(fromOffset: number, bytesMax: number, raw = false): Promise<StoredBatch[]> {
    this.checkReadable(fromOffset);
    return readBatches(this, fromOffset, bytesMax, raw);
  }

  /** The first offset whose timestamp is at or after `timestampMs`; undefined when there is none. */
  async offsetAtTime(timestampMs: number): Promise<number | undefined> {
    this.checkUsable();
    return offsetAtTime(this, timestampMs);
  }

  /** Deletes whole segments below `offset` and moves the start of the log to it, in this process at once. */
  async deleteBefore(offset: number): Promise<void> {
    this.checkWritable();
    if (offset > this.endOffset) throw this.outOfRange(offset);
    if (offset <= this.startOffset) return;
    const removed = this.cutFront(offset);
    this.onCommit?.(this);
    await removeSegments(removed);
  }

  // ---- for log/ only ----

  get activeSegment(): Segment {
    return this.segments[this.segments.length - 1]!;
  }

  get segmentBytesMax(): number {
    return this.options.segmentBytes ?? SEGMENT_BYTES;
  }

  get isPending(): boolean {
    return this.queue.length > 0;
  }

  /** Whether something pending must be committed together with other logs. */
  get isInUnit(): boolean {
    return this.queue.some((pending) => pending.unit !== undefined);
  }

  nowMs(): number {
    return this.environment.clock.nowMs();
  }

  checkUsable(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  checkWritable(): void {
    this.checkUsable();
    if (this.committer === undefined) {
      throw new BrokerError("READ_ONLY", `Log ${this.name} is opened for reading only.`, { log: this.name });
    }
  }

  checkReadable(offset: number): void {
    this.checkUsable();
    if (!(offset >= this.startOffset && offset <= this.endOffset)) throw this.outOfRange(offset);
  }

  outOfRange(offset: number): BrokerError {
    return offsetOutOfRange(this.name, offset, this.startOffset, this.endOffset);
  }

  /** What waits to be committed at this moment. */
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
    if (count === this.queue.length) this.#closeBatch();
    const taken = this.queue.splice(0, count);
    // The first append of a batch may have thrown, for want of memory for example.
    const appends = taken.filter((pending) => pending.recordCount > 0);
    if (appends.length < taken.length) this.settled(taken.filter((pending) => pending.recordCount === 0));
    return appends;
  }

  /** The appends were answered, one way or the other. */
  settled(appends: readonly PendingAppend[]): void {
    for (const pending of appends) this.pendingBytes -= pending.sizeBytes;
  }

  /** Whether the next commit of so many bytes and offsets needs a segment of its own. */
  mustRoll(sizeBytes: number, offsetCount: number): boolean {
    const active = this.activeSegment;
    if (active.isSealed) return true;
    if (active.sizeBytes === 0) return false;
    if (active.sizeBytes + sizeBytes > this.segmentBytesMax) return true;
    if (!active.hasRoomFor(sizeBytes, offsetCount)) return true;
    const { segmentAgeMs } = this.options;
    if (segmentAgeMs === undefined || active.startedMs === undefined) return false;
    return this.nowMs() - active.startedMs >= segmentAgeMs;
  }

  /**
   * Seals the active segment and starts the next. Only between commits of this log. For want of space the error is
   * the system's, and it may be tried again; STORAGE_FAILED is final.
   */
  async roll(): Promise<void> {
    const active = this.activeSegment;
    if (!active.isSealed) await finalUnlessDone(active.path, () => active.seal());
    const next = new Segment(this.files, this.environment.segments, this.directory, this.endOffset);
    await next.create();
    await finalUnlessDone(this.directory, () => this.files.syncDirectory(this.directory));
    this.segments.push(next);
  }

  /** Records up to `nextOffset` are readable. */
  advance(nextOffset: number, sizeBytes: number): void {
    this.endOffset = nextOffset;
    this.totalBytes += sizeBytes;
    this.lastBatchBytes = sizeBytes;
  }

  /** Makes `offset` the start of the log, and returns the segments that have left it by that. */
  cutFront(offset: number): Segment[] {
    let whole = 0;
    while (whole < this.segments.length - 1 && this.segments[whole + 1]!.baseOffset <= offset) whole += 1;
    this.startOffset = offset;
    this.tail.dropBefore(offset);
    const removed = this.segments.splice(0, whole);
    for (const segment of removed) this.totalBytes -= segment.sizeBytes;
    return removed;
  }

  /** Ends appending; what is pending will still be committed. */
  refuse(error: BrokerError): void {
    this.#closeBatch();
    this.refusal = error;
  }

  /** Ends the log: everything pending fails, and everything from here on. What was in a unit takes it along. */
  fail(error: BrokerError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    const queue = this.queue;
    this.queue = [];
    this.open = undefined;
    this.pendingBytes = 0;
    for (const pending of queue) {
      if (pending.unit !== undefined && error.code === "STORAGE_FAILED") pending.unit.root.broken ??= error;
      pending.fail(error);
    }
    this.tail.clear();
  }

  /** Ends the log because a write or sync went wrong. */
  failBy(path: string, what: string, cause: unknown): BrokerError {
    this.fail(cause instanceof BrokerError ? cause : storageFailed(path, what, cause));
    return this.failure!;
  }

  /** Ends the log in good order. Resolves when its files are closed. */
  async close(what: string): Promise<void> {
    this.fail(closed(what));
    await Promise.all(this.segments.map((segment) => segment.retire()));
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

  rewind(mark: AppendMark, error: BrokerError): void {
    if (this.failure !== undefined) return;
    for (const pending of this.queue.splice(mark.queueLength)) pending.fail(error);
    this.pendingBytes = mark.queuedBytes;
    this.open = mark.open;
    if (mark.open === undefined) return;
    mark.open.builder!.rewind(mark.builder!);
    mark.open.recordCount = mark.builder!.recordCount;
    mark.open.unit = mark.openUnit;
  }

  #enter(): void {
    const action = this.environment.scope.current!;
    this.joinedScope = action;
    action.enter(this);
  }

  #checkAppend(): void {
    this.checkWritable();
    if (this.refusal !== undefined) throw this.refusal;
    if (this.pendingBytes < this.pendingBytesMax) return;
    throw new BrokerError(
      "TOO_MANY_PENDING",
      `Log ${this.name} has ${this.pendingBytes} bytes that are not committed yet, and may have ${this.pendingBytesMax}. Wait for earlier appends.`,
      { log: this.name, pendingBytes: this.pendingBytes, pendingBytesMax: this.pendingBytesMax },
    );
  }

  #openBatch(): PendingAppend {
    this.#checkAppend();
    const expectedBytes = Math.min(Math.ceil(this.lastBatchBytes * BATCH_GROWTH), this.batchBytesMax);
    const pending = new PendingAppend(this.environment.builders.take(expectedBytes), undefined);
    this.open = pending;
    this.#enqueue(pending);
    return pending;
  }

  #closeBatch(): void {
    const pending = this.open;
    if (pending === undefined) return;
    this.open = undefined;
    pending.sizeBytes = pending.builder!.sizeBytes;
    this.pendingBytes += pending.sizeBytes;
  }

  #enqueue(pending: PendingAppend): void {
    this.queue.push(pending);
    if (this.isQueued) return;
    this.isQueued = true;
    this.committer!.ring(this);
  }
}

/** A sync that failed is never tried again, whatever its error. */
async function finalUnlessDone(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw storageFailed(path, "Syncing", error);
  }
}

/** Removes segments that have left their log, oldest first. */
export async function removeSegments(segments: readonly Segment[]): Promise<void> {
  for (const segment of segments) {
    // Its readers keep it open as long as they need it.
    void segment.retire();
    await segment.remove();
  }
}

function countOffsets(batches: Buffer): number {
  let count = 0;
  for (let at = 0; at < batches.length; at += batchSizeAt(batches, at)) {
    count += readInt32(batches, at + LAST_OFFSET_DELTA_AT) + 1;
  }
  return count;
}
