// Waiting for something, unless a signal says to stop.

import { onAbort } from "../io/on-abort.js";

/** `promise` itself where there is no signal, else {@link abortable}. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return signal === undefined ? promise : abortable(promise, signal);
}

/** Settles as `promise` does, or rejects with the signal's reason when that comes first; what `promise` rejects with is then lost. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const forget = onAbort(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(forget);
  });
}
