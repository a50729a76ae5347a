// What everything that hands messages over needs of its bus.

import type { Engine } from "../engines/engine.js";
import type { MiddlewareChain } from "./middleware.js";
import type { Opening } from "./opening.js";

export interface SenderHost {
  readonly engine: Engine;
  readonly middleware: MiddlewareChain;
  readonly opening: Opening;
  /** `starting` is there while handlers are being declared. */
  readonly handlers: { readonly starting: Promise<unknown> | undefined };
  /** Errors: CLOSED. */
  assertOpen(): void;
  /** Errors: READ_ONLY. */
  assertWritable(): void;
  /** Notes that something is being declared, which somebody needs to hand a message over. */
  declaring<T>(declaration: Promise<T>): Promise<T>;
}
