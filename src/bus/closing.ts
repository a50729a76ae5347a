// How a bus ends: what runs is waited for, what is unsettled goes back, all is stored.

import { BrokerError } from "../broker-error.js";
import type { Timer } from "../io/io.js";
import type { BusCore } from "./bus-core.js";

/** How long {@link close} waits for handlers that run. */
const CLOSE_WAIT_MS = 10_000;

/** Ends all handlers. Resolves when the calls that run have ended and all is stored. */
export async function drain(core: BusCore): Promise<void> {
  await core.handlers.drain();
  await core.declared();
  await core.engine.broker.flush();
}

/** Drains for a while, with what producers have yet to hand over, gives back what is still unsettled, and closes the engine. */
export async function close(core: BusCore): Promise<void> {
  core.beginClose();
  const drained = drain(core)
    .then(() => core.flush())
    .catch((error: unknown) => core.onError(error, "draining before the close"));
  await atMost(core, CLOSE_WAIT_MS, drained);
  core.handlers.abandon(new BrokerError("CLOSED", "The bus was closed while this handler ran."));
  core.endClose();
  await core.engine.broker.close();
}

/** Resolves when `promise` does, or after `waitMs`. */
async function atMost(core: BusCore, waitMs: number, promise: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  const timeIsOver = new Promise<void>((resolve) => {
    timer = core.engine.clock.setTimer(resolve, waitMs);
  });
  await Promise.race([promise, timeIsOver]);
  timer?.cancel();
}
