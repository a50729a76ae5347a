// What exists, as those see it who change or remove it.

import type { Clock } from "../io/io.js";
import type { LogStore } from "../log/log-store.js";
import type { Catalog } from "./catalog.js";
import type { Expiries } from "./expiries.js";
import type { Forwards } from "./forwards.js";
import type { NamedTurns } from "./named-turns.js";
import type { Queue } from "./queue.js";
import type { Routing } from "./routing.js";
import type { SettlementLog } from "./settlement-log.js";
import type { SourceOpener } from "./source-opening.js";
import type { Subscription } from "./subscription.js";
import type { Topic } from "./topic.js";

export interface Existing {
  readonly clock: Clock;
  readonly store: LogStore;
  readonly catalog: Catalog;
  readonly settlements: SettlementLog;
  readonly routing: Routing;
  readonly expiries: Expiries;
  readonly forwards: Forwards;
  readonly opener: SourceOpener;
  readonly queues: Map<string, Queue>;
  readonly topics: Map<string, Topic>;
  /** What exists and could not be opened, with why, by `queue/name`, `topic/name` and `subscription/topic/group`. */
  readonly unopened: Map<string, unknown>;
  /** One change at a time of what has such a key. */
  readonly turns: NamedTurns;
  /** Errors: QUEUE_NOT_FOUND, those of what could not be opened. */
  queue(name: string): Queue;
  /** Errors: TOPIC_NOT_FOUND, those of what could not be opened. */
  topic(name: string): Topic;
  /** Errors: TOPIC_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, those of what could not be opened. */
  subscription(topic: string, group: string): Subscription;
  /** Hears of what cannot be told to any caller. */
  readonly onError: (error: unknown, where: string) => void;
}
