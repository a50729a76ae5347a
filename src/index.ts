// What applications import.

export { BrokerError, type BrokerErrorCode, type ErrorContext, isBrokerError } from "./broker-error.js";
export type { Batch, BatchItem, BatchResult } from "./bus/batch.js";
export type { Bindable, BindingOf, BindingSource, ExchangeKind, HeaderCondition } from "./bus/binding.js";
export type { BrowseOptions } from "./bus/browse.js";
export { Bus, type BusOptions, type GroupHandlerOptions } from "./bus/bus.js";
export { type AnyCodec, bytes, type Codec, json, text } from "./bus/codec.js";
export type { DeadLetter, DeadLetterFilter } from "./bus/dead-letters.js";
export type { Delivery } from "./bus/delivery.js";
export type { Duration } from "./bus/duration.js";
export type { Exchange, ExchangeOptions, ExchangePublishOptions } from "./bus/exchange.js";
export type { ForwardTarget } from "./bus/forward.js";
export type { Gathered, GatheredReply } from "./bus/gathering.js";
export type { Group } from "./bus/group.js";
export type {
  BatchContext,
  BatchHandler,
  BatchOptions,
  Handler,
  HandlerContext,
  HandlerOptions,
  Handling,
} from "./bus/handler.js";
export type { LiveMessage } from "./bus/live-message.js";
export type { LiveOptions, LiveSubscription } from "./bus/live-subscription.js";
export {
  type CommandOptions,
  type CommandType,
  command,
  type EventOptions,
  type EventType,
  event,
  type MessageType,
} from "./bus/message-type.js";
export type {
  HandleAnswer,
  HandleContext,
  HandleResults,
  Middleware,
  PublishContext,
  UnsentMessage,
} from "./bus/middleware.js";
export { openBus } from "./bus/open-bus.js";
export { ack, deadLetter, drop, type Outcome, reply, retry } from "./bus/outcome.js";
export type { ExchangeOutputs, Outputs, QueueOutputs, TopicOutputs } from "./bus/outputs.js";
export type { Enqueued, ProducerCallback } from "./bus/pending-message.js";
export type { GroupPlace, GroupStart } from "./bus/place.js";
export type { Producer, ProducerStatistics } from "./bus/producer.js";
export type { ProducerOptions } from "./bus/producer-settings.js";
export type {
  BodyOptions,
  EventPublishOptions,
  LivePublishOptions,
  PublishOptions,
  TopicBodyOptions,
} from "./bus/publish-options.js";
export type { ReceiveBatchOptions, ReceiveOptions } from "./bus/puller.js";
export type { DeleteOptions, Queue, QueueOptions } from "./bus/queue.js";
export type { RateLimitOptions } from "./bus/rate-limit.js";
export type { Receipt } from "./bus/receipt.js";
export type { RememberOptions } from "./bus/remembering.js";
export type { GatherOptions, RequestOptions } from "./bus/requests.js";
export type { RetryOptions, RetryPolicy, RetryRule } from "./bus/retry-policy.js";
export type { BindingView, ExchangeView, ForwardView, RoutingView } from "./bus/routing-view.js";
export type { Schedule, ScheduleOptions, Schedules, ScheduleWhen } from "./bus/schedules.js";
export type { Schema } from "./bus/schema.js";
export type {
  BusStatistics,
  ConsumerStatistics,
  GroupStatistics,
  PartitionStatistics,
  QueueStatistics,
  StorageStatistics,
  TopicStatistics,
} from "./bus/statistics.js";
export type { StoredMessage } from "./bus/stored-message.js";
export type { GroupOptions, ReadOptions, Topic, TopicOptions } from "./bus/topic.js";
export type { Transaction } from "./bus/transaction.js";
export { type EmbeddedCapabilities, type EmbeddedOptions, embedded, memory } from "./engines/embedded.js";
export type { Capabilities, Engine, EngineFactory } from "./engines/engine.js";
