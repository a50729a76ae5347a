// One log: what is appended to it gathers here until the committer takes it, and its segments are read from here.

import { BrokerError } from "../broker-error.js";
import type { Clock, Files } from "../io/io.js";
import { AppendQueue, type QueueOwner } from "./append-queue.js";
import type { AppendMark, AtomicAction, AtomicLog, AtomicScope } from "./atomic-action.js";
import type { BuilderPool } from "./builder-pool.js";
import type { CompactedFile } from "./compaction.js";
import {
  type CompactionResult,
  LogMaintenance,
  type MaintainedLog,
  type RetentionResult,
} from "./log-maintenance.js";
import { offsetAtTime, type ReadableLog, readBatches } from "./log-reader.js";
import { refreshSegments } from "./log-refresh.js";
import type { LostOffsets } from "./lost-offsets.js";
import type { PendingAppend } from "./pending-append.js";
import type { EncodedHeaders } from "./record-headers.js";
import type { Retention } from "./retention.js";
import { Segment } from "./segment.js";
import type { SegmentPool } from "./segment-pool.js";
import {
  closed,
  diskFull,
  isOutOfFiles,
  isOutOfSpace,
  offsetOutOfRange,
  storageFailed,
} from "./storage-errors.js";
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
  /** For how long compaction keeps a record without a value, which says that its key is gone. @default 24 hours */
  readonly tombstoneAgeMs?: number;
  /** Above this, appends are refused with TOO_MANY_PENDING. @default 64 MiB */
  readonly pendingBytesMax?: number;
}

/** Who commits what is appended to a log. */
export interface LogCommitter {
  /** Whether something is being committed, or waits for it. */
  readonly isBusy: boolean;
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
const TOMBSTONE_AGE_MS = 24 * 60 * 60 * 1000;
const NOTHING_DELETED: RetentionResult = { deletedRecords: 0, deletedBytes: 0 };

export class Log implements AtomicLog, MaintainedLog, QueueOwner, ReadableLog {
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
  /** What a repair gave up. */
  readonly lost: LostOffsets;
  readonly appends: AppendQueue;
  /** Who commits what is appended; undefined when the store is read-only. Changes while no append is pending. */
  committer: LogCommitter | undefined;
  /** Where the log returns when nothing is pending: an atomic action may hand it to another committer. */
  readonly home: LogCommitter | undefined;
  /** Whether the committer knows that appends are pending. */
  isQueued: boolean;
  /** Set when nothing works any more: a failed write or sync, a closed store, a deleted log. */
  failure: BrokerError | undefined;
  /** Set when nothing more may be appended, while what is pending is still being committed. */
  private refusal: BrokerError | undefined;
  private readonly maintenance: LogMaintenance;
  private refreshing: Promise<void> | undefined;
  private startOffset: number;
  private endOffset: number;
  private totalBytes: number;
  /** The atomic action that was entered last. */
  private joinedAction: AtomicAction<Log> | undefined;

  constructor(
    name: string,
    options: LogOptions,
    files: Files,
    directory: string,
    environment: LogEnvironment,
    segments: Segment[],
    tail: LogTail,
    committer: LogCommitter | undefined,
    lost: LostOffsets,
  ) {
    this.name = name;
    this.options = options;
    this.onCommit = undefined;
    this.files = files;
    this.directory = directory;
    this.environment = environment;
    this.segments = segments;
    this.tail = tail;
    this.lost = lost;
    const batchBytesMax = Math.min(BATCH_BYTES_MAX, this.segmentBytesMax);
    const pendingBytesMax = options.pendingBytesMax ?? PENDING_BYTES_MAX;
    this.appends = new AppendQueue(this, environment.builders, batchBytesMax, pendingBytesMax);
    this.committer = committer;
    this.home = committer;
    this.isQueued = false;
    this.failure = undefined;
    this.refusal = undefined;
    this.maintenance = new LogMaintenance(this);
    this.refreshing = undefined;
    this.startOffset = segments[0]!.baseOffset;
    this.endOffset = segments.at(-1)!.nextOffset;
    this.totalBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
    this.joinedAction = undefined;
  }

  /** The first kept offset. It may lie in the middle of a segment until the log is opened again. */
  get logStartOffset(): number {
    return this.startOffset;
  }

  /** The first offset that is not readable yet. */
  get highWatermark(): number {
    return this.endOffset;
  }

