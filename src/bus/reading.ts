// How the body of a message becomes what a handler gets.

import type { EngineDelivery } from "../engines/engine.js";
import { decodeValue } from "./codec.js";
import type { MessageType } from "./message-type.js";
import { validate } from "./schema.js";
import { StoredMessage } from "./stored-message.js";

export interface Reading {
  /** Of the messages that it is for; undefined when it is for all. */
  readonly subject: string | undefined;
  /** Of what is read, for errors. */
  readonly name: string;
  /** Hot: what the handler gets: at once where that is possible, else a promise of it. Errors, thrown or rejected with: INVALID_PAYLOAD, INVALID_SCHEMA. */
  read(delivery: EngineDelivery): unknown;
}

/** Payloads of an event or a command, checked by its schema. */
export class TypedReading implements Reading {
  readonly subject: string;
  readonly name: string;
  readonly #type: MessageType<unknown, unknown>;

  constructor(type: MessageType<unknown, unknown>) {
    this.subject = type.name;
    this.name = type.name;
    this.#type = type;
  }

  read(delivery: EngineDelivery): unknown {
    const { codec, name, schema } = this.#type;
    const value = decodeValue(codec, name, delivery.record);
    return schema === undefined ? value : validate(schema, name, value);
  }
}

/** Whole messages of any subject, as they are stored. */
export class RawReading implements Reading {
  readonly subject = undefined;
  readonly name: string;
  readonly #source: string;

  /** `source` is what messages say they come from; `name` is the queue or `topic/group`. */
  constructor(name: string, source: string) {
    this.name = name;
    this.#source = source;
  }

  read(delivery: EngineDelivery): StoredMessage {
    return new StoredMessage(delivery.record, this.#source, delivery.partition);
  }
}
