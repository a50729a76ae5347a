// A stored message as an application sees it.

import { isUtf8 } from "node:buffer";
import { placeId } from "../broker/appended.js";
import {
  CONTENT_TYPE_HEADER,
  ID_HEADER,
  priorityOf,
  RESERVED_PREFIX,
  SUBJECT_HEADER,
} from "../broker/message.js";
import type { MessageStatus } from "../broker/message-status.js";
import type { EngineRecord } from "../engines/engine.js";
import { type BusCodecs, decodeStored } from "./decoding.js";

/** Who keeps track of a message. */
interface Tracked {
  readonly status: MessageStatus;
}

/** A message as it is stored. Texts and headers are made when asked for. */
export class StoredMessage {
  /** The queue or topic that it was read from. */
  readonly source: string;
  /** Of the topic; of a queue with priorities, the level that the message waits at; undefined for any other queue. */
  readonly partition: number | undefined;
  readonly #record: EngineRecord;
  readonly #codecs: BusCodecs;
  readonly #tracked: Tracked | undefined;

  /** `tracked` knows what becomes of it; undefined where nobody settles it. */
  constructor(
    record: EngineRecord,
    source: string,
    partition: number | undefined,
    codecs: BusCodecs,
    tracked?: Tracked,
  ) {
    this.source = source;
    this.partition = partition;
    this.#record = record;
    this.#codecs = codecs;
    this.#tracked = tracked;
  }

  /** Given when it was sent, else the place where it was first stored. The same in every attempt, and after a replay. */
  get id(): string {
    return this.givenId ?? placeId(this.source, this.partition, this.#record.offset);
  }

  protected get givenId(): string | undefined {
    return this.#text(ID_HEADER);
  }

  get subject(): string {
    return this.#text(SUBJECT_HEADER) ?? this.source;
  }

  get key(): string | null {
    return this.#record.keyText();
  }

  /** As it was sent. See the option of that name. */
  get priority(): number {
    return priorityOf(this.#record);
  }

  /** Its number in the log of the queue, level or partition. */
  get offset(): number {
    return this.#record.offset;
  }

  /** When it was sent, in milliseconds since 1970. */
  get timestampMs(): number {
    return this.#record.timestampMs;
  }

  get contentType(): string | undefined {
    return this.#text(CONTENT_TYPE_HEADER);
  }

  /** The application's headers. */
  get headers(): Readonly<Record<string, string>> {
    const own = this.#record
      .headers()
      .filter(([name]) => !name.startsWith(RESERVED_PREFIX) && name !== CONTENT_TYPE_HEADER);
    // Not by assignment: a header may be called __proto__.
    return Object.fromEntries(own.map(([name, value]) => [name, textOf(value)]));
  }

  /** A view of what is stored: copy it to keep it for long. Empty for a message without a body. */
  get body(): Buffer {
    return this.#record.value ?? Buffer.alloc(0);
  }

  /**
   * The body read as its content type says; the bytes where it has none, or none that a codec of the bus is for. Throws
   * when the body is not what its content type says.
   */
  get value(): unknown {
    return decodeStored(this.#record, this.#codecs);
  }

  /**
   * What has become of it by now, in its queue or group: `waiting`, `in-flight` or `acknowledged`, with the tries so far,
   * the name of the consumer that has it, and the error of its last try. Undefined for a message that was read or looked on
   * at without a queue or group.
   */
  get status(): MessageStatus | undefined {
    return this.#tracked?.status;
  }

  /** Tries so far, one that is under way included. Undefined where it is not known: see {@link StoredMessage.status}. */
  get attempts(): number | undefined {
    return this.status?.attempts;
  }

  /** The name of the consumer that has it; undefined when none has. */
  get consumer(): string | undefined {
    return this.status?.consumer;
  }

  /** Whether its queue or group is done with it. Undefined where neither is known. */
  get isAcknowledged(): boolean | undefined {
    const { status } = this;
    return status && status.state === "acknowledged";
  }

  /** What went wrong in its last try. */
  get error(): string | undefined {
    return this.status?.error;
  }

  /** All of it as plain values: for logs, and for people. Bytes that are no UTF-8 are written in base64. */
  toJSON(): object {
    const { id, source, partition, offset, subject, key, contentType, headers, isAcknowledged } = this;
    const timestamp = new Date(this.timestampMs).toISOString();
    const place = { id, source, ...(partition === undefined ? {} : { partition }), offset, timestamp };
    const { attempts, consumer, error } = this.status ?? {};
    return {
      ...place,
      subject,
      key,
      contentType,
      headers,
      value: this.#plainValue(),
      attempts,
      consumer,
      isAcknowledged,
      error,
    };
  }

  /** The body as UTF-8. */
  text(): string {
    return this.#record.valueText();
  }

  /** The body read as JSON. Throws a SyntaxError when it is none. */
  json<T = unknown>(): T {
    return JSON.parse(this.#record.valueText()) as T;
  }

  #plainValue(): unknown {
    const { body } = this;
    try {
      const { value } = this;
      if (!(value instanceof Uint8Array)) return value;
    } catch {
      // It is not what its content type says: shown as it is.
    }
    return isUtf8(body) ? body.toString("utf8") : body.toString("base64");
  }

  #text(header: string): string | undefined {
    return this.#record.header(header)?.toString("utf8");
  }
}

function textOf(value: Uint8Array | string | null): string {
  if (value === null) return "";
  return typeof value === "string"
    ? value
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
}
