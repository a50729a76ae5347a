// What goes wrong in the broker, as AMQP's replies.

import { ProtocolError } from "./wire/protocol-error.js";

/** Any error as what ends a channel or a connection. */
export function toProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  return new ProtocolError("INTERNAL_ERROR", "", error);
}
