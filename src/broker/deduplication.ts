// Publishes of one queue or topic that carry an id: the second of one id stores nothing.

import type { Log } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import { PendingAppend } from "../log/pending-append.js";
import { Appended } from "./appended.js";
import type { OutgoingMessage } from "./message.js";
import type { RecentIds } from "./recent-ids.js";

export class Deduplication {
  readonly ids: RecentIds;
  /** Publishes that stored nothing, since the broker was opened. */
  duplicates = 0;
  /** The queue or topic. */
  readonly #name: string;
  readonly #store: LogStore;
  /** Of the levels of the queue, or the partitions of the topic. */
  readonly #logs: readonly Log[];

  constructor(name: string, store: LogStore, ids: RecentIds, logs: readonly Log[]) {
    this.#name = name;
    this.#store = store;
    this.ids = ids;
    this.#logs = logs;
  }

  /** Where the first message with that id is; undefined when there was none within the window. */
  firstOf(id: string): Appended | undefined {
    const known = this.ids.find(id);
    const place = known?.place;
    if (place === undefined) return undefined;
    const { partition, offset, timestampMs } = place;
    return (
      known?.appended?.again(timestampMs) ??
      new Appended(this.#name, partition, PendingAppend.committedAt(offset), timestampMs)
    );
  }

  /** What `append` gives, stored with the message's id as one; or what the first message with that id got. */
  append(message: OutgoingMessage, append: (message: OutgoingMessage) => Appended): Appended {
    const id = message.id!;
    const first = this.firstOf(id);
    if (first !== undefined) {
      this.duplicates += 1;
      first.requireIn(this.#logs[first.partition ?? 0]!);
      return first;
    }
    let appended: Appended | undefined;
    this.#store.atomically(() => {
      appended = append(message);
      const { partition } = appended;
      const offset = this.#logs[partition ?? 0]!.expectedOffset - 1;
      this.ids.remember(id, { partition, offset, timestampMs: message.timestampMs }, appended);
    });
    return appended!;
  }
}
