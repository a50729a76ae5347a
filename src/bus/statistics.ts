// The numbers that a bus gives of itself.

import type { QueueStatistics, TopicStatistics } from "../broker/statistics.js";

export type {
  GroupStatistics,
  PartitionStatistics,
  QueueStatistics,
  TopicStatistics,
} from "../broker/statistics.js";

export interface BusStatistics {
  readonly queues: readonly QueueStatistics[];
  readonly topics: readonly TopicStatistics[];
}
