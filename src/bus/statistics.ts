// The numbers that a bus gives of itself.

export type { ConsumerStatistics } from "../broker/consumer-statistics.js";
export type {
  BrokerStatistics as BusStatistics,
  GroupStatistics,
  PartitionStatistics,
  QueueStatistics,
  StorageStatistics,
  TopicStatistics,
} from "../broker/statistics.js";
