// What a client published, as its connection has put it together.

/**
 * A message from the client. There is one of these for each connection: everything in it holds until the
 * channel has taken it, texts and the bytes themselves as long as whoever keeps them.
 */
export interface IncomingPublish {
  readonly exchange: string;
  readonly routingKey: string;
  /** Exchange and routing key as two short strings, as received: what `basic.deliver` and `basic.return` repeat. */
  readonly addressBytes: Buffer;
  readonly isMandatory: boolean;
  readonly isImmediate: boolean;
  /** Property flags and list, as received; not checked. The very same one while they are repeated. */
  readonly propertiesBytes: Buffer;
  /** Nobody writes to it any more. */
  readonly body: Buffer;
}
