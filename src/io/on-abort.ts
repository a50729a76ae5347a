// Hearing of an AbortSignal without a listener per wait: platforms warn of a leak when one signal has more than a few.

/** What is to run when a signal aborts. */
class Waits {
  readonly #signal: AbortSignal;
  readonly #actions = new Set<() => void>();
  readonly #run = () => {
    waitsOf.delete(this.#signal);
    for (const action of this.#actions) action();
    this.#actions.clear();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#run, { once: true });
  }

  add(action: () => void): () => void {
    const own = () => action();
    this.#actions.add(own);
    return () => this.#remove(own);
  }

  #remove(own: () => void): void {
    if (!this.#actions.delete(own) || this.#actions.size > 0) return;
    waitsOf.delete(this.#signal);
    this.#signal.removeEventListener("abort", this.#run);
  }
}

const waitsOf = new WeakMap<AbortSignal, Waits>();

/**
 * Runs `action` once when `signal` aborts, at once if it has. Returns what forgets it: call that when the wait is over,
 * for a signal may live as long as the process.
 */
export function onAbort(signal: AbortSignal, action: () => void): () => void {
  if (signal.aborted) {
    action();
    return () => undefined;
  }
  let waits = waitsOf.get(signal);
  if (waits === undefined) {
    waits = new Waits(signal);
    waitsOf.set(signal, waits);
  }
  return waits.add(action);
}
