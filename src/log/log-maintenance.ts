// What is done to the segments of a log beside appending to it: cutting off its front, retention and compaction.

import { BrokerError } from "../broker-error.js";
import type { Files } from "../io/io.js";
import { type CompactedFile, compactSegment, readLastOffsets } from "./compaction.js";
import { isExpired, isOlder, type Retention } from "./retention.js";
import type { Segment } from "./segment.js";
import { storageFailed } from "./storage-errors.js";

/** What retention removed. */
export interface RetentionResult {
  readonly deletedRecords: number;
  readonly deletedBytes: number;
}

/** What compaction removed. */
export interface CompactionResult {
  readonly removedRecords: number;
  readonly removedBytes: number;
}

/** A log, as far as its maintenance is concerned. */
export interface MaintainedLog {
  readonly name: string;
  readonly files: Files;
  readonly directory: string;
  readonly segments: readonly Segment[];
  readonly logStartOffset: number;
  readonly sizeBytes: number;
  readonly recordCount: number;
  nowMs(): number;
  checkWritable(): void;
  /** Seals the active segment between two commits; why that failed, if it did. */
  rollBetweenCommits(isNeeded: () => boolean): Promise<BrokerError | undefined>;
  /** Makes `offset` the start of the log, and returns the segments that have left it by that. */
  cutFront(offset: number): Segment[];
  /** Puts a compacted segment into the place of another; undefined takes that out. */
  replaceSegment(old: Segment, compacted: Segment | undefined): void;
  /** A sealed segment with these files, up to the segment that follows `old`. */
  compactedSegment(old: Segment, file: CompactedFile): Segment;
  tellListener(): void;
}

export class LogMaintenance {
  private readonly log: MaintainedLog;
  /** Steps that remove or replace files run one after the other. */
  private lastStep: Promise<unknown>;
  private compacting: Promise<CompactionResult> | undefined;
  /** Below this, no key has a later record below this. */
  private compactedUpTo: number;

  constructor(log: MaintainedLog) {
    this.log = log;
    this.lastStep = Promise.resolve();
    this.compacting = undefined;
    this.compactedUpTo = 0;
  }

  async deleteBefore(offset: number): Promise<void> {
    const removed = this.log.cutFront(offset);
    this.log.tellListener();
    await this.#remove(removed);
  }

  async deleteAll(): Promise<void> {
    const active = this.log.segments.at(-1)!;
    const { nextOffset } = active;
    const error = await this.log.rollBetweenCommits(
      () => !active.isSealed && active.sizeBytes > 0 && active.nextOffset === nextOffset,
    );
    if (error !== undefined) throw error;
    if (active.isSealed && active.nextOffset === nextOffset) await this.deleteBefore(nextOffset);
  }

