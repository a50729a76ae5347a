// What a sender may say about one message, and how that becomes the message that an engine takes.

import { constantHeaders, type OutgoingMessage, withProperties } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import type { Capabilities, Engine } from "../engines/engine.js";
import { type Duration, toMs } from "./duration.js";
import { invalidOption, knownOptions, notSupported, validDate, wholeNumber } from "./option-checks.js";
import type { IfSupported } from "./supported.js";

/** The longest key, in UTF-16 code units. */
const KEY_LENGTH_MAX = 4096;
const ID_LENGTH_MAX = 256;

interface BasicOptions {
  /**
   * Identifies the message for whoever handles it, in 1 to 256 characters; kept through retries and replays. Queues and
   * topics with `deduplicate`, and those with an `inbox`, find duplicates by it. @default its place in the log
   */
  readonly id?: string;
  /**
   * Messages with equal keys keep their order. Up to 4,096 characters. @default what the message type's `key` says
   */
  readonly key?: string;
  /** Kept with the message. Names that begin with `omnibus-` are reserved. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the wait for the receipt. The message may be stored all the same. */
  readonly signal?: AbortSignal;
}

interface DelayOptions {
  /** Not handed out before this has passed, by the wall clock. Not together with `deliverAt`. */
  readonly delay?: Duration;
  /** Not handed out before then. */
  readonly deliverAt?: Date;
}

interface ExpiryOptions {
  /** When this has passed it is dead-lettered as expired, within about a second, wherever it waits. */
  readonly expiresIn?: Duration;
}

interface PriorityOptions {
  /**
   * How urgent it is in queues with `priorities`, a whole number from 0: higher ones are handed out first. What is beyond
   * a queue's highest counts as that. Topics, and queues without priorities, keep it and do nothing with it. @default 0
   */
  readonly priority?: number;
}

/** Options of one message, as far as the engine can carry them. */
export type PublishOptions<C extends Capabilities = Capabilities> = BasicOptions &
  IfSupported<C["delay"], DelayOptions> &
  IfSupported<C["expiry"], ExpiryOptions> &
  IfSupported<C["priorities"], PriorityOptions>;

interface ContentTypeOption {
  /** What the body is, such as `text/csv`: handlers of message types, and {@link StoredMessage.value}, read it accordingly. @default nothing is said */
  readonly contentType?: string;
}

/** Options of one body without a message type. */
export type BodyOptions<C extends Capabilities = Capabilities> = PublishOptions<C> & ContentTypeOption;

/** Options of one body for a topic. */
export type TopicBodyOptions<C extends Capabilities = Capabilities> = EventPublishOptions<C> &
  ContentTypeOption & {
    /** @default the name of the topic */
    readonly subject?: string;
  };

interface RetainOptions {
  /**
   * Also keeps the message, in the same step, as the last one of its subject, for those who ask later. An empty body ends
   * that its subject has one. @default false
   */
  readonly retain?: boolean;
}

/** Options of one event, or one message of a topic. */
export type EventPublishOptions<C extends Capabilities = Capabilities> = PublishOptions<C> &
  IfSupported<C["retained"], RetainOptions>;

/** All that may be given, whatever the engine. */
export type AnyPublishOptions = BasicOptions &
  DelayOptions &
  ExpiryOptions &
  PriorityOptions &
  ContentTypeOption &
  RetainOptions &
  AskingOptions;

/** Of a message that asks for an answer. */
interface AskingOptions {
  /** The subject to which the answer is published live. */
  readonly replyTo?: string;
  readonly correlationId?: string;
}

/** Options of one message that is published live. */
export type LivePublishOptions = BasicOptions;

/** Errors: INVALID_OPTION: a live message is handed out at once or not at all. */
export function checkedLiveOptions(options: LivePublishOptions | undefined): LivePublishOptions | undefined {
  return options && knownOptions("publishLive", options, ["id", "key", "headers", "signal"]);
}

/** Makes the messages of one kind: constant headers are encoded once. */
export class MessageMaker {
  readonly #engine: Engine;
  readonly #subject: string;
  readonly #headers: Uint8Array;
  readonly #hasContentType: boolean;

  /** The subject is not stored where it is the name of the queue. */
  constructor(engine: Engine, subject: string, isStored: boolean, contentType: string | undefined) {
    this.#engine = engine;
    this.#subject = subject;
    this.#headers = constantHeaders(isStored ? subject : undefined, contentType);
    this.#hasContentType = contentType !== undefined;
  }

