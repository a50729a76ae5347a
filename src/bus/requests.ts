// Asking one receiver, or every group: a stored message out, and answers that are published live back.

import { answerOf } from "../broker/answer.js";
import { BrokerError } from "../broker-error.js";
import type { EngineLiveMessage } from "../engines/engine.js";
import { onAbort } from "../io/on-abort.js";
import { AnswerInbox } from "./answer-inbox.js";
import type { BusCore } from "./bus-core.js";
import type { Codec } from "./codec.js";
import { Decoder } from "./decoding.js";
import { type Duration, toMs } from "./duration.js";
import { type Gathered, Gathering } from "./gathering.js";
import type { CommandType, EventType, MessageType } from "./message-type.js";
import { invalidOption, knownOptions, wholeNumber } from "./option-checks.js";
import type { AnyPublishOptions } from "./publish-options.js";
import { validate } from "./schema.js";
import type { Sender } from "./sender.js";

export interface RequestOptions {
  /** How long to wait for the answer; a request that nobody has begun on by then expires. @default "30s" */
  readonly timeout?: Duration;
  /** As in `send`. */
  readonly id?: string;
  /** As in `send`. */
  readonly key?: string;
  /** As in `send`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the wait; the request may be handled all the same. */
  readonly signal?: AbortSignal;
}

export interface GatherOptions extends RequestOptions {
  /** End as soon as so many have replied. @default when all have that are asked */
  readonly first?: number;
  /** The groups to wait for. @default those that have a handler of the event at this moment */
  readonly from?: readonly string[];
}

const REQUEST_OPTIONS = ["timeout", "id", "key", "headers", "signal"];
const TIMEOUT_DEFAULT = "30s";

/** A question on its way. */
interface Terms<T> {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  send(asking: AnyPublishOptions): Promise<unknown>;
  answered(message: EngineLiveMessage, end: (result: T | Promise<T>) => void): void;
  /** When the time is over. Returns the result, or throws. */
  late(): T;
}

export class Requests {
  readonly #core: BusCore;
  readonly #inbox: AnswerInbox;
  /** Of the replies to each type that was asked for. */
  readonly #decoders = new WeakMap<object, Decoder>();

  constructor(core: BusCore) {
    this.#core = core;
    this.#inbox = new AnswerInbox(core.engine.broker);
    core.onClose(() => this.#inbox.close());
  }

  /** Errors: NO_HANDLER, REQUEST_TIMEOUT, REQUEST_FAILED, INVALID_PAYLOAD, INVALID_OPTION, CLOSED, those of sending. */
  async ask<In, Answer>(
    command: CommandType<In, unknown, unknown, Answer>,
    sender: Sender<In>,
    value: In,
    given: RequestOptions | undefined,
  ): Promise<Answer> {
    const { timeout = TIMEOUT_DEFAULT, ...options } = knownOptions("request", given, REQUEST_OPTIONS);
    const timeoutMs = toMs("timeout", timeout, 1);
    const { signal } = options;
    await this.#prepare(sender, signal);
    const { name, queue } = command;
    const source = this.#core.engine.broker.queue(queue)?.source;
    if (source?.hasConsumers !== true) throw nobodyHandles(name, queue);
    if (source.isPaused) throw paused(name, queue);
    const expiry = this.#core.engine.capabilities.expiry ? { expiresIn: timeoutMs } : {};
    return await this.#converse<Answer>({
      timeoutMs,
      signal,
      send: (asking) => sender.send(value, { ...options, ...expiry, ...asking }),
      answered: (message, end) => end(this.#read(command, message)),
      late: () => {
        throw tooLate(name, queue, timeoutMs);
      },
    });
  }