  async enforceRetention(retention: Retention, nowMs: number): Promise<RetentionResult> {
    const { log } = this;
    const recordsBefore = log.recordCount;
    const bytesBefore = log.sizeBytes;
    const removed = await this.#cutExpired(retention, nowMs).catch((error: unknown) => {
      if (error instanceof BrokerError) throw error;
      throw storageFailed(log.directory, "Looking for what is too old", error);
    });
    const result = {
      deletedRecords: recordsBefore - log.recordCount,
      deletedBytes: bytesBefore - log.sizeBytes,
    };
    if (removed.length > 0) log.tellListener();
    await this.#remove(removed);
    return result;
  }

  async #cutExpired(retention: Retention, nowMs: number): Promise<Segment[]> {
    const { log } = this;
    if (retention.ageMs !== undefined) await this.#sealExpired(nowMs - retention.ageMs);
    const removed: Segment[] = [];
    for (let next = await this.#expired(retention, nowMs); next !== undefined; ) {
      removed.push(...log.cutFront(Math.max(next.baseOffset, log.logStartOffset)));
      next = await this.#expired(retention, nowMs);
    }
    return removed;
  }

  compact(tombstoneAgeMs: number): Promise<CompactionResult> {
    this.compacting ??= this.#compact(tombstoneAgeMs).finally(() => {
      this.compacting = undefined;
    });
    return this.compacting;
  }

  /** Resolves when no file is being removed or replaced any more. */
  async idle(): Promise<void> {
    await this.compacting?.catch(() => {});
    await this.lastStep;
  }

  /** An active segment goes like the others once all of it has expired. */
  async #sealExpired(timestampMs: number): Promise<void> {
    const active = this.log.segments.at(-1)!;
    if (!(await isOlder(active, timestampMs))) return;
    const { nextOffset } = active;
    const error = await this.log.rollBetweenCommits(
      () => !active.isSealed && active.nextOffset === nextOffset,
    );
    if (error !== undefined) throw error;
  }

  /** The segment behind the first one, when that may go. */
  async #expired(retention: Retention, nowMs: number): Promise<Segment | undefined> {
    const { log } = this;
    for (;;) {
      const [first, second] = log.segments;
      if (first === undefined || second === undefined) return undefined;
      const isOld = await isExpired(first, retention, nowMs, log.sizeBytes, log.recordCount);
      log.checkWritable();
      if (log.segments[0] === first) return isOld ? second : undefined;
    }
  }

  async #compact(tombstoneAgeMs: number): Promise<CompactionResult> {
    const { log } = this;
    let removedRecords = 0;
    let removedBytes = 0;
    const endOffset = log.segments.at(-1)!.baseOffset;
    while (this.compactedUpTo < endOffset) {
      const sealed = log.segments.filter((segment) => segment.nextOffset <= endOffset && segment.isSealed);
      // Retention, or compaction before, may have taken all that is left to look at.
      if (!sealed.some(({ nextOffset }) => nextOffset > this.compactedUpTo)) break;
      const last = await readLastOffsets(log.name, sealed, this.compactedUpTo);
      for (const segment of sealed) {
        if (segment.baseOffset >= last.endOffset) break;
        const file = await compactSegment(log.name, log.files, segment, last, log.nowMs() - tombstoneAgeMs);
        log.checkWritable();
        if (file === undefined) continue;
        if (!(await this.#step(() => this.#replace(segment, file)))) continue;
        removedRecords += segment.recordCount - file.recordCount;
        removedBytes += segment.sizeBytes - file.sizeBytes;
      }
      this.compactedUpTo = last.endOffset;
    }
    return { removedRecords, removedBytes };
  }

  /** False when the segment has left the log meanwhile. */
  async #replace(segment: Segment, file: CompactedFile): Promise<boolean> {
    const { log } = this;
    if (segment.isRetired) {
      await log.files.remove(file.temporaryPath);
      return false;
    }
    // An index must never lie beside batches that it does not describe.
    await segment.removeIndexFiles();
    await log.files.syncDirectory(log.directory);
    if (file.recordCount === 0) {
      await log.files.remove(file.temporaryPath);
      await log.files.remove(segment.path);
    } else {
      await log.files.rename(file.temporaryPath, segment.path);
    }
    await log.files.syncDirectory(log.directory);
    const compacted = file.recordCount === 0 ? undefined : log.compactedSegment(segment, file);
    log.replaceSegment(segment, compacted);
    if (compacted !== undefined) await storeIndex(compacted);
    return true;
  }

  /** Removes the files of segments that have left the log, oldest first. */
  async #remove(segments: readonly Segment[]): Promise<void> {
    // Whoever reads them keeps them open.
    for (const segment of segments) void segment.retire();
    await this.#step(async () => {
      for (const segment of segments) await segment.remove();
      if (segments.length > 0) await this.log.files.syncDirectory(this.log.directory);
    });
  }

  #step<T>(action: () => Promise<T>): Promise<T> {
    const step = this.lastStep.then(action).catch((error: unknown) => {
      throw storageFailed(this.log.directory, "Removing or replacing a segment", error);
    });
    this.lastStep = step.catch(() => {});
    return step;
  }
}

async function storeIndex(segment: Segment): Promise<void> {
  await segment.acquire();
  try {
    await segment.storeIndex();
  } finally {
    segment.release();
  }
}
