// Stored bindings by their ends, so that what is deleted finds its own among many.

import type { BindingDefinition, TargetKind } from "./binding.js";

const NONE: ReadonlySet<BindingDefinition> = new Set();

export class BindingIndex {
  /** By `kind/name` of either end. */
  readonly #byEnd = new Map<string, Set<BindingDefinition>>();

  add(binding: BindingDefinition): void {
    for (const end of endsOf(binding)) {
      const bound = this.#byEnd.get(end);
      if (bound === undefined) this.#byEnd.set(end, new Set([binding]));
      else bound.add(binding);
    }
  }

  remove(binding: BindingDefinition): void {
    for (const end of endsOf(binding)) {
      const bound = this.#byEnd.get(end);
      bound?.delete(binding);
      if (bound?.size === 0) this.#byEnd.delete(end);
    }
  }

  /** Everything that is bound from it or to it. */
  of(kind: TargetKind, name: string): ReadonlySet<BindingDefinition> {
    return this.#byEnd.get(`${kind}/${name}`) ?? NONE;
  }
}

function endsOf({ destinationKind, destination, from }: BindingDefinition): string[] {
  const target = `${destinationKind}/${destination}`;
  return from === undefined ? [target] : [target, `exchange/${from}`];
}
