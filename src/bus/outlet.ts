// Where a sender's messages go.

import type { OutgoingMessage } from "../broker/message.js";
import type { EngineAppended, EngineBroker } from "../engines/engine.js";

/** A queue, a topic, or everything that is bound to a subject. */
export interface Outlet {
  /** Whether {@link waitForRoom} comes before {@link append}. */
  readonly mustWait: boolean;
  waitForRoom(signal?: AbortSignal): Promise<void>;
  append(message: OutgoingMessage): EngineAppended;
}

/** Events go to everything that is bound to their subject: their topic, and queues that were bound to it. */
export class EventOutlet implements Outlet {
  readonly mustWait = false;
  readonly #broker: EngineBroker;

  constructor(broker: EngineBroker) {
    this.#broker = broker;
  }

  append(message: OutgoingMessage): EngineAppended {
    const appended = this.#broker.publish(message);
    return appended.length === 1 ? appended[0]! : new AppendedToAll(appended);
  }

  waitForRoom(): Promise<void> {
    return Promise.resolve();
  }
}

/** A message that went to several places: the receipt names the first, and waits for all. */
class AppendedToAll implements EngineAppended {
  readonly #all: readonly EngineAppended[];
  readonly committed: Promise<void>;

  constructor(all: readonly EngineAppended[]) {
    this.#all = all;
    this.committed = Promise.all(all.map(({ committed }) => committed)).then(() => undefined);
  }

  get destination(): string {
    return this.#all[0]!.destination;
  }

  get partition(): number | undefined {
    return this.#all[0]!.partition;
  }

  get offset(): number {
    return this.#all[0]!.offset;
  }
}
