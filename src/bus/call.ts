// One call of a handler: what it knows of its message, how long it may take, and whether anybody still listens to it.

import { BrokerError } from "../broker-error.js";
import type { EngineDelivery } from "../engines/engine.js";
import type { BusCodecs } from "./decoding.js";
import { type Duration, toMs } from "./duration.js";
import type { HandlerContext } from "./handler.js";
import type { CommandType, EventType } from "./message-type.js";
import type { Outbox } from "./outbox.js";
import type { ExchangeOutputs, QueueOutputs, TopicOutputs } from "./outputs.js";
import { StoredMessage } from "./stored-message.js";

/** One call that has not answered yet, with the messages that it was given. */
export class Call {
  readonly deliveries: readonly EngineDelivery[];
  deadlineMs: number;
  /** Its time is over, or the bus was closed: what it answers is no longer heard. */
  isOver = false;
  /** Tells the handler that what it does is in vain. */
  abort: ((reason: unknown) => void) | undefined = undefined;

  constructor(deliveries: readonly EngineDelivery[], deadlineMs: number) {
    this.deliveries = deliveries;
    this.deadlineMs = deadlineMs;
  }

  end(reason: unknown): void {
    this.isOver = true;
    this.abort?.(reason);
  }
}

/** What a call needs of what made it. */
export interface CallHost {
  readonly codecs: BusCodecs;
  /** What the call sends with its answer. Errors: NOT_SUPPORTED. */
  makeOutbox(): Outbox;
  /** Gives it more time. */
  extendCall(call: Call, extendMs: number): void;
}

/** Hot: one a message, so that what is seldom asked for is made when it is asked for. */
export class CallContext implements HandlerContext {
  /** Undefined until the handler has returned a promise. */
  call: Call | undefined = undefined;
  /** What the handler sends with its answer. Made when it sends something. */
  outbox: Outbox | undefined = undefined;
  /** The handler has answered: it sends nothing with its answer any more. */
  isAnswered = false;
  /** What the handler asked for before there was a call. */
  askedMs: number | undefined = undefined;
  readonly #delivery: EngineDelivery;
  readonly #source: string;
  readonly #host: CallHost;
  #abort: AbortController | undefined = undefined;
  #reason: unknown = undefined;
  #message: StoredMessage | undefined = undefined;

  constructor(delivery: EngineDelivery, source: string, host: CallHost) {
    this.#delivery = delivery;
    this.#source = source;
    this.#host = host;
  }

  get message(): StoredMessage {
    const { record, partition } = this.#delivery;
    this.#message ??= new StoredMessage(record, this.#source, partition, this.#host.codecs, this.#delivery);
    return this.#message;
  }

  get attempt(): number {
    return this.#delivery.attempt;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
      else if (!this.#delivery.isLeased) this.#abort.abort(leaseLost());
    }
    return this.#abort.signal;
  }

  async publish<In, Out>(event: EventType<In, Out>, value: In, options?: object): Promise<void> {
    await this.#outputs.publish(event, value, options);
  }

  async send<In, Out>(command: CommandType<In, Out>, value: In, options?: object): Promise<void> {
    await this.#outputs.send(command, value, options);
  }

  queue(name: string): QueueOutputs {
    return this.#outputs.queue(name);
  }

  topic(name: string): TopicOutputs {
    return this.#outputs.topic(name);
  }

  exchange(name: string): ExchangeOutputs {
    return this.#outputs.exchange(name);
  }

  extend(duration: Duration): void {
    const extendMs = toMs("extend", duration);
    if (!this.#delivery.isLeased) throw leaseLost();
    if (this.call === undefined) this.askedMs = extendMs;
    else this.#host.extendCall(this.call, extendMs);
  }

  get #outputs(): Outbox {
    if (this.outbox === undefined) {
      this.outbox = this.#host.makeOutbox();
      if (this.isAnswered) this.outbox.close();
    }
    return this.outbox;
  }

  abort(reason: unknown): void {
    this.#reason ??= reason;
    this.#abort?.abort(reason);
  }
}

export function leaseLost(): BrokerError {
  return new BrokerError(
    "LEASE_LOST",
    "The message is no longer leased to this handler; another may be handling it.",
  );
}
