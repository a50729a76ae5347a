// What `assert.rejects` and `assert.throws` ask of an error of the broker.

import { type BrokerErrorCode, isBrokerError } from "../../src/broker-error.js";

/** Whether an error has this code, and says what `text` finds. */
export function withCode(code: BrokerErrorCode, text = /./): (error: unknown) => boolean {
  return (error) => isBrokerError(error, code) && text.test(error.message);
}
