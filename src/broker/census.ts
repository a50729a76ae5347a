// Gathers what the broker says about itself, and keeps what only that needs.

import type { Clock } from "../io/io.js";
import type { SyncStatistics } from "../log/sync-statistics.js";
import { OldestTimes } from "./oldest-times.js";
import { type BrokerStatistics, queueStatistics, topicStatistics } from "./statistics.js";
import { StorageWatch } from "./storage-watch.js";
import type { Topology } from "./topology.js";

export class Census {
  readonly #clock: Clock;
  readonly #topology: Topology;
  readonly #syncs: SyncStatistics;
  readonly #oldestTimes = new OldestTimes();
  readonly #storageWatch: StorageWatch;

  constructor(
    clock: Clock,
    topology: Topology,
    syncs: SyncStatistics,
    onError: (error: unknown, where: string) => void,
  ) {
    this.#clock = clock;
    this.#topology = topology;
    this.#syncs = syncs;
    this.#storageWatch = new StorageWatch(clock, syncs, onError);
  }

  statistics(): BrokerStatistics {
    const { queues, topics } = this.#topology;
    const { commits, journalCommits, syncs, lastSyncMs, longestSyncMs, bytes } = this.#syncs;
    const { stalledMs } = this;
    const view = {
      nowMs: this.#clock.nowMs(),
      oldestTimes: this.#oldestTimes,
      deadLettersOf: (source: string) => this.#topology.deadLettersOf(source)?.unsettledCount ?? 0,
    };
    return {
      queues: [...queues.values()].map((queue) => queueStatistics(queue, view)),
      topics: [...topics.values()].map((topic) => topicStatistics(topic, view)),
      storage: { commits, journalCommits, syncs, lastSyncMs, longestSyncMs, stalledMs, bytes },
    };
  }

  /** How long a sync has been hanging; 0 when none is. */
  get stalledMs(): number {
    return this.#storageWatch.stalledMs;
  }

  close(): void {
    this.#storageWatch.close();
  }
}
