// How the body of a message becomes what a handler gets, and what it replies with a body.

import { BrokerError } from "../broker-error.js";
import type { EngineDelivery } from "../engines/engine.js";
import type { WrittenReply } from "./answers.js";
import { encodeValue } from "./codec.js";
import { type BusCodecs, Decoder } from "./decoding.js";
import type { MessageType } from "./message-type.js";
import { shown } from "./option-checks.js";
import { type Schema, validate } from "./schema.js";
import { StoredMessage } from "./stored-message.js";

export interface Reading {
  /** Of the messages that it is for; undefined when it is for all. */
  readonly subject: string | undefined;
  /** Of what is read, for errors. */
  readonly name: string;
  /** Hot: what the handler gets: at once where that is possible, else a promise of it. Errors, thrown or rejected with: INVALID_PAYLOAD, INVALID_SCHEMA. */
  read(delivery: EngineDelivery): unknown;
  /** What is answered when the handler replies with `value`. Errors, thrown or rejected with: INVALID_PAYLOAD, INVALID_SCHEMA. */
  writeReply(value: unknown): WrittenReply | Promise<WrittenReply>;
}

/** Payloads of an event or a command, checked by its schema. */
export class TypedReading implements Reading {
  readonly subject: string;
  readonly name: string;
  readonly #type: MessageType<unknown, unknown>;
  readonly #schema: Schema<unknown, unknown> | undefined;
  readonly #decoder: Decoder;

  constructor(type: MessageType<unknown, unknown>, codecs: BusCodecs) {
    this.subject = type.name;
    this.name = type.name;
    this.#type = type;
    this.#schema = type.schema;
    this.#decoder = new Decoder(type.name, type.codec, codecs);
  }

  read(delivery: EngineDelivery): unknown {
    const value = this.#decoder.decode(delivery.record);
    return this.#schema === undefined ? value : validate(this.#schema, this.name, value);
  }

  writeReply(value: unknown): WrittenReply | Promise<WrittenReply> {
    const { name, reply, replyCodec } = this.#type;
    const what = `reply to ${name}`;
    const write = (): WrittenReply => ({
      body: encodeValue(replyCodec, what, value),
      contentType: replyCodec.contentType,
    });
    const checked = reply === undefined ? undefined : validate(reply, what, value);
    return checked instanceof Promise ? checked.then(write) : write();
  }
}

/** Whole messages of any subject, as they are stored. */
export class RawReading implements Reading {
  readonly subject = undefined;
  readonly name: string;
  readonly #source: string;
  readonly #codecs: BusCodecs;

  /** `source` is what messages say they come from; `name` is the queue or `topic/group`. */
  constructor(name: string, source: string, codecs: BusCodecs) {
    this.name = name;
    this.#source = source;
    this.#codecs = codecs;
  }

  read(delivery: EngineDelivery): StoredMessage {
    return new StoredMessage(delivery.record, this.#source, delivery.partition, this.#codecs, delivery);
  }

  writeReply(value: unknown): WrittenReply {
    if (typeof value === "string" || value instanceof Uint8Array)
      return { body: value, contentType: undefined };
    throw new BrokerError(
      "INVALID_PAYLOAD",
      `The reply to a message of ${this.name} is ${shown(value)}; give a string or a Uint8Array, or handle a command for values.`,
      { where: this.name },
    );
  }
}
