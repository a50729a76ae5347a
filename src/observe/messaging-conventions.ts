// The names of OpenTelemetry's semantic conventions for messaging spans and metrics (status: development), and the few
// of our own beside them. The only place that has them: https://opentelemetry.io/docs/specs/semconv/messaging/

export const SYSTEM = "omnibus";

export const ATTRIBUTE = {
  system: "messaging.system",
  operationName: "messaging.operation.name",
  /** `send` or `process`. */
  operationType: "messaging.operation.type",
  /** The queue, topic or exchange. */
  destination: "messaging.destination.name",
  partition: "messaging.destination.partition.id",
  group: "messaging.consumer.group.name",
  messageId: "messaging.message.id",
  bodySize: "messaging.message.body.size",
  /** Ties a request to its answer. */
  conversationId: "messaging.message.conversation_id",
  batchCount: "messaging.batch.message_count",
  errorType: "error.type",
  /** Ours, in the namespace that the conventions leave to a system. */
  subject: "messaging.omnibus.message.subject",
  attempt: "messaging.omnibus.message.attempt",
  /** What the handler said: `ack`, `drop`, `retry`, `dead-letter`. */
  outcome: "messaging.omnibus.outcome",
} as const;

export const METRIC = {
  operationDuration: {
    name: "messaging.client.operation.duration",
    unit: "s",
    description: "Duration of a publish or send, until its messages are stored.",
  },
  sent: {
    name: "messaging.client.sent.messages",
    unit: "{message}",
    description: "Messages that were published or sent, or were to be.",
  },
  consumed: {
    name: "messaging.client.consumed.messages",
    unit: "{message}",
    description: "Messages that were given to a handler.",
  },
  processDuration: {
    name: "messaging.process.duration",
    unit: "s",
    description: "Duration of a call of a handler.",
  },
} as const;

/** Seconds: what the conventions advise for both durations. */
export const DURATION_BOUNDARIES = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/** What `error.type` is when an error has no name. */
export const OTHER_ERROR = "_OTHER";
