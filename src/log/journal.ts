// The journal: one file to sync for commits that touch many logs, or several as one unit. Its files are written over
// and over, because syncing blocks that exist is much faster than syncing a file that grows.

import type { BrokerError } from "../broker-error.js";
import type { Files, Random } from "../io/io.js";
import type { CommitPart } from "./commit-part.js";
import {
  BLOCK_BYTES,
  dataEntryBytes,
  type EntryHeader,
  encodeData,
  encodeVoid,
  voidEntryBytes,
} from "./journal-entry.js";
import { JournalFile, journalPath } from "./journal-file.js";
import type { Log } from "./log.js";
import type { Segment } from "./segment.js";
import { isOutOfSpace, storageFailed } from "./storage-errors.js";

/** Files in use at once. While one is filled, the segments that the other covers are synced. */
const FILES_MAX = 2;
/** The memory that entries are put together in is kept up to this size. */
const SCRATCH_BYTES_MAX = 4 * 1024 * 1024;

export class Journal {
  readonly directory: string;
  private readonly files: Files;
  private readonly random: Random;
  /** A file is full when the next entry would not end before this. A larger entry gets a file to itself. */
  private readonly capacityBytes: number;
  /** All but those that are kept for recovery. */
  private journalFiles: JournalFile[];
  private current: JournalFile | undefined;
  private nextNumber: number;
  /** Of the last entry. */
  private lastNeededFrom: number;
  private nextFileNumber: number;
  private checkpointing: Promise<void>;
  /** Set when it is not known any more what the journal holds. */
  private failure: BrokerError | undefined;
  private scratch: Buffer;

  /** `reusable` are existing files whose content is not needed. */
  constructor(
    files: Files,
    directory: string,
    random: Random,
    capacityBytes: number,
    reusable: JournalFile[],
    nextNumber: number,
    nextFileNumber: number,
  ) {
    this.directory = directory;
    this.files = files;
    this.random = random;
    this.capacityBytes = capacityBytes;
    this.journalFiles = reusable;
    this.current = undefined;
    this.nextNumber = nextNumber;
    this.lastNeededFrom = nextNumber;
    this.nextFileNumber = nextFileNumber;
    this.checkpointing = Promise.resolve();
    this.failure = undefined;
    this.scratch = Buffer.alloc(0);
  }