  /** Errors: NO_HANDLER, INVALID_OPTION, CLOSED, those of publishing. */
  async gather<In, Answer>(
    event: EventType<In, unknown, unknown, Answer>,
    sender: Sender<In>,
    value: In,
    given: GatherOptions | undefined,
  ): Promise<Gathered<Answer>> {
    const { first, from, ...rest } = knownOptions("gather", given, [...REQUEST_OPTIONS, "first", "from"]);
    const { timeout = TIMEOUT_DEFAULT, ...options } = rest;
    const timeoutMs = toMs("timeout", timeout, 1);
    const repliesMax = first === undefined ? Number.POSITIVE_INFINITY : wholeNumber("first", first);
    const wanted = checkedGroups(from);
    const { signal } = options;
    await this.#prepare(sender, signal);
    const { name, topic } = event;
    const present = this.#core.engine.broker.topic(topic)?.groupsConsuming(name) ?? [];
    const asked = wanted ?? present;
    const gathering = new Gathering<Answer>(topic, asked, present, repliesMax);
    if (gathering.isComplete) throw nobodyGathers(name, topic, asked);
    return await this.#converse<Gathered<Answer>>({
      timeoutMs,
      signal,
      send: (asking) => sender.send(value, { ...options, ...asking }),
      answered: (message, end) => {
        const add = async (): Promise<void> => {
          await gathering.add(answerOf(message.record), () => this.#read(event, message));
          if (gathering.isComplete) end(gathering.result());
        };
        void add();
      },
      late: () => gathering.result(),
    });
  }

  /** What is asked goes somewhere, and handlers that were registered before are there. */
  async #prepare(sender: Pick<Sender<never>, "ready">, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.#core.assertReceiving();
    this.#core.assertSupports("live", "requests");
    await sender.ready(signal);
  }

  /** Settles with what comes first: the end that answers bring, the time, the signal, the bus, or a failure to send. */
  #converse<T>(terms: Terms<T>): Promise<T> {
    const { signal, timeoutMs } = terms;
    return new Promise<T>((resolve, reject) => {
      const end = (settle: () => void): void => {
        question.close();
        timer.cancel();
        forget?.();
        settle();
      };
      const question = this.#inbox.ask({
        answered: (message) => terms.answered(message, (result) => end(() => resolve(result))),
        ended: (error) => end(() => reject(error)),
      });
      const late = () => {
        try {
          const result = terms.late();
          end(() => resolve(result));
        } catch (error) {
          end(() => reject(error));
        }
      };
      const timer = this.#core.engine.clock.setTimer(late, timeoutMs);
      const forget = signal && onAbort(signal, () => end(() => reject(signal.reason)));
      const { replyTo, correlationId } = question;
      terms.send({ replyTo, correlationId }).catch((error: unknown) => end(() => reject(error)));
    });
  }

  /** The value of an answer. Errors: REQUEST_FAILED, INVALID_PAYLOAD, INVALID_SCHEMA. */
  async #read<In, Answer>(
    type: MessageType<In, unknown, unknown, Answer>,
    { record }: EngineLiveMessage,
  ): Promise<Answer> {
    const { kind, by, error } = answerOf(record);
    const { name, reply } = type;
    if (kind === "failed") throw failed(name, by, error ?? "the answer does not say why");
    if (kind === "nothing") {
      // Without a schema nobody knows whether a reply was to be expected.
      if (reply === undefined) return undefined as Answer;
      throw failed(name, by, "it was handled, but the handler returned no reply(value)");
    }
    const value = this.#decoder(type, type.replyCodec).decode(record);
    return reply === undefined ? (value as Answer) : await validate(reply, `reply to ${name}`, value);
  }

  #decoder(type: { readonly name: string }, codec: Codec<unknown>): Decoder {
    let decoder = this.#decoders.get(type);
    if (decoder === undefined) {
      decoder = new Decoder(`reply to ${type.name}`, codec, this.#core.codecs);
      this.#decoders.set(type, decoder);
    }
    return decoder;
  }
}

function checkedGroups(from: unknown): readonly string[] | undefined {
  if (from === undefined) return undefined;
  if (Array.isArray(from) && from.length > 0 && from.every((group) => typeof group === "string"))
    return [...new Set<string>(from)];
  throw invalidOption("from", from, "a list of the groups to wait for");
}

function failed(name: string, by: string, reason: string): BrokerError {
  return new BrokerError("REQUEST_FAILED", `${name} was not answered by ${by}: ${reason}.`, {
    type: name,
    by,
    reason,
  });
}

function nobodyHandles(name: string, queue: string): BrokerError {
  return new BrokerError(
    "NO_HANDLER",
    `Nobody is there to answer ${name}: its queue ${queue} has no consumer, so the request was not sent. Register a handler with bus.handle before requesting it, or use send to leave it for one that comes later.`,
    { type: name, queue },
  );
}

function paused(name: string, queue: string): BrokerError {
  return new BrokerError(
    "NO_HANDLER",
    `Nobody can answer ${name}: its queue ${queue} is paused, so the request was not sent. Resume it, or use send to leave it for later.`,
    { type: name, queue },
  );
}

function nobodyGathers(name: string, topic: string, asked: readonly string[]): BrokerError {
  const who = asked.length === 0 ? `no group of topic ${topic}` : `none of ${asked.join(", ")}`;
  return new BrokerError(
    "NO_HANDLER",
    `Nobody is there to answer ${name}: ${who} has a consumer for it, so it was not published. Register a handler with bus.on before gathering, or use publish if no answer is needed.`,
    { type: name, topic },
  );
}

function tooLate(name: string, queue: string, timeoutMs: number): BrokerError {
  return new BrokerError(
    "REQUEST_TIMEOUT",
    `No answer to ${name} came within ${timeoutMs} ms. Look at queue ${queue}: its handlers are slow, busy or retrying. Give it more time with the option timeout, or its handler more concurrency. A request that was begun may still be carried out.`,
    { type: name, queue, timeoutMs },
  );
}
