// One batch as it lies in a segment: its header, decoded, and its bytes.

import { readInt16, readInt32, readInt64 } from "../bytes/cursor.js";
import type { RecordSource } from "./record.js";
import {
  APPEND_TIME_BIT,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  COMPRESSION_CODECS,
  COMPRESSION_MASK,
  CONTROL_BIT,
  type CompressionCodec,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_BIT,
} from "./record-batch.js";

/**
 * One batch and the owner of its bytes: views and records made from it live as long as it does. Built from bytes
 * in which `findBatchFault` found nothing; the constructor checks nothing itself.
 */
export class StoredBatch implements RecordSource {
  /** Exactly this batch. */
  readonly bytes: Buffer;
  readonly baseOffset: number;
  /** The offset of the last record that the batch was written with; compaction may have removed it since. */
  readonly lastOffset: number;
  readonly recordCount: number;
  readonly baseTimestampMs: number;
  /** -1 when no record has a timestamp. */
  readonly maxTimestampMs: number;
  readonly codec: CompressionCodec;
  /** Whether every record's timestamp is `maxTimestampMs`, the time at which the batch was appended. */
  readonly hasAppendTime: boolean;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly leaderEpoch: number;
  /** -1 when the producer is not idempotent; so are its epoch and sequence then. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;

  constructor(bytes: Buffer) {
    const attributes = readInt16(bytes, ATTRIBUTES_AT);
    this.bytes = bytes;
    this.baseOffset = readInt64(bytes, BASE_OFFSET_AT);
    this.lastOffset = this.baseOffset + readInt32(bytes, LAST_OFFSET_DELTA_AT);
    this.recordCount = readInt32(bytes, RECORD_COUNT_AT);
    this.baseTimestampMs = readInt64(bytes, BASE_TIMESTAMP_AT);
    this.maxTimestampMs = readInt64(bytes, MAX_TIMESTAMP_AT);
    this.codec = COMPRESSION_CODECS[attributes & COMPRESSION_MASK] ?? "none";
    this.hasAppendTime = (attributes & APPEND_TIME_BIT) !== 0;
    this.isTransactional = (attributes & TRANSACTIONAL_BIT) !== 0;
    this.isControl = (attributes & CONTROL_BIT) !== 0;
    this.leaderEpoch = readInt32(bytes, LEADER_EPOCH_AT);
    this.producerId = readInt64(bytes, PRODUCER_ID_AT);
    this.producerEpoch = readInt16(bytes, PRODUCER_EPOCH_AT);
    this.baseSequence = readInt32(bytes, BASE_SEQUENCE_AT);
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }
}
