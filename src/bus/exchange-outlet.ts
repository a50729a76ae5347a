// An exchange as a place that messages go to.

import { BUS_EXCHANGE } from "../broker/binding.js";
import type { OutgoingMessage } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import type { EngineAppended, EngineBroker } from "../engines/engine.js";
import { AppendedToAll, appendEach, type Outlet } from "./outlet.js";

/** Messages go to everything that the exchange leads them to, or to nothing unless they have to be routed. */
export class ExchangeOutlet implements Outlet {
  readonly isGone = false;
  readonly makesWait = false;
  readonly mustWait = false;
  readonly #broker: EngineBroker;
  readonly #exchange: string;
  readonly #mustRoute: boolean;

  constructor(broker: EngineBroker, exchange: string, mustRoute: boolean) {
    this.#broker = broker;
    this.#exchange = exchange;
    this.#mustRoute = mustRoute;
  }

  append(message: OutgoingMessage): EngineAppended {
    return new AppendedToAll(this.appendToEach(message));
  }

  /** One for each queue and topic. Errors: UNROUTABLE, EXCHANGE_NOT_FOUND, those of what it leads to. */
  appendToEach(message: OutgoingMessage): EngineAppended[] {
    const appended = this.#broker.publish(message, this.#exchange);
    if (appended.length === 0 && this.#mustRoute) throw unroutable(this.#exchange, message.subject);
    return appended;
  }

  appendAll(messages: readonly OutgoingMessage[]): EngineAppended[] {
    const appended: EngineAppended[] = [];
    this.#broker.atomically(() => appendEach(this, messages, appended));
    return appended;
  }

  waitForRoom(): Promise<void> {
    return Promise.resolve();
  }
}

function unroutable(exchange: string, subject: string): BrokerError {
  const isBus = exchange === BUS_EXCHANGE;
  return new BrokerError(
    "UNROUTABLE",
    `${isBus ? "The bus" : `Exchange ${exchange}`} leads this message with the subject ${subject} to no queue and no topic. Bind one that takes it${isBus ? "" : ", or declare the exchange with an alternate"}.`,
    { exchange, subject },
  );
}
