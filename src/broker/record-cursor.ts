// Finds the record at an offset, from memory where it is there, and fetches batches from disk ahead where it is not.

import type { Log } from "../log/log.js";
import type { StoredRecord } from "../log/record.js";
import { RecordReader } from "../log/record-reader.js";
import type { StoredBatch } from "../log/stored-batch.js";

/** What the first fetch at some place brings into memory, apart from a single larger batch: one record may be all that is wanted. */
const FIRST_FETCH_BYTES = 64 * 1024;
/** Each fetch that goes on where the last one ended brings twice as much, up to this. */
const FETCH_BYTES_MAX = 1024 * 1024;

/**
 * A place in a log, moving forward cheaply and elsewhere at the cost of one batch.
 * Holds at most one fetch worth of batches in memory, and none that it has read to its end.
 */
export class RecordCursor {
  readonly #log: Log;
  readonly #onFetched: (error: unknown) => void;
  #batch: StoredBatch | undefined = undefined;
  #reader: RecordReader | undefined = undefined;
  /** The lowest offset that the reader has not passed. */
  #position = 0;
  /** What was found last, and for which offset: to be asked again costs nothing. */
  #last: StoredRecord | undefined = undefined;
  #lastWanted = 0;
  /** Every record from `#fetchedFrom` up to the end of the last of these is in them. */
  #fetched: StoredBatch[] = [];
  #fetchedFrom = 0;
  #fetchBytes = FIRST_FETCH_BYTES;
  #nextFetchFrom = -1;
  #fetching: Promise<void> | undefined = undefined;
  /** From here up to this high watermark a fetch found nothing: compaction emptied it. */
  #emptyFrom = -1;
  #emptyBelow = -1;

  /** `onFetched` runs when a fetch has ended, with what went wrong or undefined; {@link RecordCursor.at} may then know more. */
  constructor(log: Log, onFetched: (error: unknown) => void) {
    this.#log = log;
    this.#onFetched = onFetched;
  }

  /** Whether what was found last had been fetched from disk: it is far behind the end of the log. */
  get isBehind(): boolean {
    return this.#fetched.length > 0;
  }

  get isFetching(): boolean {
    return this.#fetching !== undefined;
  }

  /** Resolves when the fetch under way has ended, well or not; at once when there is none. */
  async fetched(): Promise<void> {
    await this.#fetching;
  }

  /**
   * Hot: the first record at or after `offset`, which must be below the log's high watermark. Undefined while it
   * must be fetched from disk, and when the log ends in offsets that compaction emptied.
   */
  at(offset: number): StoredRecord | undefined {
    const last = this.#last;
    if (last !== undefined && offset <= last.offset && offset >= this.#lastWanted) return last;
    let wanted = offset;
    for (;;) {
      if (!this.#isOn(wanted) && !this.#moveTo(wanted)) return undefined;
      if (wanted > this.#position) this.#reader!.skipTo(wanted);
      const record = this.#reader!.next();
      if (record !== undefined) {
        this.#passed(record, offset);
        return record;
      }
      wanted = this.#batch!.lastOffset + 1;
      this.#position = wanted;
      if (wanted >= this.#log.highWatermark) return undefined;
    }
  }

  /** Hot. A batch that was read to its end is let go: whoever got a record of it keeps it as long as needed. */
  #passed(record: StoredRecord, wanted: number): void {
    const { offset } = record;
    this.#position = offset + 1;
    if (offset < this.#batch!.lastOffset) {
      this.#last = record;
      this.#lastWanted = wanted;
    } else {
      this.#last = undefined;
      this.#batch = undefined;
      this.#reader = undefined;
    }
  }

  #isOn(offset: number): boolean {
    return this.#batch !== undefined && offset >= this.#position && offset <= this.#batch.lastOffset;
  }

  #moveTo(offset: number): boolean {
    const cached = this.#log.cachedBatch(offset);
    if (cached !== undefined) this.#fetched = [];
    const batch = cached ?? this.#fetchedBatch(offset);
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

  /** Compaction leaves gaps between batches: the first batch that ends at or after `offset` is the one. */
  #fetchedBatch(offset: number): StoredBatch | undefined {
    if (offset < this.#fetchedFrom) return undefined;
    let low = 0;
    let high = this.#fetched.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#fetched[middle]!.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return this.#fetched[low];
  }

  #fetch(offset: number): void {
    if (this.#fetching !== undefined) return;
    const goesOn = offset === this.#nextFetchFrom;
    this.#fetchBytes = goesOn ? Math.min(2 * this.#fetchBytes, FETCH_BYTES_MAX) : FIRST_FETCH_BYTES;
    this.#fetching = this.#read(offset).then((error) => {
      this.#fetching = undefined;
      this.#onFetched(error);
    });
  }

  /** Returns what went wrong, if anything did. */
  async #read(offset: number): Promise<unknown> {
    const watermark = this.#log.highWatermark;
    try {
      const batches = await this.#log.read(offset, this.#fetchBytes);
      this.#fetched = batches;
      this.#fetchedFrom = offset;
      this.#nextFetchFrom = batches.length === 0 ? -1 : batches.at(-1)!.lastOffset + 1;
      this.#emptyFrom = batches.length === 0 ? offset : -1;
      this.#emptyBelow = batches.length === 0 ? watermark : -1;
      return undefined;
    } catch (error) {
      return error;
    }
  }
}