  /**
   * Makes the parts durable as one entry and returns its number. When it throws for want of space nothing was kept,
   * and it may be tried again; any other error is final. `whileSyncing` runs when only the sync is left.
   */
  async append(parts: readonly CommitPart[], whileSyncing: () => void): Promise<number> {
    this.#check();
    const sizeBytes = dataEntryBytes(parts);
    // There must be room to void it, however full the disk is by then.
    const reservedBytes = sizeBytes + voidEntryBytes(parts.length);
    const file = await this.#failUnlessFull(async () => {
      const found = await this.#fileWithRoom(reservedBytes);
      await found.allocate(found.usedBytes + reservedBytes, this.capacityBytes);
      return found;
    });
    const number = this.nextNumber;
    await this.#write(file, encodeData(this.#scratchOf(sizeBytes), this.#header(file), parts), whileSyncing);
    for (const part of parts) file.covered.set(part.segment, part.log);
    return number;
  }

  /** Says, durably, that parts of the last entry were not committed. */
  async void(entry: number, indexes: readonly number[]): Promise<void> {
    this.#check();
    if (entry !== this.nextNumber - 1 || this.current === undefined)
      throw new Error("only the last entry can be voided");
    await this.#write(this.current, encodeVoid(this.#header(this.current), indexes), () => {});
  }

  /** Syncs every segment that the journal covers at this moment. */
  async checkpoint(): Promise<void> {
    await this.checkpointing;
    if (this.current !== undefined) await syncAll([...this.current.covered]);
  }

  /**
   * Ends the journal when nothing is being committed: segments are synced, and the files are marked so that the next
   * open need not read them, unless something failed.
   */
  async close(): Promise<void> {
    await this.checkpointing;
    const current = this.current;
    this.current = undefined;
    let isEnded = this.failure === undefined;
    if (current !== undefined && isEnded) isEnded = await this.#end(current).catch(() => false);
    // The newest first: a blank may be torn, and what is left must not count on it.
    for (const file of this.journalFiles.sort((a, b) => b.lastNumber - a.lastNumber)) {
      if (isEnded) await file.blank(this.#header(file));
      await file.close();
    }
  }

  #check(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  async #write(file: JournalFile, entry: Buffer, whileSyncing: () => void): Promise<void> {
    const { neededFrom } = this.#header(file);
    await this.#failUnlessFull(() => file.write(entry));
    try {
      const syncing = file.sync(entry, this.nextNumber);
      whileSyncing();
      await syncing;
    } catch (error) {
      this.failure = storageFailed(file.path, "Syncing", error);
      throw this.failure;
    }
    this.nextNumber += 1;
    this.lastNeededFrom = neededFrom;
  }

  async #failUnlessFull<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!isOutOfSpace(error)) this.failure = storageFailed(this.directory, "Writing the journal", error);
      throw this.failure ?? error;
    }
  }

  #header(file: JournalFile): EntryHeader {
    let neededFrom = this.nextNumber;
    for (const other of this.journalFiles) {
      if (other.isNeeded) neededFrom = Math.min(neededFrom, other.firstNumber);
    }
    return { number: this.nextNumber, neededFrom, pass: file.pass };
  }

  async #fileWithRoom(sizeBytes: number): Promise<JournalFile> {
    const full = this.current;
    if (full !== undefined) {
      if (full.usedBytes === 0 || full.usedBytes + sizeBytes <= this.capacityBytes) return full;
      await this.checkpointing;
      await this.#disownReleased(full);
      this.current = undefined;
      this.checkpointing = this.#release(full);
    }
    let file = this.journalFiles.find((candidate) => !candidate.isNeeded);
    if (file === undefined && this.journalFiles.length < FILES_MAX) file = await this.#create();
    if (file === undefined) {
      await this.checkpointing;
      return this.#fileWithRoom(sizeBytes);
    }
    file.start(this.random.uint32());
    this.current = file;
    return file;
  }

  /**
   * Says, in an entry of its own, that a file which is about to be overwritten is not needed: the first write to it may
   * be torn, and the last entry must not count on what was there.
   */
  async #disownReleased(current: JournalFile): Promise<void> {
    const isCountedOn = this.journalFiles.some(
      (file) => !file.isNeeded && file.lastNumber >= this.lastNeededFrom,
    );
    if (!isCountedOn) return;
    await current.allocate(current.usedBytes + BLOCK_BYTES, this.capacityBytes);
    await this.#write(current, encodeData(Buffer.alloc(BLOCK_BYTES), this.#header(current), []), () => {});
  }

  /**
   * Releases the last file, and says in it that no entry is needed, before the first of them is overwritten: should that be
   * torn, what lies behind it does not look as if it were lost. Errors: DISK_FULL and others; then the next open reads it.
   */
  async #end(file: JournalFile): Promise<boolean> {
    if (file.usedBytes > 0 && (await syncAll([...file.covered]))) {
      file.isNeeded = false;
      await this.#failUnlessFull(() => file.allocate(file.usedBytes + BLOCK_BYTES, this.capacityBytes));
      await this.#write(file, encodeData(Buffer.alloc(BLOCK_BYTES), this.#header(file), []), () => {});
    }
    await this.#release(file);
    return true;
  }

  async #create(): Promise<JournalFile> {
    const path = journalPath(this.directory, this.nextFileNumber);
    const file = new JournalFile(path, await this.files.open(path, "create"), 0);
    this.nextFileNumber += 1;
    await this.files.syncDirectory(this.directory);
    this.journalFiles.push(file);
    return file;
  }

  /** Makes a full file reusable; or keeps it for recovery when a segment that it covers cannot be synced. */
  async #release(file: JournalFile): Promise<void> {
    if (await syncAll([...file.covered])) {
      file.release();
      return;
    }
    this.journalFiles = this.journalFiles.filter((other) => other !== file);
    await file.close();
  }

  #scratchOf(sizeBytes: number): Buffer {
    if (this.scratch.length >= sizeBytes) return this.scratch;
    const scratch = Buffer.allocUnsafeSlow(sizeBytes);
    if (sizeBytes <= SCRATCH_BYTES_MAX) this.scratch = scratch;
    return scratch;
  }
}

/** Syncs segments one after the other, so that commits find the disk free in between. False when one failed. */
async function syncAll(covered: readonly (readonly [Segment, Log])[]): Promise<boolean> {
  let isComplete = true;
  for (const [segment, log] of covered) {
    if (segment.isRetired && log.failure?.code !== "STORAGE_FAILED") continue;
    if (log.failure !== undefined) isComplete = false;
    else if (!(await syncSegment(segment, log))) isComplete = false;
  }
  return isComplete;
}

async function syncSegment(segment: Segment, log: Log): Promise<boolean> {
  try {
    await segment.syncCommitted();
    return true;
  } catch (error) {
    if (segment.isRetired) return true;
    log.failBy(segment.path, "Syncing", error);
    return false;
  }
}