  /** Hot without options. Errors: INVALID_OPTION, NOT_SUPPORTED. */
  make(
    value: string | Uint8Array | null,
    key: string | undefined,
    nowMs: number,
    options: AnyPublishOptions | undefined,
  ): OutgoingMessage {
    const expiresAtMs = options?.expiresIn === undefined ? 0 : this.#expiresAt(options.expiresIn, nowMs);
    return {
      subject: this.#subject,
      key: checkedKey(options?.key ?? key),
      value,
      headers: options === undefined ? this.#headers : this.#headersWith(options, expiresAtMs, nowMs),
      expiresAtMs,
      timestampMs: nowMs,
      id: options?.id,
      priority: options?.priority,
    };
  }

  #headersWith(options: AnyPublishOptions, expiresAtMs: number, nowMs: number): Uint8Array {
    const { id, headers, contentType } = options;
    if (id !== undefined && (typeof id !== "string" || id === "" || id.length > ID_LENGTH_MAX)) {
      throw new BrokerError(
        "INVALID_OPTION",
        `The option id has to be a string of 1 to ${ID_LENGTH_MAX} characters.`,
        { option: "id" },
      );
    }
    return withProperties(this.#headers, {
      id,
      headers,
      contentType: this.#checkedContentType(contentType),
      replyTo: options.replyTo,
      correlationId: options.correlationId,
      readyAtMs: this.#readyAt(options, nowMs),
      priority: this.#priority(options),
      expiresAtMs: expiresAtMs === 0 ? undefined : expiresAtMs,
    });
  }

  #priority({ priority }: AnyPublishOptions): number | undefined {
    if (priority === undefined) return undefined;
    const { capabilities, name } = this.#engine;
    if (!capabilities.priorities) throw notSupported(name, "priorities");
    return wholeNumber("priority", priority, 0);
  }

  /** That of a message type is its codec's. */
  #checkedContentType(contentType: unknown): string | undefined {
    if (contentType === undefined || this.#hasContentType) return undefined;
    if (typeof contentType === "string" && /^[^\s/]+\/[^\s/]+/.test(contentType)) return contentType;
    throw invalidOption("contentType", contentType, 'a media type such as "text/csv"');
  }

  #readyAt({ delay, deliverAt }: AnyPublishOptions, nowMs: number): number | undefined {
    if (delay === undefined && deliverAt === undefined) return undefined;
    const { capabilities, name } = this.#engine;
    if (!capabilities.delay) throw notSupported(name, "delayed messages");
    if (delay !== undefined && deliverAt !== undefined)
      throw new BrokerError("INVALID_OPTION", "Give delay or deliverAt, not both.", { option: "delay" });
    return delay === undefined ? validDate("deliverAt", deliverAt).getTime() : nowMs + toMs("delay", delay);
  }

  #expiresAt(expiresIn: Duration, nowMs: number): number {
    const { capabilities, name } = this.#engine;
    if (!capabilities.expiry) throw notSupported(name, "messages that expire");
    return nowMs + toMs("expiresIn", expiresIn);
  }
}

/** The options of one message of several, whose headers may differ. */
export function withHeaders(
  options: AnyPublishOptions | undefined,
  headers: Readonly<Record<string, string>> | undefined,
): AnyPublishOptions | undefined {
  return headers === undefined ? options : { ...options, headers };
}

/** The message with bytes of its own, for when it is taken, or kept, after its sender may have changed them. */
export function owned(message: OutgoingMessage): OutgoingMessage {
  return message.value instanceof Uint8Array ? { ...message, value: Buffer.from(message.value) } : message;
}

/** One id cannot be given to several messages. Errors: INVALID_OPTION. */
export function assertOneId(count: number, options: AnyPublishOptions | undefined): void {
  if (options?.id === undefined || count <= 1) return;
  throw new BrokerError(
    "INVALID_OPTION",
    "One id cannot be given to several messages; send them one by one.",
    { option: "id" },
  );
}

function checkedKey(key: unknown): string | null {
  if (key === undefined) return null;
  if (typeof key === "string" && key.length <= KEY_LENGTH_MAX) return key;
  throw new BrokerError(
    "INVALID_OPTION",
    `The key has to be a string of at most ${KEY_LENGTH_MAX} characters; it is ${typeof key === "string" ? `${key.length} long` : `a ${typeof key}`}.`,
    { option: "key" },
  );
}
