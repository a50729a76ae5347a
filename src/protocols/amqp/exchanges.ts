// The exchanges of the broker as AMQP names and sees them. The default exchange is none of them.

import type { Broker } from "../../broker/broker.js";
import { AMQ_TOPIC, brokerName } from "./address.js";
import { notFound } from "./errors.js";
import { ExchangeView } from "./exchange-view.js";

/** Views that are remembered; forgotten all at once when there are more. */
const VIEWS_MAX = 10_000;

export class Exchanges {
  private readonly broker: Broker;
  private readonly views = new Map<string, ExchangeView>();
  private readonly bus = new ExchangeView(undefined);

  constructor(broker: Broker) {
    this.broker = broker;
  }

  /** Hot: for each message that is published to an exchange. */
  find(name: string): ExchangeView | undefined {
    if (name === AMQ_TOPIC) return this.bus;
    const known = this.views.get(name);
    if (known !== undefined && !known.isGone) return known;
    return this.look(name);
  }

  /** Errors: NOT_FOUND. */
  get(name: string): ExchangeView {
    const view = this.find(name);
    if (view === undefined) throw notFound("exchange", name);
    return view;
  }

  private look(name: string): ExchangeView | undefined {
    this.views.delete(name);
    const exchange = this.broker.exchange(brokerName(name));
    if (exchange === undefined) return undefined;
    if (this.views.size >= VIEWS_MAX) this.views.clear();
    const view = new ExchangeView(exchange);
    this.views.set(name, view);
    return view;
  }
}
