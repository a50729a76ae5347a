// One segment: a file of record batches named by its first offset, and its index.

import type { Files, OpenFile } from "../io/io.js";
import type { RecoveryPoint } from "./data-directory.js";
import { INDEX_INTERVAL_BYTES, SegmentIndex } from "./segment-index.js";
import type { SegmentPool } from "./segment-pool.js";
import { type ScannedOffsets, SegmentScan } from "./segment-scan.js";
import type { StoredBatch } from "./stored-batch.js";
import { removeIfThere } from "./write-file.js";

/** Positions in a segment are 32-bit in its index, and so are offsets relative to its base. */
const POSITION_MAX = 0x7fffffff;

/** The path of a segment's files, less the suffix: `.log`, `.index` or `.timeindex`. */
export function segmentPath(directory: string, baseOffset: number): string {
  return `${directory}/${String(baseOffset).padStart(20, "0")}`;
}

/** The base offset in the name of a segment's `.log` file; undefined for other names. */
export function baseOffsetOf(fileName: string): number | undefined {
  return /^\d{20}\.log$/.test(fileName) ? Number(fileName.slice(0, 20)) : undefined;
}

/**
 * The file is open while somebody uses it: each `acquire` needs its `release`. An active segment, the last of its
 * log, is in use by its log all the time; sealed ones stay open for a while in the pool.
 */
export class Segment {
  readonly baseOffset: number;
  readonly path: string;
  /** Readers see no further. What is being committed lies behind it. */
  sizeBytes: number;
  /** The offset after the last one that belongs here. */
  nextOffset: number;
  recordCount: number;
  /** What is on disk for certain, counted from the beginning. */
  syncedBytes: number;
  /** What was committed neither with a sync nor with the journal, counted from the beginning. */
  looseBytes: number;
  isSealed: boolean;
  /** When the first batch was appended, as far as is known. */
  startedMs: number | undefined;
  /** What was committed when the last sync began, and the offset after that. */
  private confirmedBytes: number;
  private confirmedOffset: number;
  private readonly files: Files;
  private readonly pool: SegmentPool;
  private readonly pathWithoutSuffix: string;
  private index: SegmentIndex | undefined;
  private loadingIndex: Promise<SegmentIndex> | undefined;
  private file: OpenFile | undefined;
  private opening: Promise<OpenFile> | undefined;
  /** The sync that runs; the one that failed, from then on. */
  private syncing: Promise<void> | undefined;
  private users: number;
  private retiring: (() => void) | undefined;
  private isGone: boolean;

  constructor(files: Files, pool: SegmentPool, directory: string, baseOffset: number) {
    this.baseOffset = baseOffset;
    this.pathWithoutSuffix = segmentPath(directory, baseOffset);
    this.path = `${this.pathWithoutSuffix}.log`;
    this.sizeBytes = 0;
    this.nextOffset = baseOffset;
    this.recordCount = 0;
    this.syncedBytes = 0;
    this.looseBytes = 0;
    this.isSealed = false;
    this.startedMs = undefined;
    this.confirmedBytes = 0;
    this.confirmedOffset = baseOffset;
    this.files = files;
    this.pool = pool;
    this.index = undefined;
    this.loadingIndex = undefined;
    this.file = undefined;
    this.opening = undefined;
    this.syncing = undefined;
    this.users = 0;
    this.retiring = undefined;
    this.isGone = false;
  }

  /** Makes the file of an active segment. The caller syncs its folder. */
  async create(): Promise<void> {
    this.file = await this.files.open(this.path, "create");
    this.users += 1;
    this.index = new SegmentIndex(this.baseOffset);
  }

  /** Starts the index of an active segment at `position`: what is before is indexed when it is asked for. */
  startIndexAt(position: number): void {
    this.index = new SegmentIndex(this.baseOffset, position);
  }

