// One file of the journal and how far it is filled.

import type { OpenFile } from "../io/io.js";
import { BLOCK_BYTES, blocksOf, type EntryHeader, encodeBlank } from "./journal-entry.js";
import type { Log } from "./log.js";
import type { Segment } from "./segment.js";
import { writeFully } from "./write-file.js";

/** A file grows by so many zeros at once; entries overwrite them. */
const GROWTH_BYTES = 1024 * 1024;

export function journalPath(directory: string, fileNumber: number): string {
  return `${directory}/${String(fileNumber).padStart(20, "0")}.journal`;
}

export class JournalFile {
  readonly path: string;
  /** Segments with bytes that only this file is known to hold durably, and their logs. */
  readonly covered: Map<Segment, Log>;
  usedBytes: number;
  /** Of the first and the last entry of this pass. */
  firstNumber: number;
  lastNumber: number;
  pass: number;
  /** Whether recovery would need an entry of it. */
  isNeeded: boolean;
  private readonly file: OpenFile;
  private allocatedBytes: number;

  constructor(path: string, file: OpenFile, sizeBytes: number) {
    this.path = path;
    this.covered = new Map();
    this.usedBytes = 0;
    this.firstNumber = 0;
    this.lastNumber = 0;
    this.pass = 0;
    this.isNeeded = false;
    this.file = file;
    this.allocatedBytes = Math.floor(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** Begins to overwrite it from its beginning. */
  start(pass: number): void {
    this.usedBytes = 0;
    this.pass = pass;
  }

  /** Its content is not needed any more. */
  release(): void {
    this.covered.clear();
    this.usedBytes = 0;
    this.isNeeded = false;
  }

  /** Makes sure that writing up to `endPosition` takes no more space on the disk. It grows to `capacityBytes` in steps. */
  async allocate(endPosition: number, capacityBytes: number): Promise<void> {
    while (this.allocatedBytes < endPosition) {
      const wanted = Math.max(blocksOf(endPosition), blocksOf(capacityBytes)) - this.allocatedBytes;
      const sizeBytes = Math.min(wanted, GROWTH_BYTES);
      await writeFully(this.file, zeros().subarray(0, sizeBytes), this.allocatedBytes);
      this.allocatedBytes += sizeBytes;
    }
  }

  /** Writes one entry behind the others. It counts when it has been synced. */
  write(entry: Buffer): Promise<void> {
    return writeFully(this.file, entry, this.usedBytes);
  }

  /** Makes the entry that was written last durable and part of the file. */
  async sync(entry: Buffer, number: number): Promise<void> {
    await this.file.sync();
    if (this.usedBytes === 0) this.firstNumber = number;
    this.lastNumber = number;
    this.usedBytes += entry.length;
    this.isNeeded = true;
  }

  /** Marks it as holding nothing. */
  async blank(header: EntryHeader): Promise<void> {
    await writeFully(this.file, encodeBlank(header), 0);
    await this.file.sync();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

let zeroBlock: Buffer | undefined;

function zeros(): Buffer {
  zeroBlock ??= Buffer.alloc(GROWTH_BYTES);
  return zeroBlock;
}
