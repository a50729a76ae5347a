// What the command's exit code says. Documented in docs/cli.md; scripts depend on these numbers.

import type { BrokerErrorCode } from "../index.js";

/** The exit codes of `omnibus`. 65, 66, 73 and 75 are those of BSD's sysexits.h. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  badInput: 65,
  notFound: 66,
  cannotWrite: 73,
  tryAgain: 75,
  interrupted: 130,
} as const;

/** One of the exit codes that {@link EXIT} names. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The lines of the help that explain the exit codes. */
export const EXIT_CODE_HELP: readonly string[] = [
  "  0  done                          66  no such queue, topic, dead letter or data directory",
  "  1  the operation failed          73  cannot write: the disk is full, the directory unusable",
  "  2  the command line is wrong     75  try again: another process holds the data directory",
  " 65  the input data is bad        130  interrupted",
];

/** A code that a later version adds does not compile until it has an exit code here. */
export const EXIT_OF_BROKER_ERROR: Readonly<Record<BrokerErrorCode, ExitCode>> = {
  INVALID_NAME: EXIT.usage,
  INVALID_OPTION: EXIT.usage,
  INVALID_SUBJECT: EXIT.usage,
  INVALID_SCHEMA: EXIT.usage,
  INVALID_PAYLOAD: EXIT.badInput,
  MESSAGE_TOO_LARGE: EXIT.badInput,
  QUEUE_NOT_FOUND: EXIT.notFound,
  QUEUE_MISMATCH: EXIT.failed,
  QUEUE_FULL: EXIT.tryAgain,
  RETAINED_FULL: EXIT.failed,
  QUEUE_NOT_EMPTY: EXIT.failed,
  QUEUE_IN_USE: EXIT.failed,
  QUEUE_EXCLUSIVE: EXIT.failed,
  TOPIC_NOT_FOUND: EXIT.notFound,
  TOPIC_MISMATCH: EXIT.failed,
  SUBSCRIPTION_NOT_FOUND: EXIT.notFound,
  SUBSCRIPTION_MISMATCH: EXIT.failed,
  EXCHANGE_NOT_FOUND: EXIT.notFound,
  EXCHANGE_MISMATCH: EXIT.failed,
  UNROUTABLE: EXIT.failed,
  FORWARD_MISMATCH: EXIT.failed,
  SCHEDULE_NOT_FOUND: EXIT.notFound,
  SCHEDULE_MISMATCH: EXIT.failed,
  DEAD_LETTER_NOT_FOUND: EXIT.notFound,
  DUPLICATE_HANDLER: EXIT.failed,
  REQUEST_TIMEOUT: EXIT.tryAgain,
  REQUEST_FAILED: EXIT.failed,
  NO_HANDLER: EXIT.failed,
  LEASE_LOST: EXIT.failed,
  EVENT_LOOP_BLOCKED: EXIT.failed,
  TRANSACTION_ENDED: EXIT.failed,
  TRANSACTION_TOO_LARGE: EXIT.failed,
  TOO_MANY_PENDING: EXIT.tryAgain,
  ACK_TIMEOUT: EXIT.tryAgain,
  SLOW_SUBSCRIBER: EXIT.failed,
  DISK_FULL: EXIT.cannotWrite,
  STORAGE_FAILED: EXIT.cannotWrite,
  STORAGE_STALLED: EXIT.tryAgain,
  LOG_CORRUPT: EXIT.failed,
  FORMAT_UNSUPPORTED: EXIT.failed,
  COMPRESSION_UNAVAILABLE: EXIT.failed,
  OFFSET_OUT_OF_RANGE: EXIT.usage,
  DATA_DIRECTORY_LOCKED: EXIT.tryAgain,
  DATA_DIRECTORY_UNUSABLE: EXIT.cannotWrite,
  READ_ONLY: EXIT.cannotWrite,
  LISTEN_FAILED: EXIT.tryAgain,
  INVALID_CONFIGURATION: EXIT.usage,
  NOT_SUPPORTED: EXIT.failed,
  CLOSED: EXIT.failed,
};
