// Handlers of whole messages: for queues and groups whose messages have no type here.

import type { BusCore } from "./bus-core.js";
import type { Handling } from "./handler.js";
import { HANDLER_OPTIONS } from "./handler-settings.js";
import type { AnyRegisterOptions, HandlerTarget } from "./handlers.js";
import { knownOptions } from "./option-checks.js";
import { RawReading } from "./reading.js";

/** `given` is a handler, or its options and a handler. Errors: INVALID_OPTION, DUPLICATE_HANDLER. */
export function consume(core: BusCore, target: HandlerTarget, given: readonly unknown[]): Handling {
  const [options, handler] = given.length === 1 ? [{}, given[0]] : [given[0], given[1]];
  const known = knownOptions<AnyRegisterOptions>("consume", options as AnyRegisterOptions, HANDLER_OPTIONS);
  return core.handlers.register(
    target,
    new RawReading(target.name, target.source, core.codecs),
    known,
    handler,
  );
}