  /** The open file. It stays open until the same user calls `release`, even when the segment is removed meanwhile. */
  async acquire(): Promise<OpenFile> {
    this.users += 1;
    this.pool.take(this);
    try {
      if (this.file !== undefined) return this.file;
      this.opening ??= this.files.open(this.path, this.pool.fileMode);
      this.file = await this.opening;
      return this.file;
    } catch (error) {
      this.release();
      throw error;
    } finally {
      this.opening = undefined;
    }
  }

  /** The file of a segment that is in use already. */
  get openFile(): OpenFile {
    if (this.file === undefined) throw new Error(`${this.path} is not open`);
    return this.file;
  }

  release(): void {
    this.users -= 1;
    if (this.users > 0) return;
    if (this.isGone) this.#finishRetiring();
    else if (this.isSealed && this.file !== undefined) this.pool.keep(this);
  }

  /** Whether the segment left its log: it was deleted or replaced, or the log is closed. */
  get isRetired(): boolean {
    return this.isGone;
  }

  /** Ends the log's use of it. Resolves when the last reader is done and the file is closed. */
  retire(): Promise<void> {
    const retired = new Promise<void>((resolve) => {
      this.retiring = resolve;
    });
    this.isGone = true;
    this.pool.take(this);
    if (!this.isSealed) this.users -= 1;
    this.isSealed = true;
    if (this.users <= 0) this.#finishRetiring();
    return retired;
  }

  /** Closes the file of a sealed segment that nobody uses, and forgets its index. */
  async closeIdle(): Promise<void> {
    const file = this.file;
    this.file = undefined;
    this.index = undefined;
    await file?.close();
  }

  /** Removes the files. Readers that have it open read on. */
  async remove(): Promise<void> {
    await removeIfThere(this.files, this.path);
    await this.removeIndexFiles();
  }

  async removeIndexFiles(): Promise<void> {
    await removeIfThere(this.files, `${this.pathWithoutSuffix}.index`);
    await removeIfThere(this.files, `${this.pathWithoutSuffix}.timeindex`);
  }

  /** Whether a commit of so many bytes and offsets fits the format's limits behind what is here. */
  hasRoomFor(sizeBytes: number, offsetCount: number): boolean {
    const offsets = this.nextOffset + offsetCount - this.baseOffset;
    return this.sizeBytes + sizeBytes <= POSITION_MAX && offsets <= POSITION_MAX;
  }

  /** Hot: every batch. Makes a batch that was written behind the others part of the segment. */
  commit(batch: StoredBatch): void {
    this.index!.add(batch, this.sizeBytes);
    this.sizeBytes += batch.sizeBytes;
    this.nextOffset = batch.lastOffset + 1;
    this.recordCount += batch.recordCount;
  }

  /** Makes the first `throughBytes` durable. The segment must be in use. After a failure it fails forever. */
  async sync(throughBytes: number): Promise<void> {
    if (throughBytes <= this.syncedBytes) return;
    const { sizeBytes, nextOffset } = this;
    await this.#syncFile();
    this.syncedBytes = Math.max(this.syncedBytes, throughBytes);
    if (sizeBytes > this.confirmedBytes) {
      this.confirmedBytes = sizeBytes;
      this.confirmedOffset = nextOffset;
    }
  }

  /** Makes durable what is committed at this moment. */
  async syncCommitted(): Promise<void> {
    if (this.sizeBytes <= this.syncedBytes) return;
    await this.acquire();
    try {
      await this.sync(this.sizeBytes);
    } finally {
      this.release();
    }
  }

  get isSyncing(): boolean {
    return this.syncing !== undefined;
  }

  /** Up to where it is committed and durable: recovery need not look at what is before. */
  get recoveryPoint(): RecoveryPoint {
    const { baseOffset: segmentBase, sizeBytes, nextOffset } = this;
    if (sizeBytes <= this.syncedBytes) return { segmentBase, sizeBytes, nextOffset };
    return { segmentBase, sizeBytes: this.confirmedBytes, nextOffset: this.confirmedOffset };
  }

