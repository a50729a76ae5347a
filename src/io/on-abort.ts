// Hearing of an AbortSignal without a listener per wait: platforms warn of a leak when one signal has more than a few.

/** What is to run when a signal aborts. The signal itself has one listener while there is any. */
const waits = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Runs `action` once when `signal` aborts, at once if it has. Returns what forgets it: call that when the wait is over,
 * for a signal may live as long as the process.
 */
export function onAbort(signal: AbortSignal, action: () => void): () => void {
  if (signal.aborted) {
    action();
    return () => undefined;
  }
  const own = () => action();
  const actions = actionsOf(signal);
  actions.add(own);
  return () => {
    actions.delete(own);
  };
}

function actionsOf(signal: AbortSignal): Set<() => void> {
  const known = waits.get(signal);
  if (known !== undefined) return known;
  const actions = new Set<() => void>();
  waits.set(signal, actions);
  const run = () => {
    waits.delete(signal);
    for (const action of actions) action();
    actions.clear();
  };
  signal.addEventListener("abort", run, { once: true });
  return actions;
}