  /** The offset that the next record gets, unless something that was appended before cannot be committed. */
  get expectedOffset(): number {
    return this.endOffset + this.appends.recordCount;
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
   * Takes the record into the pending batch and rings the committer. `timestampMs` is whole. Throws at once:
   * STORAGE_FAILED, CLOSED, READ_ONLY, TOO_MANY_PENDING, MESSAGE_TOO_LARGE.
   *
   * Hot: every message.
   */
  append(
    timestampMs: number,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    headers: EncodedHeaders,
  ): PendingAppend {
    const action = this.environment.scope.current;
    if (action !== undefined && this.joinedAction !== action) this.#enter(action);
    const pending = this.appends.append(timestampMs, key, value, headers);
    if (action !== undefined) action.add(pending);
    return pending;
  }

  /**
   * Appends batches that were encoded elsewhere and have passed `validateBatches`. They are copied; only their base
   * offsets change. Errors as of {@link Log.append}.
   */
  appendEncoded(batches: Buffer): PendingAppend {
    const action = this.environment.scope.current;
    if (action !== undefined && this.joinedAction !== action) this.#enter(action);
    const pending = this.appends.appendEncoded(batches);
    if (action !== undefined) action.add(pending);
    return pending;
  }

  /** What the atomic action that runs now appends must not be committed without `pending`, which this log has taken. */
  require(pending: PendingAppend): void {
    const action = this.environment.scope.current;
    if (action === undefined || pending.state !== "pending") return;
    if (pending.builder === undefined) {
      action.unit.need(pending);
      return;
    }
    if (this.joinedAction !== action) this.#enter(action);
    action.add(pending);
  }

  /** Hot: the uncompressed batch that holds `offset` when it is still in memory. `raw` gives compressed ones too. */
  cachedBatch(offset: number, raw = false): StoredBatch | undefined {
    const batch = this.tail.find(offset);
    return batch !== undefined && (raw || batch.codec === "none") ? batch : undefined;
  }

  /** Hot: nobody is going to ask for what is before `offset`: it stays on disk only. */
  forgetBefore(offset: number): void {
    this.tail.dropBefore(offset);
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

  /**
   * Moves the start of the log to `offset`, in this process at once, and deletes the segments that lie wholly before
   * it. When the log is opened again it begins with the first segment that is left.
   */
  async deleteBefore(offset: number): Promise<void> {
    this.checkWritable();
    if (offset > this.endOffset) throw this.#outOfRange(offset);
    if (offset > this.startOffset) await this.maintenance.deleteBefore(offset);
  }

  /**
   * Deletes all that is readable, with the file that is written to: a fresh one takes its place. Nothing is deleted when
   * something is committed meanwhile. Errors: DISK_FULL, STORAGE_FAILED.
   */
  async deleteAll(): Promise<void> {
    this.checkWritable();
    await this.maintenance.deleteAll();
  }

  /** Deletes the segments that the log's retention does not need. `nowMs` is the wall clock. */
  async enforceRetention(nowMs: number): Promise<RetentionResult> {
    this.checkWritable();
    const { retention } = this.options;
    return retention === undefined ? NOTHING_DELETED : this.maintenance.enforceRetention(retention, nowMs);
  }

  /**
   * Leaves only the last record of each key in the sealed segments; every record keeps its offset. NOT_SUPPORTED
   * when the log was opened without `compact`.
   */
  async compact(): Promise<CompactionResult> {
    this.checkWritable();
    if (this.options.compact)
      return this.maintenance.compact(this.options.tombstoneAgeMs ?? TOMBSTONE_AGE_MS);
    throw new BrokerError("NOT_SUPPORTED", `Log ${this.name} was opened without \`compact\`.`, {
      log: this.name,
    });
  }

  /** In a read-only store: takes in what the owner appended and deleted since. Elsewhere there is nothing to do. */
  async refresh(): Promise<void> {
    this.checkUsable();
    if (!this.isReadOnly) return;
    this.refreshing ??= this.#refresh().finally(() => {
      this.refreshing = undefined;
    });
    await this.refreshing;
  }

  // For log/ only, from here on.

  get activeSegment(): Segment {
    return this.segments[this.segments.length - 1]!;
  }

  get isReadOnly(): boolean {
    return this.home === undefined;
  }

  get segmentBytesMax(): number {
    return this.options.segmentBytes ?? SEGMENT_BYTES;
  }

  /** Whether something that was appended to this log, or to another one on disk, waits for the disk. */
  get isDiskAwaited(): boolean {
    return this.options.durability !== "memory" && this.home?.isBusy === true;
  }

  nowMs(): number {
    return this.environment.clock.nowMs();
  }

  tellListener(): void {
    this.onCommit?.(this);
  }

