// The one error type of Omnibus and its closed list of codes. A leaf: every layer may throw it, none is known here.

/**
 * Every code a {@link BrokerError} can carry. Codes are stable: programs may compare them, and
 * `docs/errors.md` says for each what happened and what to do about it.
 */
export type BrokerErrorCode =
  | "INVALID_NAME"
  | "INVALID_OPTION"
  | "INVALID_PAYLOAD"
  | "INVALID_SUBJECT"
  | "INVALID_SCHEMA"
  | "MESSAGE_TOO_LARGE"
  | "QUEUE_NOT_FOUND"
  | "QUEUE_MISMATCH"
  | "QUEUE_FULL"
  | "RETAINED_FULL"
  | "QUEUE_NOT_EMPTY"
  | "QUEUE_IN_USE"
  | "QUEUE_EXCLUSIVE"
  | "TOPIC_NOT_FOUND"
  | "TOPIC_MISMATCH"
  | "SUBSCRIPTION_NOT_FOUND"
  | "SUBSCRIPTION_MISMATCH"
  | "EXCHANGE_NOT_FOUND"
  | "EXCHANGE_MISMATCH"
  | "UNROUTABLE"
  | "FORWARD_MISMATCH"
  | "SCHEDULE_NOT_FOUND"
  | "SCHEDULE_MISMATCH"
  | "DEAD_LETTER_NOT_FOUND"
  | "DUPLICATE_HANDLER"
  | "NO_HANDLER"
  | "REQUEST_TIMEOUT"
  | "REQUEST_FAILED"
  | "LEASE_LOST"
  | "EVENT_LOOP_BLOCKED"
  | "TRANSACTION_ENDED"
  | "TRANSACTION_TOO_LARGE"
  | "TOO_MANY_PENDING"
  | "ACK_TIMEOUT"
  | "SLOW_SUBSCRIBER"
  | "DISK_FULL"
  | "STORAGE_FAILED"
  | "STORAGE_STALLED"
  | "LOG_CORRUPT"
  | "FORMAT_UNSUPPORTED"
  | "COMPRESSION_UNAVAILABLE"
  | "OFFSET_OUT_OF_RANGE"
  | "DATA_DIRECTORY_LOCKED"
  | "DATA_DIRECTORY_UNUSABLE"
  | "READ_ONLY"
  | "LISTEN_FAILED"
  | "INVALID_CONFIGURATION"
  | "NOT_SUPPORTED"
  | "CLOSED";

/** What a {@link BrokerError} may say about where it happened. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * An operating error: bad input, a limit that was reached, or storage that failed. The message is a sentence
 * that names what was wrong, where, and what to do. Our own bugs are assertions, never a `BrokerError`.
 */
export class BrokerError extends Error {
  override readonly name = "BrokerError";
  readonly code: BrokerErrorCode;
  /** The names, numbers and limits that the message speaks of, for programs. */
  readonly context: ErrorContext;

  constructor(code: BrokerErrorCode, message: string, context: ErrorContext = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.context = context;
  }
}

/** Whether `error` is a {@link BrokerError}, and has `code` when one is given. */
export function isBrokerError(error: unknown, code?: BrokerErrorCode): error is BrokerError {
  return error instanceof BrokerError && (code === undefined || error.code === code);
}
