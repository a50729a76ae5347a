// What the server tells a client that went wrong, in the words of nats-server, which clients read.

import type { BrokerErrorCode } from "../../broker-error.js";

export const UNKNOWN_OPERATION = "Unknown Protocol Operation";
export const PARSER_ERROR = "Parser Error";
export const CONTROL_LINE_EXCEEDED = "maximum control line exceeded";
export const PAYLOAD_EXCEEDED = "Maximum Payload Violation";
export const AUTHORIZATION_VIOLATION = "Authorization Violation";
export const AUTHENTICATION_TIMEOUT = "Authentication Timeout";
export const STALE_CONNECTION = "Stale Connection";
export const SLOW_CONSUMER = "Slow Consumer";
export const TLS_REQUIRED = "Secure Connection - TLS Required";
export const INVALID_CLIENT_PROTOCOL = "invalid client protocol";
export const NO_RESPONDERS_REQUIRES_HEADERS = "no responders requires headers support";
export const HEADERS_NOT_SUPPORTED = "message headers not supported";
export const INVALID_SUBJECT = "Invalid Subject";
export const INVALID_PUBLISH_SUBJECT = "Invalid Publish Subject";
export const SUBSCRIPTIONS_EXCEEDED = "maximum subscriptions exceeded";

export function publishViolation(subject: string): string {
  return `Permissions Violation for Publish to "${subject}"`;
}

export function subscriptionViolation(subject: string, queue: string | undefined): string {
  const using = queue === undefined ? "" : ` using queue "${queue}"`;
  return `Permissions Violation for Subscription to "${subject}"${using}`;
}

/** What a publish was refused for. The words after the code are those of the error itself. */
const refusals: Readonly<Record<BrokerErrorCode, string>> = {
  INVALID_NAME: "invalid name",
  INVALID_OPTION: "invalid option",
  INVALID_PAYLOAD: "invalid payload",
  INVALID_SUBJECT: "invalid subject",
  INVALID_SCHEMA: "invalid schema",
  MESSAGE_TOO_LARGE: "message too large",
  QUEUE_NOT_FOUND: "queue not found",
  QUEUE_MISMATCH: "queue mismatch",
  QUEUE_FULL: "queue full",
  RETAINED_FULL: "too many retained messages",
  QUEUE_NOT_EMPTY: "queue not empty",
  QUEUE_IN_USE: "queue in use",
  QUEUE_EXCLUSIVE: "queue is exclusive",
  TOPIC_NOT_FOUND: "topic not found",
  TOPIC_MISMATCH: "topic mismatch",
  SUBSCRIPTION_NOT_FOUND: "subscription not found",
  SUBSCRIPTION_MISMATCH: "subscription mismatch",
  EXCHANGE_NOT_FOUND: "exchange not found",
  EXCHANGE_MISMATCH: "exchange mismatch",
  UNROUTABLE: "unroutable",
  FORWARD_MISMATCH: "forward mismatch",
  SCHEDULE_NOT_FOUND: "schedule not found",
  SCHEDULE_MISMATCH: "schedule mismatch",
  DEAD_LETTER_NOT_FOUND: "dead letter not found",
  DUPLICATE_HANDLER: "duplicate handler",
  NO_HANDLER: "no handler",
  REQUEST_TIMEOUT: "request timeout",
  REQUEST_FAILED: "request failed",
  LEASE_LOST: "lease lost",
  EVENT_LOOP_BLOCKED: "event loop blocked",
  TRANSACTION_ENDED: "transaction ended",
  TRANSACTION_TOO_LARGE: "transaction too large",
  TOO_MANY_PENDING: "too many pending",
  ACK_TIMEOUT: "acknowledgement timeout",
  SLOW_SUBSCRIBER: "slow subscriber",
  DISK_FULL: "disk full",
  STORAGE_FAILED: "storage failed",
  STORAGE_STALLED: "storage stalled",
  LOG_CORRUPT: "log corrupt",
  FORMAT_UNSUPPORTED: "format unsupported",
  COMPRESSION_UNAVAILABLE: "compression unavailable",
  OFFSET_OUT_OF_RANGE: "offset out of range",
  DATA_DIRECTORY_LOCKED: "data directory locked",
  DATA_DIRECTORY_UNUSABLE: "data directory unusable",
  READ_ONLY: "read only",
  LISTEN_FAILED: "listening failed",
  INVALID_CONFIGURATION: "invalid configuration",
  NOT_SUPPORTED: "not supported",
  CLOSED: "closed",
};

/**
 * A publish that was refused by what stores it. Begins as a violation of permissions does, because clients close the
 * connection on words that they do not know, and pass this on to the application.
 */
export function refusedPublish(subject: string, code: BrokerErrorCode): string {
  return `${publishViolation(subject)}: ${refusals[code]}`;
}