  checkUsable(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  checkWritable(): void {
    this.checkUsable();
    if (this.committer !== undefined) return;
    throw new BrokerError("READ_ONLY", `Log ${this.name} is opened for reading only.`, { log: this.name });
  }

  checkAppendable(): void {
    this.checkWritable();
    if (this.refusal !== undefined) throw this.refusal;
  }

  checkReadable(offset: number): void {
    this.checkUsable();
    if (!(offset >= this.startOffset && offset <= this.endOffset)) throw this.#outOfRange(offset);
  }

  ring(): void {
    if (this.isQueued) return;
    this.isQueued = true;
    this.committer!.ring(this);
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

  /** Seals the active segment and starts the next. Only between commits of this log. Why it failed, if it did. */
  async roll(): Promise<BrokerError | undefined> {
    const active = this.activeSegment;
    try {
      if (!active.isSealed) await finalUnlessDone(active.path, () => active.seal());
      const next = new Segment(this.files, this.environment.segments, this.directory, this.endOffset);
      await this.#make(next);
      this.segments.push(next);
      return undefined;
    } catch (error) {
      if (isOutOfFiles(error)) return storageFailed(this.directory, "Starting a new segment", error);
      if (isOutOfSpace(error)) return diskFull(this.directory, 0, error);
      return this.failBy(active.path, "Starting a new segment", error);
    }
  }

  /** Does nothing while an atomic action has the log at another committer, which may be writing to it. */
  async rollBetweenCommits(isNeeded: () => boolean): Promise<BrokerError | undefined> {
    return this.home!.exclusive(async () => {
      const isOurs = this.failure === undefined && this.committer === this.home;
      return isOurs && isNeeded() ? this.roll() : undefined;
    });
  }

  /** Records up to `nextOffset` are readable. */
  advance(nextOffset: number, sizeBytes: number): void {
    this.endOffset = nextOffset;
    this.totalBytes += sizeBytes;
  }

  cutFront(offset: number): Segment[] {
    let whole = 0;
    while (whole < this.segments.length - 1 && this.segments[whole + 1]!.baseOffset <= offset) whole += 1;
    this.startOffset = offset;
    this.tail.dropBefore(offset);
    const removed = this.segments.splice(0, whole);
    for (const segment of removed) this.totalBytes -= segment.sizeBytes;
    return removed;
  }

  replaceSegment(old: Segment, compacted: Segment | undefined): void {
    const at = this.segments.indexOf(old);
    if (at === -1) return;
    if (compacted === undefined) this.segments.splice(at, 1);
    else this.segments[at] = compacted;
    this.totalBytes += (compacted?.sizeBytes ?? 0) - old.sizeBytes;
    this.tail.dropBefore(old.nextOffset);
    void old.retire();
  }

  compactedSegment(old: Segment, file: CompactedFile): Segment {
    const segment = new Segment(this.files, this.environment.segments, this.directory, old.baseOffset);
    segment.isSealed = true;
    segment.nextOffset = old.nextOffset;
    segment.sizeBytes = file.sizeBytes;
    segment.syncedBytes = file.sizeBytes;
    segment.recordCount = file.recordCount;
    return segment;
  }

  /** Ends appending; what is pending will still be committed. */
  refuse(error: BrokerError): void {
    this.appends.closeBatch();
    this.refusal = error;
  }

  /** Ends the log: everything pending fails, and everything from here on. */
  fail(error: BrokerError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.appends.fail(error, error.code === "STORAGE_FAILED");
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
    await this.maintenance.idle();
    await Promise.all(this.segments.map((segment) => segment.retire()));
  }

  mark(): AppendMark {
    return this.appends.mark();
  }

  rewind(mark: AppendMark, error: BrokerError): void {
    if (this.failure === undefined) this.appends.rewind(mark, error);
  }

  async #refresh(): Promise<void> {
    if (!(await refreshSegments(this, this.environment.segments))) return;
    this.startOffset = Math.max(this.startOffset, this.segments[0]!.baseOffset);
    this.endOffset = this.activeSegment.nextOffset;
    this.totalBytes = this.segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
    this.tellListener();
  }

  /** All of it, durably, or nothing: then it may be tried again. */
  async #make(segment: Segment): Promise<void> {
    await segment.create();
    try {
      await this.files.syncDirectory(this.directory);
    } catch (error) {
      if (!isOutOfFiles(error)) throw storageFailed(this.directory, "Syncing", error);
      await segment.retire();
      await segment.remove();
      throw error;
    }
  }

  #enter(action: AtomicAction<Log>): void {
    this.joinedAction = action;
    action.enter(this);
  }

  #outOfRange(offset: number): BrokerError {
    return offsetOutOfRange(this.name, offset, this.startOffset, this.endOffset);
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
