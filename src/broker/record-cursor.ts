// Finds the record at an offset, from memory where it is there, and fetches batches from disk ahead where it is not.

import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { RecordReader } from "../log/record-reader.js";
import type { StoredBatch } from "../log/stored-batch.js";

/** How much one fetch from disk brings into memory at most, apart from a single larger batch. */
const FETCH_BYTES = 1024 * 1024;

/**
 * A place in a log, moving forward cheaply and elsewhere at the cost of one batch.
 * Holds at most one fetch worth of batches in memory.
 */
export class RecordCursor {
  readonly #log: Log;
  readonly #onFetched: (error: unknown) => void;
  #batch: StoredBatch | undefined = undefined;
  #reader: RecordReader | undefined = undefined;
  /** The lowest offset that the reader has not passed. */
  #position = 0;
  #fetched: StoredBatch[] = [];
  #isFetching = false;
  /** From here up to this high watermark a fetch found nothing: compaction emptied it. */
  #emptyFrom = -1;
  #emptyBelow = -1;

  /** `onFetched` runs when a fetch has ended, with what went wrong or undefined; {@link RecordCursor.at} may then know more. */
  constructor(log: Log, onFetched: (error: unknown) => void) {
    this.#log = log;
    this.#onFetched = onFetched;
  }

  get isFetching(): boolean {
    return this.#isFetching;
  }

  /**
   * Hot: the first record at or after `offset`, which must be below the log's high watermark. Undefined while it
   * must be fetched from disk, and when the log ends in offsets that compaction emptied.
   */
  at(offset: number): StoredRecord | undefined {
    let wanted = offset;
    for (;;) {
      if (!this.#isOn(wanted) && !this.#moveTo(wanted)) return undefined;
      if (wanted > this.#position) this.#reader!.skipTo(wanted);
      const record = this.#reader!.next();
      if (record !== undefined) {
        this.#position = record.offset + 1;
        return record;
      }
      wanted = this.#batch!.lastOffset + 1;
      this.#position = wanted;
      if (wanted >= this.#log.highWatermark) return undefined;
    }
  }

  /** Forgets what it holds in memory. */
  reset(): void {
    this.#batch = undefined;
    this.#reader = undefined;
    this.#fetched = [];
  }

  #isOn(offset: number): boolean {
    return this.#batch !== undefined && offset >= this.#position && offset <= this.#batch.lastOffset;
  }

  #moveTo(offset: number): boolean {
    const cached = this.#log.cachedBatch(offset);
    const batch = cached !== undefined && cached.codec === "none" ? cached : this.#fetchedBatch(offset);
    if (batch === undefined) {
      const isEmpty = offset >= this.#emptyFrom && this.#emptyBelow === this.#log.highWatermark;
      if (!isEmpty) this.#fetch(offset);
      return false;
    }
    this.#batch = batch;
    this.#reader = new RecordReader(batch);
    this.#position = batch.baseOffset;
    return true;
  }

  /** Batches of a compacted log may leave gaps: the first batch that ends at or after `offset` is the one. */
  #fetchedBatch(offset: number): StoredBatch | undefined {
    const first = this.#fetched[0];
    if (first === undefined || offset < first.baseOffset) return undefined;
    return this.#fetched.find((batch) => batch.lastOffset >= offset);
  }

  #fetch(offset: number): void {
    if (this.#isFetching) return;
    this.#isFetching = true;
    const watermark = this.#log.highWatermark;
    this.#log.read(offset, FETCH_BYTES).then(
      (batches) => {
        this.#isFetching = false;
        this.#fetched = batches;
        this.#emptyFrom = batches.length === 0 ? offset : -1;
        this.#emptyBelow = batches.length === 0 ? watermark : -1;
        this.#onFetched(undefined);
      },
      (error: unknown) => {
        this.#isFetching = false;
        this.#onFetched(error);
      },
    );
  }
}
