// How messages are led, as applications see it.

import type { Binding, ExchangeKind } from "../broker/binding.js";
import type { EngineBroker } from "../engines/engine.js";

/** Every exchange, binding and forward. The bus itself is the exchange with the empty name. */
export interface RoutingView {
  readonly exchanges: readonly ExchangeView[];
  readonly bindings: readonly BindingView[];
  readonly forwards: readonly ForwardView[];
}

export interface ExchangeView {
  readonly name: string;
  readonly kind: ExchangeKind;
  /** The exchange that gets what nothing is bound for. */
  readonly alternate: string | undefined;
}

export type BindingView = Binding & { readonly from: string };

/** A queue whose messages are moved on. */
export interface ForwardView {
  readonly queue: string;
  readonly exchange: string;
  /** Undefined where each message keeps its own. */
  readonly subject: string | undefined;
}

export function routingView({ exchanges, bindings, forwards }: EngineBroker): RoutingView {
  return {
    exchanges: [...exchanges].map(({ name, options: { kind, alternate } }) => ({ name, kind, alternate })),
    bindings: bindings.map((binding) => ({ ...binding, from: binding.from ?? "" })),
    forwards: forwards.map(({ queue, exchange = "", subject }) => ({ queue, exchange, subject })),
  };
}