  /** Cuts off, durably, what was written behind the last commit. The segment must be in use. */
  async rollBack(): Promise<void> {
    await this.openFile.truncate(this.sizeBytes);
    await this.#syncFile();
    this.syncedBytes = this.sizeBytes;
  }

  /** Makes everything durable and stores the index: nothing is appended from here on. */
  async seal(): Promise<void> {
    await this.sync(this.sizeBytes);
    await this.storeIndex();
    this.isSealed = true;
    this.release();
  }

  /** Writes the index beside a segment to which nothing is appended any more. It must be in use. */
  async storeIndex(): Promise<void> {
    const index = await this.completeIndex();
    // An index that cannot be stored, for want of space for example, is made anew from the batches when it is needed.
    await index.store(this.files, this.pathWithoutSuffix).catch(() => {});
  }

  /** The index of the whole segment: loaded, or made anew from the batches when that fails. It must be in use. */
  async completeIndex(): Promise<SegmentIndex> {
    if (this.index !== undefined && this.index.startPosition === 0) return this.index;
    this.loadingIndex ??= this.#loadIndex();
    try {
      return await this.loadingIndex;
    } finally {
      this.loadingIndex = undefined;
    }
  }

  /** Makes the index anew from the batches, because what was stored led astray. The segment must be in use. */
  async rebuildIndex(): Promise<SegmentIndex> {
    this.index = await this.#buildIndex(this.sizeBytes);
    return this.index;
  }

  /** The latest timestamp in the segment; undefined when it is empty. */
  async maxTimestampMs(): Promise<number | undefined> {
    if (this.sizeBytes === 0) return undefined;
    await this.acquire();
    try {
      return (await this.completeIndex()).maxTimestampMs;
    } finally {
      this.release();
    }
  }

  /** A scan from a batch at or before the one that holds `offset`, or the next one if there is none. It must be in use. */
  scanFrom(index: SegmentIndex, offset: number, bytesExpected?: number): SegmentScan {
    const start = index.offsets.positionOf(offset);
    const chunkBytes = bytesExpected === undefined ? undefined : bytesExpected + 2 * INDEX_INTERVAL_BYTES;
    return new SegmentScan(this.openFile, start, this.sizeBytes, this.offsets, chunkBytes);
  }

  /** Of what was committed. */
  get offsets(): ScannedOffsets {
    return { from: this.baseOffset, end: this.nextOffset };
  }

  /**
   * One at a time: the operating system reports a failure to one of those who wait, and to the others and all who come
   * later that everything is well.
   */
  async #syncFile(): Promise<void> {
    while (this.syncing !== undefined) await this.syncing;
    this.syncing = this.openFile.sync();
    await this.syncing;
    this.syncing = undefined;
  }

  async #loadIndex(): Promise<SegmentIndex> {
    const partial = this.index;
    if (partial === undefined) {
      const { files, pathWithoutSuffix, baseOffset, sizeBytes } = this;
      const stored = await SegmentIndex.load(files, pathWithoutSuffix, baseOffset, sizeBytes);
      this.index = stored ?? (await this.#buildIndex(sizeBytes));
    } else {
      const complete = await this.#buildIndex(partial.startPosition);
      complete.addAll(partial);
      this.index = complete;
    }
    return this.index;
  }

  async #buildIndex(endPosition: number): Promise<SegmentIndex> {
    const index = new SegmentIndex(this.baseOffset);
    const scan = new SegmentScan(this.openFile, 0, endPosition);
    scan.checkedFrom = Number.POSITIVE_INFINITY;
    while (await scan.load()) {
      for (let at = scan.position, batch = scan.next(); batch; at = scan.position, batch = scan.next()) {
        index.add(batch, at);
      }
    }
    return index;
  }

  #finishRetiring(): void {
    const file = this.file;
    this.file = undefined;
    const done = this.retiring ?? (() => {});
    if (file === undefined) done();
    else file.close().then(done, done);
  }
}
