// Bindings as applications write them: what leads to a queue, topic or exchange, and what an exchange leads to.

import {
  BUS_EXCHANGE,
  type ExchangeKind,
  type HeaderCondition,
  type Binding as StoredBinding,
  type TargetKind,
} from "../broker/binding.js";
import { assertPattern } from "../broker/subject.js";
import type { BusCore } from "./bus-core.js";
import { invalidOption, knownOptions } from "./option-checks.js";

export type { ExchangeKind, HeaderCondition };

/** Where messages come from, as the option `bind` names it. Which condition there is depends on the kind of the exchange. */
export interface BindingSource {
  /** The exchange; it has to be there. @default the bus itself, which is a topic exchange */
  readonly from?: string;
  /** For a topic exchange a pattern of subjects, for a direct one the subject. */
  readonly pattern?: string;
  /** For a headers exchange. */
  readonly headers?: HeaderCondition;
  /** For a consistent-hash exchange: 1 to 1,000. @default 1 */
  readonly weight?: number;
}

/** What is said about a binding of an exchange of this kind. */
export type BindingOf<K extends ExchangeKind> = K extends "direct" | "topic"
  ? [how: { readonly pattern: string }]
  : K extends "headers"
    ? [how: { readonly headers: HeaderCondition }]
    : K extends "consistent-hash"
      ? [how?: { readonly weight?: number }]
      : [];

/** A queue, topic or exchange of the bus. */
export interface Bindable {
  readonly kind: TargetKind;
  readonly name: string;
  /** Makes it, durably, or finds it. */
  declare(): Promise<unknown>;
}

const CONDITIONS = ["pattern", "headers", "weight"];

/** The option `bind`, checked as far as that is possible before anything is declared. Errors: INVALID_OPTION, INVALID_SUBJECT, NOT_SUPPORTED. */
export function checkedSources(core: BusCore, bind: unknown): readonly BindingSource[] {
  if (bind === undefined) return [];
  if (!Array.isArray(bind)) throw invalidOption("bind", bind, "a list of subject patterns and bindings");
  return bind.map((source: unknown) => {
    if (typeof source !== "object" || source === null) {
      assertPattern(source as string);
      return { pattern: source as string };
    }
    const known: BindingSource = knownOptions("bind", source, ["from", ...CONDITIONS]);
    if (known.pattern !== undefined) assertPattern(known.pattern);
    if ((known.from ?? BUS_EXCHANGE) !== BUS_EXCHANGE) core.assertSupports("exchanges", "exchanges");
    return known;
  });
}

/** Leads what the sources have to the target, which is there. Errors: those of a binding. */
export async function bindSources(
  core: BusCore,
  sources: readonly BindingSource[],
  { kind, name }: Pick<Bindable, "kind" | "name">,
): Promise<void> {
  for (const source of sources) await core.engine.broker.bind({ ...source, to: { kind, name } });
}

/** Errors: INVALID_OPTION, INVALID_SUBJECT. */
export function bindingTo(from: string, target: Bindable, how: object | undefined): StoredBinding {
  if (typeof target?.declare !== "function")
    throw invalidOption("target of a binding", target, "a queue, topic or exchange of the bus");
  const { kind, name } = target;
  const known: Omit<BindingSource, "from"> = knownOptions("a binding", how, CONDITIONS);
  if (known.pattern !== undefined) assertPattern(known.pattern);
  return { from, to: { kind, name }, ...known };
}
