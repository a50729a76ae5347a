// The pseudo-queue for direct answers: a channel's one consumer of it, and the inbox in the broker that it stands for.

import type { LiveMessage, LiveReceiver } from "../../broker/live-message.js";
import type { Inbox } from "../../broker/live-router.js";
import { CORRELATION_HEADER } from "../../broker/message.js";
import { textOfToken, tokenOf } from "./address.js";
import type { ChannelHost } from "./channel-host.js";
import { preconditionFailed } from "./errors.js";
import { outgoingAnswer } from "./original.js";
import type { UnackedDeliveries } from "./unacked.js";
import { OutgoingContent, writeDeliver } from "./wire/basic.js";

/** A correlation id that is longer is not part of the subject: whoever answers has to give it back. */
const TOKEN_LENGTH_MAX = 128;

/**
 * Answers to a question with a correlation id go to a subject of their own below the inbox, which says the id: a protocol
 * that gives no correlation id back is understood all the same.
 */
export class DirectReplies implements LiveReceiver {
  readonly group = undefined;
  readonly tag: string;
  readonly #tagBytes: Buffer;
  readonly #connection: ChannelHost;
  readonly #channel: number;
  readonly #unacked: UnackedDeliveries;
  readonly #inbox: Inbox;

  /** Errors: CLOSED. */
  constructor(connection: ChannelHost, channel: number, tag: string, unacked: UnackedDeliveries) {
    this.tag = tag;
    this.#tagBytes = Buffer.from(tag);
    this.#connection = connection;
    this.#channel = channel;
    this.#unacked = unacked;
    this.#inbox = connection.host.broker.live.openInbox(this);
  }

  /** Where the answer to a question with this id is published. */
  subjectFor(correlationId: string | undefined): string {
    const { subject } = this.#inbox;
    if (correlationId === undefined || correlationId === "") return subject;
    const token = tokenOf(correlationId);
    return token.length > TOKEN_LENGTH_MAX ? subject : `${subject}.${token}`;
  }

  offer({ subject, record }: LiveMessage): boolean {
    const { writer, frameMax } = this.#connection;
    const correlationId = this.#correlationId(subject, record.header(CORRELATION_HEADER));
    const content = new OutgoingContent();
    content.setOriginal(outgoingAnswer(record, subject, correlationId));
    if (record.value !== null) content.setBody(record.value);
    writeDeliver(writer, this.#channel, frameMax, this.#tagBytes, this.#unacked.skip(), false, content);
    if (writer.isCongested) this.#connection.congested();
    return true;
  }

  close(): void {
    this.#inbox.close();
  }

  /** As the answer says it, else as the question was asked. */
  #correlationId(subject: string, header: Buffer | undefined): string | undefined {
    if (header !== undefined) return header.toString("utf8");
    const { length } = this.#inbox.subject;
    return subject.length > length ? textOfToken(subject.slice(length + 1)) : undefined;
  }
}

export function noReplyConsumer(): Error {
  return preconditionFailed("fast reply consumer does not exist");
}
