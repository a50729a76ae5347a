// What may go wrong between a client and this server, with the reply codes of AMQP 0-9-1.

/** Reply codes (AMQP 0-9-1, 1.2 of the reference, and RabbitMQ's list), as RabbitMQ spells their names. */
const REPLY_CODES = {
  CONTENT_TOO_LARGE: 311,
  NO_ROUTE: 312,
  NO_CONSUMERS: 313,
  CONNECTION_FORCED: 320,
  INVALID_PATH: 402,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  FRAME_ERROR: 501,
  SYNTAX_ERROR: 502,
  COMMAND_INVALID: 503,
  CHANNEL_ERROR: 504,
  UNEXPECTED_FRAME: 505,
  RESOURCE_ERROR: 506,
  NOT_ALLOWED: 530,
  NOT_IMPLEMENTED: 540,
  INTERNAL_ERROR: 541,
} as const;

export type ReplyName = keyof typeof REPLY_CODES;

/** These close a channel; all others close the connection. */
const CHANNEL_ERRORS: ReadonlySet<ReplyName> = new Set<ReplyName>([
  "CONTENT_TOO_LARGE",
  "NO_ROUTE",
  "NO_CONSUMERS",
  "ACCESS_REFUSED",
  "NOT_FOUND",
  "RESOURCE_LOCKED",
  "PRECONDITION_FAILED",
]);

/** A reply text is a short string. */
const TEXT_BYTES_MAX = 255;

/** Ends the channel on which it happens, or the connection: see {@link isOfChannel}. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly reply: ReplyName;
  readonly explanation: string;

  constructor(reply: ReplyName, explanation: string, cause?: unknown) {
    super(`${reply} - ${explanation}`, cause === undefined ? undefined : { cause });
    this.reply = reply;
    this.explanation = explanation;
  }

  get code(): number {
    return REPLY_CODES[this.reply];
  }

  /** Whether the channel is closed by it; else the connection is. */
  get isOfChannel(): boolean {
    return CHANNEL_ERRORS.has(this.reply);
  }

  /** What the client reads: cut as RabbitMQ cuts it when it does not fit. */
  get replyText(): string {
    const text = Buffer.from(this.message);
    if (text.length <= TEXT_BYTES_MAX) return this.message;
    let end = TEXT_BYTES_MAX - 3;
    // Not in the middle of a character.
    while ((text[end]! & 0xc0) === 0x80) end -= 1;
    return `${text.toString("utf8", 0, end)}...`;
  }
}
