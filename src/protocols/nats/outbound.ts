// Messages of other origin as NATS writes them.

import type { LiveMessage } from "../../broker/live-message.js";
import { REPLY_TO_HEADER } from "../../broker/message.js";
import { fromCanonicalSubject } from "./address.js";
import { blockOf } from "./headers.js";

const NOTHING = Buffer.alloc(0);

export interface OutboundMessage {
  /** `HMSG subject `; without its first byte, what a message without headers begins with. */
  readonly line: Buffer;
  /** `reply-to `, or nothing. */
  readonly reply: Buffer;
  /** Undefined when it has no headers. */
  readonly block: Buffer | undefined;
  readonly body: Buffer;
}

/** Remembers the last one, since a message is offered to all its subscriptions one after another. */
export class Outbound {
  #message: LiveMessage | undefined = undefined;
  #outbound: OutboundMessage | undefined = undefined;

  of(message: LiveMessage): OutboundMessage {
    if (message !== this.#message || this.#outbound === undefined) {
      this.#message = message;
      this.#outbound = outboundOf(message);
    }
    return this.#outbound;
  }

  /** Lets go of the last one. */
  clear(): void {
    this.#message = undefined;
    this.#outbound = undefined;
  }
}

function outboundOf({ subject, record }: LiveMessage): OutboundMessage {
  const replyTo = record.header(REPLY_TO_HEADER)?.toString("utf8");
  return {
    line: Buffer.from(`HMSG ${fromCanonicalSubject(subject)} `),
    reply: replyTo === undefined ? NOTHING : Buffer.from(`${fromCanonicalSubject(replyTo)} `),
    block: blockOf(record.headers()),
    body: record.value ?? NOTHING,
  };
}
