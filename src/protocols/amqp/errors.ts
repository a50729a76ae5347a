// What the broker's errors are on the wire: a reply code and a text, as RabbitMQ words them where clients read them.

import { BrokerError, type BrokerErrorCode } from "../../broker-error.js";
import { amqpName } from "./address.js";
import { ProtocolError, type ReplyName } from "./wire/protocol-error.js";

type Replies = Readonly<Record<BrokerErrorCode, ReplyName>>;

/** A code that is new fails to compile until it is mapped. */
const REPLIES: Replies = {
  INVALID_NAME: "PRECONDITION_FAILED",
  INVALID_OPTION: "PRECONDITION_FAILED",
  INVALID_PAYLOAD: "PRECONDITION_FAILED",
  INVALID_SUBJECT: "PRECONDITION_FAILED",
  INVALID_SCHEMA: "PRECONDITION_FAILED",
  MESSAGE_TOO_LARGE: "PRECONDITION_FAILED",
  QUEUE_NOT_FOUND: "NOT_FOUND",
  QUEUE_MISMATCH: "PRECONDITION_FAILED",
  QUEUE_FULL: "PRECONDITION_FAILED",
  RETAINED_FULL: "RESOURCE_ERROR",
  QUEUE_NOT_EMPTY: "PRECONDITION_FAILED",
  QUEUE_IN_USE: "PRECONDITION_FAILED",
  QUEUE_EXCLUSIVE: "RESOURCE_LOCKED",
  TOPIC_NOT_FOUND: "NOT_FOUND",
  TOPIC_MISMATCH: "PRECONDITION_FAILED",
  SUBSCRIPTION_NOT_FOUND: "NOT_FOUND",
  SUBSCRIPTION_MISMATCH: "PRECONDITION_FAILED",
  EXCHANGE_NOT_FOUND: "NOT_FOUND",
  EXCHANGE_MISMATCH: "PRECONDITION_FAILED",
  UNROUTABLE: "NO_ROUTE",
  FORWARD_MISMATCH: "PRECONDITION_FAILED",
  SCHEDULE_NOT_FOUND: "NOT_FOUND",
  SCHEDULE_MISMATCH: "PRECONDITION_FAILED",
  DEAD_LETTER_NOT_FOUND: "NOT_FOUND",
  DUPLICATE_HANDLER: "INTERNAL_ERROR",
  NO_HANDLER: "INTERNAL_ERROR",
  REQUEST_TIMEOUT: "PRECONDITION_FAILED",
  REQUEST_FAILED: "PRECONDITION_FAILED",
  LEASE_LOST: "PRECONDITION_FAILED",
  EVENT_LOOP_BLOCKED: "INTERNAL_ERROR",
  TRANSACTION_ENDED: "PRECONDITION_FAILED",
  TRANSACTION_TOO_LARGE: "PRECONDITION_FAILED",
  TOO_MANY_PENDING: "RESOURCE_ERROR",
  ACK_TIMEOUT: "INTERNAL_ERROR",
  SLOW_SUBSCRIBER: "RESOURCE_ERROR",
  DISK_FULL: "RESOURCE_ERROR",
  STORAGE_FAILED: "INTERNAL_ERROR",
  STORAGE_STALLED: "INTERNAL_ERROR",
  LOG_CORRUPT: "INTERNAL_ERROR",
  FORMAT_UNSUPPORTED: "INTERNAL_ERROR",
  COMPRESSION_UNAVAILABLE: "INTERNAL_ERROR",
  OFFSET_OUT_OF_RANGE: "PRECONDITION_FAILED",
  DATA_DIRECTORY_LOCKED: "INTERNAL_ERROR",
  DATA_DIRECTORY_UNUSABLE: "INTERNAL_ERROR",
  READ_ONLY: "RESOURCE_ERROR",
  NOT_SUPPORTED: "NOT_IMPLEMENTED",
  INVALID_CONFIGURATION: "INTERNAL_ERROR",
  LISTEN_FAILED: "INTERNAL_ERROR",
  CLOSED: "CONNECTION_FORCED",
};

export type ThingKind = "queue" | "exchange";

/** A queue or exchange as RabbitMQ's texts name it. */
export function thing(kind: ThingKind, name: string): string {
  return `${kind} '${name}' in vhost '/'`;
}

/** Any error as one that a client may read. Bugs are not explained to it. */
export function toProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  if (!(error instanceof BrokerError)) return new ProtocolError("INTERNAL_ERROR", "", error);
  return new ProtocolError(REPLIES[error.code], wording(error), error);
}

/** The text of RabbitMQ for what clients look for, else the broker's own. */
function wording({ code, message, context }: BrokerError): string {
  const { queue, exchange } = context;
  if (code === "QUEUE_NOT_FOUND" && typeof queue === "string") return `no ${thing("queue", amqpName(queue))}`;
  if (code === "EXCHANGE_NOT_FOUND" && typeof exchange === "string")
    return `no ${thing("exchange", amqpName(exchange))}`;
  if (code === "QUEUE_IN_USE" && typeof queue === "string")
    return `${thing("queue", amqpName(queue))} in use`;
  if (code === "QUEUE_NOT_EMPTY" && typeof queue === "string")
    return `${thing("queue", amqpName(queue))} not empty`;
  if (code === "QUEUE_EXCLUSIVE" && typeof queue === "string") return lockedText(amqpName(queue));
  return message;
}

function lockedText(queue: string): string {
  return `cannot obtain exclusive access to locked ${thing("queue", queue)}. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`;
}

export function notFound(kind: ThingKind, name: string): ProtocolError {
  return new ProtocolError("NOT_FOUND", `no ${thing(kind, name)}`);
}

export function locked(queue: string): ProtocolError {
  return new ProtocolError("RESOURCE_LOCKED", lockedText(queue));
}

export function accessRefused(kind: ThingKind, name: string, user: string): ProtocolError {
  return new ProtocolError("ACCESS_REFUSED", `access to ${thing(kind, name)} refused for user '${user}'`);
}

export function preconditionFailed(explanation: string): ProtocolError {
  return new ProtocolError("PRECONDITION_FAILED", explanation);
}
